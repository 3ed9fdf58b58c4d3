//! Sources that show, hide, compute with or ignore the place in which they lie. `{base}` stands for the path of the
//! checkout.

/// Headers of every checkout, by their path in it. `third` is searched as a directory of system headers.
pub const HEADERS: &[(&str, &str)] = &[
    ("include/value.h", "#pragma once\n#define VALUE 1\n"),
    ("include/next.h", "#define NEXT 1\n"),
    ("third/next.h", "#include_next <next.h>\n"),
    (
        "include/where.h",
        "__host__ __device__ constexpr int length(const char *f = __builtin_FILE()) \
         { return __builtin_strlen(f); }\n",
    ),
    (
        "third/system_where.h",
        "__host__ __device__ constexpr int system_length(const char *f = __builtin_FILE()) \
         { return __builtin_strlen(f); }\n\
         #define SYSTEM_LENGTH() __builtin_strlen(__builtin_FILE())\n",
    ),
    (
        "include/pragma_where.h",
        "#pragma GCC system_header\n\
         __host__ __device__ constexpr int pragma_length(const char *f = __builtin_FILE()) \
         { return __builtin_strlen(f); }\n\
         #define PRAGMA_LENGTH() __builtin_strlen(__builtin_FILE())\n",
    ),
    (
        "third/located.h",
        "#include <source_location>\n\
         constexpr int located(std::source_location l = std::source_location::current()) \
         { return __builtin_strlen(l.file_name()); }\n",
    ),
    (
        "include/named.h",
        "inline const char *header_name() { return __FILE__; }\n\
         __device__ inline int header_byte(int i) { return __FILE__[i]; }\n",
    ),
    (
        "third/warned.h",
        "#warning from a system header\ninline int warned() { int unused; return 1; }\n",
    ),
    (
        "include/complaining.h",
        "static int complaint() { return VALUE; }\n",
    ),
];

