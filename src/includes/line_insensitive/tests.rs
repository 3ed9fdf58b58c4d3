//! Each trap of docs/design/semantic.md, as text that a preprocessor may have written.

use super::{DigestRefusal, Keeps, UntrackableCapture, line_insensitive_digest};

/// A function `at` that takes its caller's line.
pub(super) const TAKER: &str = "# 1 \"t.h\" 1\nint at(int l = __builtin_LINE());\n# 2 \"a.cu\" 2\n";

fn digest(text: &str) -> [u8; 32] {
    line_insensitive_digest(text.as_bytes()).unwrap().digest
}

fn keeps(text: &str) -> Keeps {
    line_insensitive_digest(text.as_bytes()).unwrap().keeps
}

#[track_caller]
fn same(one: &str, other: &str) {
    assert_eq!(digest(one), digest(other), "{one}\n---\n{other}");
}

#[track_caller]
fn unlike(one: &str, other: &str) {
    assert_ne!(digest(one), digest(other), "{one}\n---\n{other}");
}

/// `code` takes its line, and what follows it does not.
#[track_caller]
pub(super) fn takes_line(code: &str) {
    let text = format!("{TAKER}\n{code}\nint after;\n");
    let moved_all = format!("{TAKER}\n\n{code}\nint after;\n");
    let moved_rest = format!("{TAKER}\n{code}\n\n\nint after;\n");
    let Keeps::Chunks { .. } = keeps(&text) else {
        panic!("{code}: {}", keeps(&text))
    };
    unlike(&text, &moved_all);
    same(&text, &moved_rest);
}

/// Someone may take a line through `code` without a name.
#[track_caller]
pub(super) fn keeps_all(code: &str, expected: UntrackableCapture) {
    match keeps(&format!("{TAKER}{code}\n")) {
        Keeps::Everything { why, .. } => assert_eq!(why, expected, "{code}"),
        other => panic!("{code}: {other}"),
    }
}

/// `code` makes `name` a function that takes its caller's line.
#[track_caller]
pub(super) fn names(code: &str, name: &str) {
    match keeps(&format!("{TAKER}{code}\n")) {
        Keeps::Chunks { names, .. } => {
            assert!(
                names.contains(&name.as_bytes().to_vec()),
                "{code}: {names:?}"
            );
        }
        other => panic!("{code}: {other}"),
    }
}

/// `code` mentions the name of a function that takes lines, and takes none.
#[track_caller]
fn takes_nothing(code: &str) {
    let moved = format!("{TAKER}\n{code}\n");
    same(&format!("{TAKER}{code}\n"), &moved);
}

#[test]
fn launches_are_calls() {
    for launch in [
        "k<<<1, 1>>>(p)",
        "ns::k<<<1, 1, 0>>>(p)",
        "(k)<<<1, 1>>>(p)",
    ] {
        let kernel = format!("{TAKER}void k(int *p, int n = at());\n");
        let host = format!("void h(int *p) {{ {launch}; }}\n");
        unlike(&format!("{kernel}{host}"), &format!("{kernel}\n{host}"));
    }
}

#[test]
fn template_arguments_need_no_template_head() {
    let taker = format!("{TAKER}int f(auto x, int n = at());\n");
    let user = "int h() { return f<int>(3); }\n";
    unlike(&format!("{taker}{user}"), &format!("{taker}\n{user}"));
}

#[test]
fn attributes_call_what_they_name() {
    let taker = format!("{TAKER}void f(int *p, int n = at());\n");
    for attribute in ["__attribute__((cleanup(f)))", "[[gnu::cleanup(f)]]"] {
        let user = format!("int h() {{ int x {attribute} = 3; return x; }}\n");
        unlike(&format!("{taker}{user}"), &format!("{taker}\n{user}"));
    }
}

