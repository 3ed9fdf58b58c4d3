//! Lines that classes and functions take although the declaration that takes them names neither: an object,
//! an alias or a type stands between. What is served is what nvcc makes of the lines as they are.

use crate::semantic::{built_with, is_right};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-arch=sm_80", "-std=c++20"];

/// Sources in which what follows `INSERT` takes its own line, and does not name what takes it.
const TAKERS: &[(&str, &str)] = &[
    (
        "a typedef after a class",
        "typedef struct W_ { int n; __host__ __device__ W_(int n = __builtin_LINE()) : n(n) {} } W;\nINSERT\n\
         __global__ void k(int *p) { W w; *p = w.n; }\nint h() { W w; return w.n; }\n",
    ),
    (
        "an alias of a class that it defines",
        "using W = struct W_ { int n; __host__ __device__ W_(int n = __builtin_LINE()) : n(n) {} };\nINSERT\n\
         __global__ void k(int *p) { W w; *p = w.n; }\nint h() { W w; return w.n; }\n",
    ),
    (
        "a typedef after a union",
        "typedef union W_ { int n; __host__ __device__ W_(int n = __builtin_LINE()) : n(n) {} } W;\nINSERT\n\
         __global__ void k(int *p) { W w; *p = w.n; }\nint h() { W w; return w.n; }\n",
    ),
    (
        "an object after a class",
        "struct S { int n; __host__ __device__ S(int n = __builtin_LINE()) : n(n) {} } first;\nINSERT\n\
         __global__ void k(int *p) { decltype(first) s; *p = s.n; }\nint h() { decltype(first) s; return s.n; }\n",
    ),
    (
        "a member after a nested class",
        "struct O { struct I { int n; __host__ __device__ I(int n = __builtin_LINE()) : n(n) {} } i; };\nINSERT\n\
         __global__ void k(int *p) { O o; *p = o.i.n; }\nint h() { O o; return o.i.n; }\n",
    ),
    (
        "a function of another one's type",
        "__host__ __device__ int f(int n = __builtin_LINE());\n\
         extern __host__ __device__ decltype(f) g;\n\
         __host__ __device__ int f(int n) { return n; }\n__host__ __device__ int g(int n) { return n + 1; }\nINSERT\n\
         __global__ void k(int *p) { *p = g(); }\nint h() { return g(); }\n",
    ),
    (
        "a template that gets a function",
        "__host__ __device__ inline int f(int n = __builtin_LINE()) { return n; }\nINSERT\n\
         template <auto &F> __device__ int call() { return F(); }\n\
         __global__ void k(int *p) { *p = call<f>(); }\n",
    ),
];

#[test]
#[ignore = "long: scripts/test-long"]
fn lines_that_are_taken_without_a_name_are_seen() {
    for (kind, unit) in TAKERS {
        let (ws, first) = built_with(ARGS, &unit.replace("INSERT\n", "// here\n"), "");
        ws.edit("unit.cu", "// here", "// here\n// and here");
        let outcome = ws.build(ARGS);
        assert_eq!(outcome.counted.hits, 0, "{kind}: {:?}", outcome.counted);
        is_right(&ws, ARGS, &outcome);
        outcome.differs_from(&first);
    }
}
