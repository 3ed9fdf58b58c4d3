//! Times and names that macros paste together of any number of pieces, wherever these stand: no result may outlive
//! what it says, and what pastes other things must go on hitting.

use super::bench::{Bench, Case, Ended};
use super::{ONCE, PLAIN, alone, expect};
use proptest::prelude::{ProptestConfig, Strategy};
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::path::Path;

const MACROS: &str = "#define ID(x) x\n#define C2(a, b) a##b\n#define C3(a, b, c) a##b##c\n\
    #define C4(a, b, c, d) a##b##c##d\n#define X2(a, b) C2(a, b)\n#define D(x) __##x##__\n#define G2(a, b) a%:%:b\n\
    #define VA(a, ...) a##__VA_ARGS__\n";

/// Compiles where `NAME` is a text of the wanted size, and nowhere else.
fn sized(name: &str, size: usize) -> String {
    format!(
        "{MACROS}#define NAME {name}\nstatic_assert(sizeof(NAME) == {size}, \"\");\n\
         extern \"C\" __global__ void k(const char **p) {{ *p = NAME; }}\n"
    )
}

/// NVRTC takes the program, and no result of it is served.
#[track_caller]
fn never_hits(bench: &Bench, case: &Case, what: &str) {
    assert!(bench.compile(case).is_some(), "NVRTC refuses {what}");
    for _ in 0..2 {
        assert_ne!(bench.run(case), Ended::Hit, "{what}");
    }
}

#[test]
fn times_that_are_pasted_are_never_served() {
    let _alone = alone();
    let bench = Bench::new();
    for (name, size) in [
        ("D(TIME)", 9),
        ("D(DATE)", 12),
        ("C3(__, TIME, __)", 9),
        ("C4(__, TI, ME, __)", 9),
        ("G2(__TI, ME__)", 9),
        ("VA(__TI, ME__)", 9),
        ("ID(C2)(__DA, TE__)", 12),
        ("X2(X2(_, _T), X2(IM, X2(E_, _)))", 9),
        ("X2(X2(_, _), X2(T, X2(I, X2(M, X2(E, X2(_, _))))))", 9),
    ] {
        never_hits(&bench, &Case::new(&sized(name, size), &[]), name);
    }
    // What is folded, or decides, leaves no text.
    let folded = format!("{MACROS}extern \"C\" __global__ void k(int *p) {{ *p = D(TIME)[0]; }}\n");
    never_hits(&bench, &Case::new(&folded, &[]), "a character of it");
}

#[test]
fn times_are_pasted_of_options_headers_and_name_expressions_too() {
    let _alone = alone();
    let bench = Bench::new();
    let uses = "extern \"C\" __global__ void k(const char **p) { *p = NAME; }\n";
    for options in [
        &["-DC2(a,b)=a##b", "-DNAME=C2(__TI,ME__)"][..],
        &[
            "-DX(a,b)=C2(a,b)",
            "-DC2(a,b)=a##b",
            "-DA=__TIME",
            "-DB=__",
            "-DNAME=X(A,B)",
        ],
        &[
            "--define-macro=D(x)=__##x##__",
            "--define-macro",
            "NAME=D(DATE)",
        ],
    ] {
        never_hits(&bench, &Case::new(uses, options), &options.join(" "));
    }
    bench.write("inc/macros.h", MACROS);
    bench.write(
        "inc/half.h",
        "#define HALF __TI\n#define OPEN C2(__TI,\n#define LP (\n",
    );
    bench.write("inc/args.h", "__TI, ME__");
    bench.write("inc/begin.h", "= C2(__TI,\n");
    for (number, body) in [
        "static const char *const s = X2(HALF, ME__);",
        "static const char *const s = ID(C2 LP) __TI, ME__);",
        "static const char *const s = C2(\n#include <args.h>\n);",
        "static const char *const s\n#include <begin.h>\nME__);",
        "static const char *const s = C2(__TI\n#if 1\n,\n#else\n)\n#endif\nME__);",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("use{number}.h");
        let text = format!(
            "#include <macros.h>\n#include <half.h>\n__device__ inline const char *f() {{ {body} return s; }}\n"
        );
        bench.write(&format!("inc/{name}"), &text);
        let source = format!(
            "#include <{name}>\nextern \"C\" __global__ void k(const char **p) {{ *p = f(); }}\n"
        );
        let on_disk = Case::new(&source, &["-Iinc"]);
        never_hits(&bench, &on_disk, body);
        never_hits(
            &bench,
            &Case::new(&source, &["-Iinc"]).with_header(&name, &text),
            body,
        );
    }
    let template = format!("{MACROS}template <int N> __global__ void k(int *p) {{ *p = N; }}\n");
    for expression in ["k<__TIME__[7]>", "k<D(TIME)[7]>", "k<C2(__DA, TE__)[5]>"] {
        let case = Case::new(&template, &[]).asking(expression);
        never_hits(&bench, &case, expression);
    }
}