#[test]
fn blank_lines_and_numbers_do_not_count_and_text_does() {
    same(
        "# 1 \"a\"\nint a;\nint b;\n",
        "# 1 \"a\"\n\n  \t\nint a;\n# 9 \"a\"\nint b;\n",
    );
    same(
        "# 1 \"a\"\nint a;\n# 12\nint b;\n",
        "# 1 \"a\"\nint a;\nint b;\n",
    );
    unlike("int a;\nint b;\n", "int a; int b;\n");
    unlike("int a;\n", " int a;\n");
    unlike("int a;\n", "int b;\n");
    same("#line 4 \"a\"\nint a;\n", "#line 9 \"a\"\nint a;\n");
}

#[test]
fn markers_that_change_more_than_the_number_stay() {
    let base = "# 1 \"a\"\nint a;\nint b;\n";
    unlike(base, "# 1 \"a\"\nint a;\n# 2 \"b\"\nint b;\n");
    unlike(base, "# 1 \"a\"\nint a;\n# 2 \"a\" 3\nint b;\n");
    unlike(base, "# 1 \"a\"\nint a;\n# 2 \"a\" 3 4\nint b;\n");
    unlike(base, "# 1 \"a\"\nint a;\n# 2 \"a\" 1\nint b;\n");
    unlike(
        "# 1 \"a\"\nint a;\n# 2 \"a\" 3\nint b;\n",
        "# 1 \"a\"\nint a;\n# 2 \"a\" 3 4\nint b;\n",
    );
    same(
        "# 1 \"b\" 1\nint b;\n# 7 \"a\" 2\nint a;\n",
        "# 1 \"b\" 1\nint b;\n# 8 \"a\" 2\nint a;\n",
    );
}

#[test]
fn raw_strings_are_text_whatever_they_look_like() {
    let raw = |inner: &str| format!("auto s = R\"x({inner})x\";\nint b;\n");
    unlike(&raw("\n\n"), &raw("\n"));
    unlike(&raw("\n# 1 \"a\"\n"), &raw("\n# 2 \"a\"\n"));
    unlike(
        &raw("\n#if 0\n# 3 \"z\"\n#endif\n"),
        &raw("\n#if 0\n# 4 \"z\"\n#endif\n"),
    );
    same(&raw("a\\\n"), &format!("\n{}", raw("a\\\n")));
    same(
        "auto s = \"R\\\"x(\";\n\nint b;\n",
        "auto s = \"R\\\"x(\";\nint b;\n",
    );
    takes_line("int f() {\n auto s = R\"(\n}}\n)\";\n return at(); }");
}

#[test]
fn comments_are_text_whatever_they_look_like() {
    let commented = |inner: &str| format!("int a; /*{inner}*/ int b;\nint c;\n");
    same(&commented(" x "), &format!("\n{}", commented(" x ")));
    unlike(&commented(" x "), &commented(" y "));
    unlike(&commented("\n\n"), &commented("\n"));
    unlike(&commented("\n# 1 \"a\"\n"), &commented("\n# 2 \"a\"\n"));
    unlike("int a; // b\n", "int a; // c\n");
    same("int a; // b\n\nint c;\n", "int a; // b\nint c;\n");
    takes_line("int a[] = {\n/* }}\n# 3 \"b\"\n at() */\n at()\n};");
    takes_nothing("int a[] = {\n/* at() */\n3\n};");
}

#[test]
fn names_that_only_line_directives_give_are_told() {
    let renames = |text: &str| line_insensitive_digest(text.as_bytes()).unwrap().renames;
    let begin = "# 0 \"a.cu\"\n# 0 \"<built-in>\"\n# 0 \"<command-line>\"\n# 1 \"f.h\" 1\nint f;\n\
                 # 0 \"<command-line>\" 2\n# 1 \"a.cu\"\nint a;\n# 1 \"b.h\" 1 3\n# 7 \"b.h\"\nint b;\n\
                 # 9 \"b.h\" 3\n# 3 \"a.cu\" 2\n";
    assert!(!renames(begin));
    assert!(!renames(&format!(
        "{begin}auto s = R\"(\n# 3 \"c.y\"\n)\";\n"
    )));
    for more in [
        "# 3 \"c.y\"\n",
        "#line 3 \"c.y\"\n",
        "# 3 \"<command-line>\"\n",
        "# 3 \"b.h\"\n",
        "# 1 \"b.h\" 1\n# 3 \"a.cu\"\nint c;\n# 5 \"a.cu\" 2\n",
    ] {
        assert!(renames(&format!("{begin}{more}int c;\n")), "{more}");
    }
    let forced = begin.replace("int f;", "# 3 \"<command-line>\"\nint f;");
    assert!(renames(&forced));
    assert!(renames(&begin.replace("int f;", "# 3 \"a.cu\"\nint f;")));
}

