//! Shapes of declarations: those that are on the list, and what is like them and is not.

use super::tests::{TAKER, keeps_all, names, takes_line};
use super::{Keeps, UntrackableCapture, line_insensitive_digest};

/// Lines may be taken through `code` by declarations that name nothing; which of the reasons is found first
/// does not matter.
#[track_caller]
fn keeps_everything(code: &str) {
    let keeps = line_insensitive_digest(format!("{TAKER}{code}\n").as_bytes())
        .unwrap()
        .keeps;
    assert!(matches!(keeps, Keeps::Everything { .. }), "{code}: {keeps}");
}

#[test]
fn objects_after_a_class_know_of_it() {
    let class = "int n; S(int l = at()) : n(l) {}";
    for code in [
        "typedef struct S { $ } T;",
        "typedef union S { $ } T;",
        "using T = struct S { $ };",
        "struct S { $ } s;",
        "struct S { $ } s[2], *p;",
        "extern struct S { $ } s;",
        "static const class S { $ } s(3);",
        "struct S { $ } f();",
        "union S { $ };",
        "struct O { struct S { $ } s; };",
        "struct O { struct S { $ }; };",
        "namespace n { struct S { $ }; S s; }",
        "struct S { $ };\nstruct S s;",
        "struct S { $ };\nusing T = struct S;",
        "struct S { $ friend T f(); };",
        "struct S { $ auto f() { return this; } };",
        "struct S { $ S (*p)(int); };",
        "struct S { $ static S (*p); };",
        "struct S { $ S g(); };",
        "struct S { $ bool operator==(const S&) const; };",
        "template <class Q> struct S { $ };",
        "template <class Q> struct S;\ntemplate <> struct S<int> { $ };",
        "struct S : B<S> { $ };",
        "struct S { $ };\nint f(S s = {});",
        "struct S { $ };\nS::S(int l) {}",
        "struct alignas(8) S { $ } s;",
    ] {
        keeps_everything(&code.replace('$', class));
    }
}

#[test]
fn classes_by_themselves_are_followed() {
    let class = "int n; explicit S(int k, int l = at()) : n(l) {} S(const S&) = default; ~S() {}";
    for code in [
        "struct S { $ };",
        "class S final : public B, C { public: $ };",
        "struct S;\nstruct S { $ };",
        "struct __attribute__((visibility(\"hidden\"))) S { $ };",
        "struct [[nodiscard]] alignas(8) S { $ };",
    ] {
        names(&code.replace('$', class), "S");
    }
}

#[test]
fn functions_that_are_not_called_may_be_handed_on() {
    for code in [
        "extern decltype(at) g;",
        "typedef __typeof__(at) F;",
        "using F = decltype(at);",
        "int f() { return out << at << 3; }",
        "auto& g = at;",
        "constexpr auto g = &at;",
        "int f() { return call<at>(); }",
        "int f() { return call<&n::at>(); }",
        "int f() { return h(at); }",
        "using n::at;",
        "template int at<int>;",
        "int f() { F at; return at(); }",
        "int f() { return call<x.at>(); }",
        "int f() { return sizeof(decltype(x.at)); }",
        "struct A { decltype(n::at) g; };",
        "enum { at };",
        "int f() { return (decltype(at))(3); }",
    ] {
        keeps_all(code, UntrackableCapture::Mention);
    }
}

#[test]
fn declarations_of_other_shapes_keep_all_lines() {
    for code in [
        "template <int L = at()> struct A {};",
        "template <class T, enable_if_t<(N > 2), int> = at()> int f(T);",
        "template <bool B = N < 3, int L = at()> struct A {};",
        "int f() noexcept(at() > 2);",
        "struct A { static constexpr int n = at(); };",
        "enum class E : int { a = at(), b };",
        "int (*g(int l = at()))(int);",
        "template <class T> requires (at() > 2) int f(T t) { return 1; };",
        "struct A { explicit(at() > 2) A(int); };",
        "struct A { int x : at(); };",
        "struct A { int x : N(3) {at()}; };",
        "struct A { const T (x){at()}; };",
        "struct A { N::T (x){at()}, y; };",
        "struct A { struct ::X x{at()}; };",
        "struct A { struct X alignas(8) x{at()}; };",
        "struct A { struct alignas(8) { int l = at(); } x, y; };",
        "auto f() { struct A { int l = at(); }; return A(); }",
        "auto f() { struct A { A(int l = at()) {} }; return A(); }",
        "auto f() { struct A { int g(int l = at()); }; return A(); }",
        "auto f() { union { int l = at(); } u; return u; }",
        "int f() { return g([](int l = at()) { return l; }); }",
        "int f() { return g([](int l = h(at())) { return l; }); }",
        "int f() { return g([]<int N = at()>() { return N; }); }",
        "int f() { int g(int l = at()); return g(); }",
        "auto l = [](int l = at()) { return l; };",
        "int a = 1, g(int l = at());",
        "template <class T> int v = at();",
        "template <> int A<int>::v = at();",
        "int A::g(int l = at()) { return l; }",
        "friend int g(int l = at());",
        "struct A { friend int g(A, int l = at()) { return l; } };",
        "struct A { int operator()(int l = at()); };",
        "struct A { void* operator new(size_t, int l = at()); };",
        "int g(int (&a)[at()]);",
        "int g(decltype(at()) x);",
        "auto g() -> decltype(at());",
        "X<[](int l = at()) { return l; }> g() { return 3; }",
        "X<[] { return at(); }> g() { return 3; }",
        "static_assert(at() > 2);",
        "template <class Q> using T = decltype(at());",
        "using T = struct { int l = at(); };",
        "using T = decltype([](int l = at()) { return l; });",
        "typedef int T[sizeof(at())];",
        "namespace [[deprecated(n(at()))]] n { }",
        "template <class T = X<at()>> int g() { return 3; }",
        "template <class T> T g(T t) requires (at() > 2);",
        "template <class T> G(T, int l = at()) -> G<T>;",
    ] {
        keeps_everything(code);
    }
}

#[test]
fn chunks_do_not_end_before_operators_that_are_words() {
    for word in ["and", "or", "bitand", "xor", "not_eq"] {
        let code = format!("B<X{{}}\n {word} Y{{}}> v =\n at();");
        takes_line(&code);
    }
}

#[test]
fn functions_that_the_language_calls_keep_all_lines() {
    for name in [
        "begin",
        "end",
        "get",
        "await_transform",
        "yield_value",
        "data",
        "__nv_f",
    ] {
        let text = format!("{TAKER}struct A {{ int {name}(int l = at()); }};\n");
        let keeps = line_insensitive_digest(text.as_bytes()).unwrap().keeps;
        let Keeps::Everything { why, .. } = keeps else {
            panic!("{name}: {keeps}")
        };
        assert_eq!(why, UntrackableCapture::Implicit, "{name}");
    }
}

#[test]
fn the_class_of_the_library_that_tells_places_is_followed() {
    let class = "struct source_location {\n struct __impl { unsigned _M_line; };\n\
                 using __builtin_ret_type = decltype(__builtin_source_location());\n\
                 static consteval source_location\n current(__builtin_ret_type p = __builtin_source_location()) noexcept\n\
                 { source_location r; r.p = p; return r; }\n const __impl* p = nullptr; };\n";
    takes_line(class);
    takes_line("using T = S<at()>;");
    names(
        &format!("{class}void log(const char* s, source_location l = source_location::current());"),
        "log",
    );
    takes_line(&format!(
        "{class}int f(source_location l = source_location::current()) {{ return l.p->_M_line; }}"
    ));
}