/// Trigraphs are read with the older standards.
#[test]
fn times_are_pasted_and_spliced_by_trigraphs() {
    let _alone = alone();
    let bench = Bench::new();
    for (name, size) in [("__TI??/\nME__", 9), ("T(__DA, TE__)", 12)] {
        let source = format!("#define T(a, b) a??=??=b\n{}", sized(name, size));
        never_hits(&bench, &Case::new(&source, &["-std=c++11"]), name);
    }
}

/// A word, cut; where the pieces stand, and how they are put together.
#[derive(Clone, Debug)]
struct Cut {
    word: &'static str,
    size: usize,
    cuts: BTreeSet<usize>,
    place: usize,
}

fn cut() -> impl Strategy<Value = Cut> {
    let words = select(vec![("__TIME__", 9), ("__DATE__", 12)]);
    let cuts = proptest::collection::btree_set(1..8_usize, 1..7);
    (words, cuts, 0..5_usize).prop_map(|((word, size), cuts, place)| Cut {
        word,
        size,
        cuts,
        place,
    })
}

impl Cut {
    fn pieces(&self) -> Vec<&'static str> {
        let bounds: Vec<_> = self.cuts.iter().copied().chain([self.word.len()]).collect();
        let starts = std::iter::once(0).chain(bounds.iter().copied());
        starts
            .zip(&bounds)
            .map(|(start, end)| &self.word[start..*end])
            .collect()
    }

    /// The pieces in macros that paste two at a time, from the right.
    fn nested(pieces: &[&str]) -> String {
        match pieces {
            [last] => (*last).to_owned(),
            [first, rest @ ..] => format!("X2({first}, {})", Self::nested(rest)),
            [] => String::new(),
        }
    }

    fn case(&self, bench: &Bench) -> Case {
        let pieces = self.pieces();
        let names: Vec<_> = (0..pieces.len()).map(|at| format!("P{at}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let defines = |mark: &str| -> String {
            let pairs = names.iter().zip(&pieces);
            pairs
                .map(|(name, piece)| format!("#define {name}{mark} {piece}\n"))
                .collect()
        };
        match self.place {
            0 => Case::new(&sized(&Self::nested(&pieces), self.size), &[]),
            1 => {
                let joined = pieces.join(" ## ");
                Case::new(
                    &format!("#define WHOLE {joined}\n{}", sized("WHOLE", self.size)),
                    &[],
                )
            }
            2 => {
                bench.write("inc/pieces.h", &defines(""));
                let source = sized(&Self::nested(&names), self.size);
                Case::new(&format!("#include <pieces.h>\n{source}"), &["-Iinc"])
            }
            3 => {
                let pairs = names.iter().zip(&pieces);
                let options = pairs.map(|(name, piece)| format!("-D{name}={piece}"));
                let options: Vec<_> = options.collect();
                let options: Vec<_> = options.iter().map(String::as_str).collect();
                Case::new(&sized(&Self::nested(&names), self.size), &options)
            }
            _ => {
                let calls: Vec<_> = names.iter().map(|name| format!("{name}()")).collect();
                let calls: Vec<_> = calls.iter().map(String::as_str).collect();
                let source = sized(&Self::nested(&calls), self.size);
                Case::new(&format!("{}{source}", defines("()")), &[])
            }
        }
    }
}