#[test]
fn what_is_hidden_numbers_nothing() {
    let hidden = |number: u32| {
        format!("# 5 \"a\"\n#if 0\n# {number}\nvoid d();\n#endif\nint x = __builtin_LINE();\n")
    };
    same(&hidden(7), &hidden(70));
    unlike(&hidden(7), &hidden(7).replace("# 5", "# 6"));
}

#[test]
fn texts_that_cannot_be_read_by_lines_have_no_digest() {
    for (text, doubt) in [
        ("#pragma a /* b */\n", DigestRefusal::Comment),
        ("/* a */ # 12 \"b\"\n", DigestRefusal::Comment),
        ("/* a\n */ #if 0\n", DigestRefusal::Comment),
        ("# /* a */ 12 \"b\"\n", DigestRefusal::Comment),
        ("/* a */ %: 12 \"b\"\n", DigestRefusal::Comment),
        ("int a; // b \\\n# 12 \"b\"\n", DigestRefusal::Splice),
        ("int a; /* b\n", DigestRefusal::Lexer),
        ("int a;\r\n", DigestRefusal::Byte),
        ("int \0a;\n", DigestRefusal::Byte),
        ("#pragma a \\\n\nb\n", DigestRefusal::Splice),
        ("# 12 x\n", DigestRefusal::Marker),
        ("#if 0\n#else\n#endif\n", DigestRefusal::Conditional),
        ("#if A\n# 3 \"b\"\n#endif\n", DigestRefusal::Conditional),
        (
            "int f() { return __builtin_LINE();\n",
            DigestRefusal::Brackets,
        ),
        (
            "int f() { return __builtin_LINE(); } }\n",
            DigestRefusal::Brackets,
        ),
    ] {
        assert_eq!(
            line_insensitive_digest(text.as_bytes()),
            Err(doubt),
            "{text}"
        );
    }
    assert!(line_insensitive_digest(b"const char* s = \"//\";\n").is_ok());
}

#[test]
fn a_declaration_that_calls_keeps_its_lines_and_its_neighbours_do_not() {
    takes_line("int f() {\n  return at(\n  );\n}");
    takes_line("template <class T, class U = void>\nint f(T t) { return at(); }");
    takes_line("int x = at();");
    takes_line("int x[] = {\n at()\n};");
    takes_line("auto l = []{\n return at();\n}();");
    takes_line("struct A {\n int f() const { return at(); }\n} a;");
    takes_line("struct A { int x; A() : x(at()) {} };");
    takes_line("struct A { int x; A() : x{at()} {} };");
    takes_line("struct A { int x; A();\n};\nA::A() try : x{at()} {} catch (...) { }");
    takes_line("struct A { auto f() -> int { return at(); } };");
    takes_line("extern \"C\" {\nint f() { return at(); }\n}");
    takes_line("namespace a::b { inline namespace c {\nint f() { return at(); }\n} }");
    takes_line("bool operator<(A a, A b) { return at() < 3; }");
    takes_line("int f() { asm volatile(\"{ .reg; }\" : \"=r\"(x)); return at(); }");
    takes_line("int f() { return (at)(); }");
    takes_line(
        "template <class T> requires requires(T t) { t + 1; }\nint f(T t) { return at(); }\nint x;",
    );
    takes_line("__attribute__((aligned(8))) int f() { if (int x = at()) return x; return 0; }");
}

