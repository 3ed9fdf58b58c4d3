//! Declarations that take lines in every way, for sources that nvcc compiles.

/// Declarations that come first in every source; each takes its caller's line where it is called.
pub const TAKERS: &str = "
#define HD __host__ __device__
struct where
{
  static HD constexpr unsigned current(unsigned line = __builtin_LINE()) { return line; }
};
HD inline unsigned named(unsigned more,
                         unsigned line = where::current()) { return line + more; }
template <class T> HD unsigned named_template(T, unsigned line = named(1))
{
  return line;
}
";

/// How many of the pieces let calls without a name take lines.
pub const UNNAMED: usize = 20;

/// Declarations that take lines, or do not, with `@` for a number of their own.
pub const PIECES: [&str; 33] = [
    "HD inline unsigned direct@() {\n  return\n    __builtin_LINE();\n}\nHD inline unsigned use@() { return direct@(); }",
    "HD inline unsigned use@()\n{\n  return named(\n    2\n  );\n}",
    "template <class T>\nHD unsigned deep@(T t) {\n\n  return named_template(t) +\n    named_template<long>(t);\n}\nHD inline unsigned use@() { return deep@(3) + deep@(4u); }",
    "struct Taker@ { unsigned v;\n HD Taker@(unsigned line = __builtin_LINE()) : v(line) {} };\nHD inline unsigned use@()\n{\n Taker@ t;\n return t.v; }",
    "struct Implicit@ { unsigned v;\n HD Implicit@(int, unsigned line = where::current()) : v(line) {} };\nHD inline unsigned take@(Implicit@ i) { return i.v; }\nHD inline unsigned use@()\n{\n return take@(\n  1); }",
    "struct Base@ { unsigned v;\n HD Base@(int = 0, unsigned line = named(1)) : v(line) {} };\nusing Alias@ = Base@;\ntemplate <class T> HD unsigned make@() {\n return T().v; }\nHD inline unsigned use@() {\n return make@<Alias@>(); }",
    "struct Member@ { int a;\n unsigned v = __builtin_LINE(); };\nHD inline unsigned use@() {\n Member@ m{1};\n return m.v; }",
    "HD inline unsigned use@() {\n auto f = [](unsigned line = where::current()) { return line; };\n return f(\n ); }",
    "template <class F> HD unsigned call@(F f) {\n return f(); }\nHD inline unsigned use@() {\n return call@([](unsigned line = __builtin_LINE()) { return line; }); }",
    "struct Range@ { int a[2];\n HD const int* begin(unsigned line = named(0)) const { return a + line % 2; }\n HD const int* end() const { return a + 2; } };\nHD inline unsigned use@() {\n Range@ r{{1, 2}}; unsigned s = 0;\n for (int i : r)\n  s += i;\n return s; }",
    "struct Call@ {\n HD unsigned operator()(int i, unsigned line = __builtin_LINE()) const { return line + i; } };\nHD inline unsigned use@() {\n return Call@()(\n 3); }",
    "template <unsigned N = __builtin_LINE()>\nstruct Sized@ { static constexpr unsigned v = N; };\nHD inline unsigned use@() {\n return Sized@<>::v; }",
    "struct Paren@ {\n unsigned (v){where::current()};\n unsigned w; };\nHD inline unsigned use@() {\n Paren@ p{};\n return p.v; }",
    "HD inline unsigned use@() {\n auto f = []<class T> requires requires(T t) { t + 1; } (T t, unsigned line = where::current()) { return line + t; };\n return f(\n  1u); }",
    "struct From@ { unsigned v;\n HD From@(int, unsigned line = where::current()) : v(line) {} };\nstruct To@ : From@ {\n using From@::From@; };\nHD inline unsigned use@() {\n return To@(\n  1).v; }",
    "template <class T> struct Guess@ { unsigned v;\n HD Guess@(T, unsigned line = where::current()) : v(line) {} };\nHD inline unsigned use@() {\n Guess@ g(\n  2);\n return g.v; }",
    "struct Made@ { int v;\n static void* operator new(decltype(sizeof 0) size, unsigned line = where::current()) {\n  return reinterpret_cast<void*>(size + line); } };\ninline void* make@() {\n return new\n  Made@; }\nvoid* (*kept@)() = make@;\nHD inline unsigned use@() { return 8; }",
    "struct Bound@ { template <int> HD unsigned get(unsigned line = where::current()) const { return line; } };\ntemplate <> struct std::tuple_size<Bound@> { static constexpr int value = 1; };\ntemplate <> struct std::tuple_element<0, Bound@> { using type = unsigned; };\nHD inline unsigned use@() {\n auto [x] =\n  Bound@();\n return x; }",
    "template <unsigned N> struct Count@ { static constexpr unsigned v = N; };\ntemplate <class T> requires requires(T t) { t + 1; } using Given@ = Count@<where::current()>;\nHD inline unsigned use@() {\n return Given@<\n  int>::v; }",
    "#include <coroutine>\nstruct Task@ { struct promise_type {\n  unsigned v;\n  promise_type(unsigned line = where::current()) : v(line) {}\n  Task@ get_return_object() { return {v}; }\n  std::suspend_never initial_suspend() { return {}; }\n  std::suspend_never final_suspend() noexcept { return {}; }\n  void return_void() {}\n  void unhandled_exception() {} };\n unsigned v; };\ninline Task@ task@() {\n co_return; }\nunsigned run@() { return task@().v; }\nHD inline unsigned use@() { return 2; }",
    "namespace inner@ {\n namespace {\n  HD inline unsigned method() { return 7; }\n }\n}\nHD inline unsigned use@() {\n return inner@::method(); }",
    "struct Plain@ {\n  int x = 3;\n\n  HD int go() const {\n    auto l = [this](int y) {\n      return x + y; };\n    return l(2);\n  }\n};\nHD inline unsigned use@() {\n\n return Plain@().go(); }",
    "template <class T>\nHD unsigned count@(T t)\n{\n  struct Local { T v; HD unsigned twice() { return unsigned(v) * 2; } };\n\n  Local l{t};\n  return l.twice();\n}\nHD inline unsigned use@() { return count@(2) + count@(2.f); }",
    "HD inline unsigned use@() {\n  const char* s = R\"x(\n# 12 \"no.h\"\n\n   \"{(\n)x\";\n  return s[1];\n}",
    "static unsigned host@() {\n  static unsigned calls = 0;\n\n  return ++calls;\n}\nunsigned (*pointer@)() = host@;\nHD inline unsigned use@() { return 9; }",
    "enum class Kind@ : unsigned {\n  a = where::current(),\n  b };\nHD inline unsigned use@() {\n return unsigned(Kind@::b); }",
    "struct Static@ {\n  static constexpr unsigned v = where::current();\n};\nHD inline unsigned use@() {\n return Static@::v; }",
    "struct Loud@ { HD static unsigned say(const char*,\n  unsigned line = named(5)) { return line; } };\nHD inline unsigned use@() {\n return Loud@::say(\"a\"); }",
    "struct Thrown@ { unsigned v;\n Thrown@(int, unsigned line = where::current()) : v(line) {} };\ninline void fail@(bool b) {\n if (b)\n  throw Thrown@(1); }\nvoid (*keep@)(bool) = fail@;\nHD inline unsigned use@() { return 4; }",
    "__global__ void launched@(unsigned* p, unsigned line = where::current()) { *p = line; }\nvoid launch@(unsigned* p) {\n launched@<<<1, 1>>>(p);\n}\nHD inline unsigned use@() { return 6; }",
    "HD inline unsigned use@() {\n int current = 3;\n current += 2;\n return current; }",
    "HD inline unsigned any@(auto more, unsigned line = where::current()) { return line + more; }\nHD inline unsigned use@() {\n return any@<int>(\n  3); }",
    "inline void clean@(int* p, unsigned line = where::current()) { *p = line; }\ninline int cleaned@() {\n int x\n  __attribute__((cleanup(clean@))) = 3;\n return x; }\nint (*kept@)() = cleaned@;\nHD inline unsigned use@() { return 5; }",
];