#[test]
fn every_cut_in_every_place_is_seen() {
    let _alone = alone();
    let long = std::env::var_os("PCACHE_TEST_LONG").is_some();
    let bench = Bench::new();
    let config = ProptestConfig {
        cases: if long { 600 } else { 15 },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = if long {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let done = runner.run(&cut(), |cut| {
        never_hits(&bench, &cut.case(&bench), &format!("{cut:?}"));
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

#[test]
fn the_programs_name_is_pasted_of_any_number_of_pieces() {
    let _alone = alone();
    let bench = Bench::new();
    let header = "#define JOIN(a, b) a##b\n#define MY_FILE() __builtin_FILE()\n#define MY_CHECK(x) assert(x)\n\
                  #define MY_NAME __FILE__\n";
    bench.write("inc/macros.h", &format!("{MACROS}{header}"));
    bench.write(
        "inc/default.h",
        "#include <macros.h>\n__device__ const char *at;\n\
         __device__ inline void f(const char *x = JOIN(MY_, FILE)()) { at = x; }\n",
    );
    let include = format!("-I{}", bench.path("inc").display());
    for (included, call) in [
        ("macros.h", "D(FILE)"),
        ("macros.h", "C3(__, FILE, __)"),
        ("macros.h", "C4(__, FI, LE, __)"),
        (
            "macros.h",
            "X2(X2(_, _), X2(F, X2(I, X2(L, X2(E, X2(_, _))))))",
        ),
        ("macros.h", "C3(__, BASE_FI, LE__)"),
        ("macros.h", "JOIN(MY_, NAME)"),
        ("macros.h", "C3(M, Y, _NAME)"),
        ("macros.h", "(JOIN(MY_, CHECK)(p), \"\")"),
        ("macros.h", "(C3(a, sse, rt)(p), \"\")"),
        ("macros.h", "JOIN(MY_, FILE)()"),
        ("default.h", "(f(), \"\")"),
    ] {
        let source = format!(
            "#include <{included}>\nextern \"C\" __global__ void k(const char **p) {{ *p = {call}; }}\n"
        );
        let case = Case::new(&source, &[&include]);
        for name in ["/src/one/kernel.cu", "/src/two/kernel.cu"] {
            let case = case.clone().named(name);
            match bench.run(&case) {
                // 12.0 does not know __builtin_FILE.
                Ended::Refused => assert!(bench.compile(&case).is_none()),
                ended => {
                    assert_eq!(ended, Ended::Miss, "{call} as {name}");
                    expect(&bench, &case, &[Ended::Hit]);
                }
            }
        }
    }
    // 12.0 names a program after its process, if it has nothing else to name it after.
    let template = format!(
        "{MACROS}extern \"C\" __global__ void e() {{}}\ntemplate <int N> __global__ void k(int *p) {{ *p = N; }}\n"
    );
    for expression in ["k<__FILE__[5]>", "k<D(FILE)[5]>"] {
        let case = Case::new(&template, &[]).asking(expression);
        for name in ["/src/one/kernel.cu", "/src/two/kernel.cu"] {
            expect(&bench, &case.clone().named(name), ONCE);
        }
    }
}

#[test]
fn logs_of_lines_that_bear_the_programs_name_are_told_under_that_name_alone() {
    let _alone = alone();
    let bench = Bench::new();
    let warns = "extern \"C\" __global__ void k(int *p) { int unused; *p = 1; }\n";
    bench.write(
        "inc/lines.h",
        "#line 7 \"/src/one/k.cu\"\n__device__ inline void f() { int unused; }\n",
    );
    let include = format!("-I{}", bench.path("inc").display());
    for source in [
        format!("#line 7 \"/src/one/k.cu\"\n{warns}"),
        format!("# 7 \"/src/one/k.cu\"\n{warns}"),
        format!("%:line 7 \"/src/one/k.cu\"\n{warns}"),
        format!("#define AT 7 \"/src/one/k.cu\"\n#/**/line AT\n{warns}"),
        format!("#include <lines.h>\n{warns}"),
    ] {
        let case = Case::new(&source, &[&include]);
        for name in ["/src/one/k.cu", "/src/two/k.cu", "k.cu"] {
            let case = case.clone().named(name);
            assert_ne!(bench.run(&case), Ended::Bypass, "{source}");
            expect(&bench, &case, &[Ended::Hit]);
        }
    }
    // A log that names another file alone is the same everywhere.
    let case = Case::new(&format!("#line 7 \"other.cuh\"\n{warns}"), &[]);
    expect(&bench, &case.clone().named("/src/one/k.cu"), ONCE);
    expect(&bench, &case.named("/src/two/k.cu"), &[Ended::Hit]);
}

/// CUB and libcu++ paste a great deal.
#[test]
fn libraries_that_paste_other_things_hit() {
    let _alone = alone();
    let bench = Bench::new();
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nvrtc/venv-13/lib");
    let python = std::fs::read_dir(&clients).expect("run scripts/get-nvrtc-clients 13 once");
    let python = python.map(|entry| entry.unwrap().path()).next().unwrap();
    let packages = python.join("site-packages");
    let includes = [
        "cupy/_core/include/cupy/_cccl/cub",
        "cupy/_core/include/cupy/_cccl/libcudacxx",
        "cupy/_core/include/cupy/_cccl/thrust",
        "nvidia/cu13/include",
    ];
    let includes = includes.map(|folder| format!("-I{}", packages.join(folder).display()));
    let includes = includes.iter().map(String::as_str);
    let includes: Vec<_> = includes.chain(["-std=c++17"]).collect();
    let kernel = "template <int I, class T> __device__ T f(T A, T E) { return I * A + E; }\n\
                  extern \"C\" __global__ void k(int *p) { *p = f<3>(p[0], VALUE); }\n";
    // CUB includes a header whose default argument takes the name of its caller.
    for (header, second) in [
        ("cuda/std/complex", "/src/two/k.cu"),
        ("cub/warp/warp_reduce.cuh", "/src/one/k.cu"),
    ] {
        let source = format!(
            "#include <{header}>\n#define CAT(a, b) a##b\n#define VALUE CAT(1, 2)\n{kernel}"
        );
        let case = Case::new(&source, &includes);
        let first = bench.run(&case.clone().named("/src/one/k.cu"));
        if first == Ended::Refused {
            // Headers of CUDA 13 are not for releases before.
            assert!(case.library.path.ends_with("libnvrtc.so.12"), "{header}");
            continue;
        }
        let log = bench.log();
        assert_eq!(first, Ended::Miss, "{header}");
        assert!(!log.contains("not stored"), "{header}\n{log}");
        expect(&bench, &case.named(second), &[Ended::Hit]);
    }
    let plain = Case::new(PLAIN, &["-DVALUE=1"]);
    expect(&bench, &plain, ONCE);
}