#[test]
fn variables_of_the_name_keep_their_own_declaration_and_pass_nothing_on() {
    takes_line("int f() { int at = 3; return at + 1; }");
    takes_line("struct A { int at; };");
    takes_line("struct A { T* at = nullptr; A() : at() {} bool f(A o) { return at == o.at; } };");
    takes_line(
        "template <class T> struct A { T at; A(T x) noexcept(noexcept(T(at))) : b(1), at(x) {} };",
    );
    takes_line("bool f(int x = 2, int at = 1) { return at < 3; }");
    takes_line("struct A { A(T* at, int n) : p(at) {} T* at() { return p; } T* p; };");
    takes_line("int f(A a) { return a.at + b->at; }");
    takes_nothing("const char* s = \"at()\";");
    takes_nothing("int attic() { return 0; }");
}

#[test]
fn default_arguments_pass_the_line_on() {
    names("int g(int x, int l = at());\nint h() { return g(1); }", "g");
    names("struct A { static int g(int l = at()); };", "g");
    names("int g(S s = {1, at()});", "g");
    names("int g(int l = [](int x) { return x + at(); }(2));", "g");
    names("int h(int l = g());\nint g(int l = at());", "h");
    let templates = "template <class T> int g(T t, int l = at());\n";
    takes_line(&format!("{templates}int h() {{ return g<int>(1); }}"));
}

#[test]
fn constructors_and_initialisers_of_members_keep_all_lines() {
    keeps_all(
        "struct A { A(int l = at()); };\nA a;",
        UntrackableCapture::Class,
    );
    keeps_all(
        "struct A;\nstruct A { explicit A(int l = at()); };\nusing B = A;",
        UntrackableCapture::Class,
    );
    keeps_all(
        "template <class T> struct A { A(T t, int l = at()); };\nA<int> a(1);",
        UntrackableCapture::Class,
    );
    keeps_all(
        "struct A { A(int); };\nA::A(int l = at()) {}",
        UntrackableCapture::Shape,
    );
    keeps_all("struct A { int l = at(); };", UntrackableCapture::Shape);
    keeps_all("struct A { int l{at()}; };", UntrackableCapture::Shape);
    keeps_all(
        "struct A { std::function<R(int)> l{at()}; };",
        UntrackableCapture::Shape,
    );
    keeps_all("struct A { struct X l{at()}; };", UntrackableCapture::Shape);
    keeps_all(
        "struct A { decltype(x) l : 3 {at()}; };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "struct A { int l : N(3) {at()}; };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "struct A { enum { a } l = E(at()); };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "struct A { function<auto(int) -> int> l{at()}; };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "void f() { struct A { int l = at(); } a; }",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "template <> struct A<R(int)> { int l = at(); };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "template <bool B = N < 3> struct A { int l = at(); };",
        UntrackableCapture::Shape,
    );
}

#[test]
fn operators_lambdas_and_templates_keep_all_lines() {
    keeps_all(
        "struct A { int operator()(int l = at()); };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "struct A { int operator[](int i, int l = at()); };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "struct A { void* operator new(size_t, int l = at()); };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "void f() { g([](int l = at()) { return l; }); }",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "void f() { g([]<class T>(T t, int l = at()) { return l; }); }",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "template <class T> using A = B<T, at()>;",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "template <class T> concept C = sizeof(T) > at();",
        UntrackableCapture::Shape,
    );
}

#[test]
fn calls_that_a_text_does_not_show_keep_all_lines() {
    keeps_all(
        "struct R { int* begin(int l = at()); };",
        UntrackableCapture::Implicit,
    );
    keeps_all(
        "struct P { G get_return_object(int l = at()); };",
        UntrackableCapture::Implicit,
    );
    keeps_all("#define M at()", UntrackableCapture::Directive);
    keeps_all(
        "#pragma omp parallel if(at())",
        UntrackableCapture::Directive,
    );
    keeps_all("int x = __LINE__;", UntrackableCapture::Directive);
}

