//! The name that a program is given, and its directory: where these count, and where they do not.

use super::bench::{Bench, Case, Ended};
use super::{ONCE, PLAIN, alone, expect};

#[test]
fn line_information_of_another_directory_is_not_served() {
    let _alone = alone();
    let bench = Bench::new();
    for option in ["-lineinfo", "-G", "-dlto"] {
        let case = Case::new(
            "extern \"C\" __global__ void k(int *p) { *p = 1; }\n",
            &[option],
        );
        for name in ["/src/one/kernel.cu", "/src/two/kernel.cu"] {
            expect(&bench, &case.clone().named(name), ONCE);
        }
    }
}

#[test]
fn the_name_of_the_file_counts_where_a_program_asks_for_it() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("../inc/fail.h", "#define FAIL() __FILE__\n");
    let include = format!(
        "-I{}",
        bench.path("../inc").canonicalize().unwrap().display()
    );
    for source in [
        "extern \"C\" __global__ void k(const char **p) { *p = __FILE__; }\n",
        "#include <fail.h>\nextern \"C\" __global__ void k(const char **p) { *p = FAIL(); }\n",
        "extern \"C\" __global__ void k(int *p) { assert(*p); }\n",
    ] {
        let case = Case::new(source, &[&include]);
        for name in ["/src/one/kernel.cu", "/src/two/kernel.cu"] {
            expect(&bench, &case.clone().named(name), ONCE);
        }
    }
}

#[test]
fn the_name_of_the_file_counts_however_it_is_asked_for() {
    let _alone = alone();
    let bench = Bench::new();
    let kernel = "extern \"C\" __global__ void k(const char **p) { *p = NAME; }\n";
    let spliced = format!("#define NAME __FI\\\nLE__\n{kernel}");
    let pasted = format!("#define PASTE(a, b) a##b\n#define NAME PASTE(__FI, LE__)\n{kernel}");
    let checked = "extern \"C\" __global__ void k(int *p) { NAME(*p); }\n";
    for case in [
        Case::new(kernel, &["-DNAME=__FILE__"]),
        Case::new(checked, &["-DNAME=assert"]),
        Case::new(&spliced, &[]),
        Case::new(&pasted, &[]),
    ] {
        for name in ["/src/one/kernel.cu", "/src/two/kernel.cu"] {
            expect(&bench, &case.clone().named(name), ONCE);
        }
    }
}

#[test]
fn the_name_of_the_file_counts_where_a_header_hands_it_on() {
    let _alone = alone();
    let bench = Bench::new();
    let folder = bench.path("inc");
    let include = format!("-I{}", folder.display());
    let keep = "__device__ const char *at;\n#define KEEP(x) at = x\n";
    for (number, (header, body, second)) in [
        ("#define CHECK(x) assert(x)", "CHECK(*p);", Ended::Miss),
        ("__device__ void f(int *p) { assert(*p); }", "f(p);", Ended::Hit),
        ("__device__ void f() { KEEP(__FILE__); }", "f();", Ended::Hit),
        ("__device__ void f(const char *x = __builtin_FILE()) { KEEP(x); }", "f();", Ended::Miss),
        (
            "#define AT __builtin_FILE()\n__device__ void f(const char *x = AT) { KEEP(x); }",
            "f();",
            Ended::Miss,
        ),
        (
            "#define JOIN(a, b) a##b\n__device__ void f(const char *x = JOIN(__builtin_, FILE)()) { KEEP(x); }",
            "f();",
            Ended::Miss,
        ),
        ("#define JOIN(a, b) a##b\n#define CHECK JOIN(ass, ert)", "CHECK(*p);", Ended::Miss),
        ("__device__ void f() { KEEP(__BASE_FILE__); }", "f();", Ended::Miss),
        (
            "#if __has_builtin(__builtin_FILE)\n# define AT() __builtin_FILE()\n#endif // __builtin_FILE",
            "",
            Ended::Hit,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("h{number}.h");
        bench.write(&format!("inc/{name}"), &format!("{keep}{header}\n"));
        let source = format!(
            "#include <{name}>\nextern \"C\" __global__ void k(int *p) {{ {body} *p = 1; }}\n"
        );
        let case = Case::new(&source, &[&include]);
        let named = |name: &str| case.clone().named(name);
        let first = bench.run(&named("/one/k.cu"));
        if first == Ended::Refused && header.contains("__builtin_") {
            continue; // 12.0 does not know it
        }
        assert_eq!(first, Ended::Miss, "{header}");
        assert_eq!(bench.run(&named("/two/k.cu")), second, "{header}");
        assert_eq!(bench.run(&named("/one/k.cu")), Ended::Hit, "{header}");
    }
}

#[test]
fn the_name_of_the_file_counts_where_a_headers_macro_is_named_in_other_ways() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write(
        "inc/check.h",
        "#define CHECK(x) assert(x)\n#define JOIN(a, b) a##b\n",
    );
    let include = format!("-I{}", bench.path("inc").display());
    let source = |call: &str| {
        format!("#include <check.h>\nextern \"C\" __global__ void k(int *p) {{ {call}(*p); }}\n")
    };
    for case in [
        Case::new(&source("SURE"), &[&include, "-DSURE=CHECK"]),
        Case::new(&source("JOIN(CHE, CK)"), &[&include]),
    ] {
        for name in ["/src/one/kernel.cu", "/src/two/kernel.cu"] {
            expect(&bench, &case.clone().named(name), ONCE);
        }
    }
}

#[test]
fn questions_that_an_option_asks_are_asked_beside_the_program() {
    let _alone = alone();
    let bench = Bench::new();
    let source =
        format!("#if ASK(\"there.h\")\n#define VALUE 1\n#else\n#define VALUE 2\n#endif\n{PLAIN}");
    let include = format!("-I{}", bench.work().display());
    let case = Case::new(&source, &[&include, "-DASK=__has_include"]);
    bench.write("two/there.h", "");
    let named = |place: &str| case.clone().named(bench.path(place).to_str().unwrap());
    for place in ["one/k.cu", "two/k.cu"] {
        expect(&bench, &named(place), ONCE);
    }
}

#[test]
fn warnings_are_told_under_the_name_at_hand() {
    let _alone = alone();
    let bench = Bench::new();
    let source = "extern \"C\" __global__ void k(int *p) { int unused; *p = 1; }\n\
                  extern \"C\" __global__ void l(int *p) { int other; *p = 1; }\n";
    let case = Case::new(source, &[]);
    expect(
        &bench,
        &case.clone().named("/tmp/random-1/kernel.cu"),
        &[Ended::Miss],
    );
    for name in [
        "/tmp/random-2/kernel.cu",
        "kernel.cu",
        "/tmp/random-1/kernel.cu",
    ] {
        expect(&bench, &case.clone().named(name), &[Ended::Hit]);
    }
    // The program says the name too, so that it cannot be told which is which.
    let case = Case::new(&format!("// kernel.cu(1): x\n{source}"), &[]);
    for name in ["/src/one/kernel.cu", "/src/two/kernel.cu"] {
        expect(&bench, &case.clone().named(name), ONCE);
    }
}