/// Every source by its name. Those with `20` in their names need C++20.
pub const SOURCES: &[(&str, &str)] = &[
    (
        "plain",
        "#include <value.h>\n__global__ void k(int *p) { *p = VALUE; }\nint host() { return VALUE; }\n",
    ),
    (
        "assert",
        "#include <cassert>\n__global__ void k(int *p) { assert(*p > 0); }\nvoid h(int i) { assert(i); }\n",
    ),
    (
        "file_host",
        "extern \"C\" const char *file() { return __FILE__; }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "file_device",
        "#include <named.h>\n__global__ void k(int *p, int i) { *p = __FILE__[i] + header_byte(i); }\n",
    ),
    (
        "file_header",
        "#include <named.h>\nconst char *n() { return header_name(); }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "file_size",
        "int size() { return sizeof __FILE__; }\n__global__ void k(int *p) { *p = sizeof __FILE__; }\n",
    ),
    (
        "file_hash",
        "constexpr unsigned hash(const char *s) { return *s ? 33 * hash(s + 1) + *s : 5; }\n\
         __global__ void k(unsigned *p) { constexpr unsigned h = hash(__FILE__); *p = h; }\n\
         unsigned host() { constexpr unsigned h = hash(__FILE__); return h; }\n",
    ),
    (
        "base_file",
        "const char *n() { return __BASE_FILE__; }\n__global__ void k(int *p) { *p = __COUNTER__; }\n",
    ),
    (
        "builtin_file",
        "const char *n() { return __builtin_FILE(); }\n__global__ void k(int *p) { *p = __builtin_FILE()[2]; }\n",
    ),
    (
        "user_default",
        "#include <where.h>\nint n() { return length(); }\n__global__ void k(int *p) { *p = length(); }\n",
    ),
    (
        "system_default",
        "#include <system_where.h>\nint n() { return system_length(); }\n\
         __global__ void k(int *p) { *p = system_length(); }\n",
    ),
    (
        "system_device",
        "#include <system_where.h>\n__global__ void k(int *p) { *p = system_length(); }\n",
    ),
    (
        "raw_device",
        "__global__ void k(int *p) { *p = sizeof R\"(\n# 1 \"{base}/src/generated.y\"\n)\"; }\n",
    ),
    (
        "system_macro",
        "#include <system_where.h>\nint n() { return SYSTEM_LENGTH(); }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "pragma_default",
        "#include <pragma_where.h>\nint n() { return pragma_length(); }\n\
         __global__ void k(int *p) { *p = pragma_length(); }\n",
    ),
    (
        "pragma_macro",
        "#include <pragma_where.h>\nint n() { return PRAGMA_LENGTH(); }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "located20",
        "#include <located.h>\nint n() { return located(); }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "unlocated20",
        "#include <source_location>\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "warning",
        "#warning about me\n#include <warned.h>\n__global__ void k(int *p) { *p = warned() ? 1 : 2; }\n",
    ),
    (
        "message",
        "#pragma message(\"in \" __FILE__)\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "unused",
        "#include <value.h>\n#include <complaining.h>\nstatic int unused() { return 1; }\n\
         __global__ void k(int *p) { int never; *p = 1; }\nint shadow(int a) { { int a = 1; (void)a; } return 0; }\n",
    ),
    (
        "internal",
        "namespace { __global__ void k(int *p) { *p = 1; } __device__ int state; }\n\
         static __device__ int other;\nvoid run() { k<<<1, 1>>>(nullptr); (void)&state; (void)&other; }\n",
    ),
    (
        "constructed",
        "namespace { struct A { A(); int i; }; A a; __global__ void k(int *p) { *p = 1; } }\n",
    ),
    (
        "lambda",
        "template <class F> __global__ void k(F f, int *p) { *p = f(1); }\n\
         void run(int *p) { auto f = [] __device__(int i) { return i + 1; }; k<<<1, 1>>>(f, p); }\n\
         const char *n() { return [] { return __PRETTY_FUNCTION__; }(); }\n",
    ),
    (
        "types",
        "#include <typeinfo>\nnamespace { struct S {}; }\n\
         const char *n() { auto f = [] {}; return *typeid(S).name() ? typeid(f).name() : \"\"; }\n\
         template <class T> __global__ void k(T *p) { *p = T(1); }\ntemplate __global__ void k<int>(int *);\n",
    ),
    (
        "line_relative",
        "#line 7 \"generated.y\"\n#include <value.h>\nconst char *n() { return __FILE__; }\n\
         __global__ void k(int *p) { *p = VALUE; int unused; }\n",
    ),
    (
        "line_absolute",
        "#line 7 \"{base}/src/generated.y\"\nint host() { int unused; return 1; }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "line_elsewhere",
        "#line 7 \"{other}/src/generated.y\"\nint host() { int unused; return 1; }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "raw_marker",
        "constexpr const char text[] = R\"(\n# 1 \"{base}/src/generated.y\"\n)\";\n\
         int host() { return sizeof text; }\n__global__ void k(int *p) { *p = sizeof text; }\n",
    ),
    (
        "comment_marker",
        "/*\n# 1 \"{base}/src/generated.y\"\n*/\n__global__ void k(int *p) { *p = 1; } // {base}\n",
    ),
    (
        "string_base",
        "const char *n() { return \"{base}\"; }\n__global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "questions",
        "#if __has_include(<value.h>) && !__has_include(\"{base}/nowhere.h\")\n#include <value.h>\n#endif\n\
         #include <next.h>\n__global__ void k(int *p) { *p = VALUE + NEXT; }\n",
    ),
    (
        "computed",
        "#define HEADER <value.h>\n#include HEADER\n__global__ void k(int *p) { *p = VALUE; }\n",
    ),
    (
        "here",
        "#ifndef HERE\n#define HERE \"{base}\"\n#endif\n#define TEXT_(x) #x\n#define TEXT(x) TEXT_(x)\n\
         const char *n() { return TEXT(HERE); }\n__global__ void k(int *p) { *p = sizeof TEXT(HERE); }\n",
    ),
    (
        "assembled",
        "#define TEXT_(x) #x\n#define TEXT(x) TEXT_(x)\nasm(\".ident \\\"at \" __FILE__ \"\\\"\");\n\
         __global__ void k(int *p) { asm volatile(\"// \" __FILE__); *p = 1; }\n",
    ),
    (
        "printing",
        "#include <cstdio>\n__global__ void k() { printf(\"%s:%d\\n\", __FILE__, __LINE__); }\n",
    ),
    (
        "inlined",
        "#include <vector>\nint sum(const std::vector<int> &v) { int s = 0; for (int i : v) s += i; return s; }\n\
         __global__ void k(int *p) { *p = 1; }\n",
    ),
    (
        "host_only",
        "#include <value.h>\nint host() { return VALUE; }\n",
    ),
    (
        "failing",
        "#include <value.h>\nint host() { return undeclared; }\n",
    ),
    (
        "device_warning",
        "__global__ void k(int *p) { int a[64]; for (int i = 0; i < 64; ++i) a[i] = p[i]; *p = a[*p]; if (0 > 1u) *p = 2; }\n",
    ),
];