#[test]
fn calls_in_odd_clothes_keep_all_lines() {
    keeps_all(
        "auto g = []<class T> requires requires(T t) { t + 1; } (T t, int l = at()) { return l; };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "auto g = []<class T> requires X (T t, int l = at()) { return l; };",
        UntrackableCapture::Shape,
    );
    keeps_all("struct A { int (l){at()}; };", UntrackableCapture::Shape);
    keeps_all(
        "struct A { int (*l)(int){at()}; };",
        UntrackableCapture::Shape,
    );
    keeps_all("struct A { int (l){at()}, m; };", UntrackableCapture::Shape);
    keeps_all(
        "struct A { int l = []() static { return 3; }() + at(); };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "struct A : B<X{} and Y{}> { int l = at(); };",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "template <class T> requires requires { T(); } using A = B<T, at()>;",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "struct P { P(int l = at()); };\nusing Q = coroutine_traits<T>::P;",
        UntrackableCapture::Class,
    );
    keeps_all(
        "struct A { A(int l = at()); };\nA(int) -> A;",
        UntrackableCapture::Class,
    );
    keeps_all(
        "struct A { A(int l = at()); };\nstruct B : A { using A::A; };",
        UntrackableCapture::Class,
    );
    keeps_all(
        "template <> struct N<int>::A { A(int l = at()); };\ntemplate <class T> struct N { struct A; };\nN<int>::A a;",
        UntrackableCapture::Class,
    );
    keeps_all(
        "int operator\"\"_x(const char*, int l = at());",
        UntrackableCapture::Shape,
    );
    keeps_all(
        "void f(int \u{e9}());\nint \u{e9}(int l = at());",
        UntrackableCapture::Implicit,
    );
    keeps_all(
        "int x = at(); _Pragma(\"omp g(at())\")",
        UntrackableCapture::Directive,
    );
}

#[test]
fn calls_of_every_syntax_take_their_lines() {
    for call in [
        "(&at)()",
        "((at))()",
        "x.at()",
        "x->template at<int>()",
        "::n::at /* here */ ()",
        "at<::n::T>()",
        "at<(1 > 2)>()",
        "x ? at() : 3",
        "co_await at()",
        "sizeof(at())",
        "f(at()...)",
    ] {
        takes_line(&format!("int h() {{\n return {call}; }}"));
    }
    takes_line("struct A { int f() { if (at()) {} } };");
    takes_line("struct A { static int l; A(int x) : l(x) { at(); } };");
}

#[test]
fn names_and_brackets_in_other_spellings_are_not_followed() {
    for code in [
        "int x = at(), \\u00e9(int l = at());",
        "struct A <% int l = at(); %>;",
        "int a<:at():>;",
    ] {
        let text = format!("{TAKER}{code}\n");
        assert_eq!(
            line_insensitive_digest(text.as_bytes()),
            Err(DigestRefusal::Lexer),
            "{code}"
        );
    }
}

#[test]
fn a_class_that_is_only_thrown_is_named_where_it_is_made() {
    let class = "class E : public B {\npublic:\n E(int s, int l = at()) : B(s, l) {}\n int s() { return s_; }\n int s_;\n};\n";
    takes_line(&format!("{class}void f() {{ throw ::n::E(1); }}"));
    names(class, "E");
    for use_of in [
        "void f() { throw E(1).other(); }",
        "void f() { throw g(E(1)); }",
        "void f() { auto e = E(1); throw e; }",
        "void f() { try { } catch (const E& e) { } }",
        "struct D : E { };",
        "E g();",
        "using F = E;",
        "X<E> x;",
    ] {
        keeps_all(&format!("{class}{use_of}"), UntrackableCapture::Class);
    }
    keeps_all(
        &class.replace("return s_", "return g(*this)"),
        UntrackableCapture::Class,
    );
}
