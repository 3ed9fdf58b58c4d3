//! NVRTC's cache against the real library: whatever it serves is compared with what NVRTC gives at
//! that moment. Each test is a chain of edits that a stale result would betray.

mod bench;
mod modes;
mod names;
mod own_name;
mod pasted;
mod places;
mod secrets;

use bench::{Bench, Case, Ended, settle};
use pcache_nvcc::nvrtc::program::Library;
use pcache_nvcc::outcome::NvrtcReason;
use pcache_nvcc::stats::Counter;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

const PLAIN: &str = "extern \"C\" __global__ void k(int *p) { *p = VALUE; }\n";

/// The working directory and the environment belong to the process: one of the tests in this folder at a time. The
/// others of this program give the processes that they start a directory and an environment of their own.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn included(name: &str) -> String {
    format!("#include {name}\n{PLAIN}")
}

#[track_caller]
fn expect(bench: &Bench, case: &Case, ended: &[Ended]) {
    for (number, ended) in ended.iter().enumerate() {
        assert_eq!(bench.run(case), *ended, "compile {number}\n{}", bench.log());
    }
}

const ONCE: &[Ended] = &[Ended::Miss, Ended::Hit];

#[test]
fn another_process_hits_and_gets_everything() {
    let _alone = alone();
    let bench = Bench::new();
    let source = "template <class T> __global__ void k(T *p) { int unused; *p = 1; }\nnamespace { __device__ int x; }\n\
                  extern \"C\" __global__ void e(int *p) { *p = x; }\n";
    let case = Case::new(source, &["-arch=sm_90"])
        .asking("k<int>")
        .asking("k<float>");
    expect(&bench, &case, &[Ended::Miss, Ended::Hit, Ended::Hit]);
    for other in [
        case.clone().option("-DX"),
        case.clone().asking("k<char>"),
        case.clone().named("other.cu"),
        Case::new(source, &["-arch=sm_80"])
            .asking("k<int>")
            .asking("k<float>"),
        Case::new(&source.replace("= 1", "= 2"), &["-arch=sm_90"]).asking("k<int>"),
        case.clone().option("-dlto"),
        case.clone().option("--optix-ir"),
    ] {
        expect(&bench, &other, ONCE);
    }
    expect(&bench, &case, &[Ended::Hit]);
    let spelled = Case::new(source, &["--gpu-architecture", "sm_90"]);
    expect(
        &bench,
        &spelled.asking("k<int>").asking("k<float>"),
        &[Ended::Hit],
    );
    assert_eq!(bench.count(Counter::NvrtcMiss), 8);
    assert_eq!(bench.count(Counter::NvrtcUncacheable), 0);
    assert_eq!(bench.count(Counter::Error), 0);
}

#[test]
fn the_same_process_hits_and_still_sees_an_edited_header() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("inc/value.h", "#define VALUE 1\n");
    let case = Case::new(&included("<value.h>"), &["-Iinc"]);
    let cache = bench.cache();
    let run = |wanted: &[Ended]| {
        for ended in wanted {
            assert_eq!(bench.run_in(&cache, &case), *ended, "{}", bench.log());
        }
    };
    run(&[Ended::Miss, Ended::Hit, Ended::Hit]);
    bench.write("inc/value.h", "#define VALUE 2\n");
    run(&[Ended::Miss, Ended::Hit]);
    bench.write("inc/value.h", "#define VALUE 1\n");
    run(&[Ended::Hit]);
    fs::remove_file(bench.path("inc/value.h")).unwrap();
    run(&[Ended::Refused, Ended::Refused]);
}

#[test]
fn an_edited_header_of_an_absolute_directory_is_a_miss() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("../inc/value.h", "#include \"deep/inner.h\"\n");
    bench.write("../inc/deep/inner.h", "#define VALUE 1\n");
    let include = format!(
        "-I{}",
        bench.path("../inc").canonicalize().unwrap().display()
    );
    let case = Case::new(&included("<value.h>"), &[&include]);
    expect(&bench, &case, ONCE);
    bench.write("../inc/deep/inner.h", "#define VALUE 2\n");
    expect(&bench, &case, ONCE);
    // A name that differs in its directory alone, and another working directory.
    let moved = case.clone().named("/tmp/random-1/kernel.cu");
    fs::create_dir(bench.path("elsewhere")).unwrap();
    std::env::set_current_dir(bench.path("elsewhere")).unwrap();
    expect(&bench, &moved, &[Ended::Hit]);
    expect(
        &bench,
        &moved.named("/tmp/random-2/kernel.cu"),
        &[Ended::Hit],
    );
}

#[test]
fn a_header_that_appears_earlier_in_the_order_is_a_miss() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("second/value.h", "#define VALUE 1\n");
    let case = Case::new(
        &included("\"value.h\""),
        &["-Imissing", "-Ifirst", "-Isecond"],
    );
    fs::create_dir(bench.path("first")).unwrap();
    expect(&bench, &case, ONCE);
    bench.write("first/value.h", "#define VALUE 2\n");
    expect(&bench, &case, ONCE);
    bench.write("missing/value.h", "#define VALUE 3\n");
    expect(&bench, &case, ONCE);
    // Beside the program.
    bench.write("value.h", "#define VALUE 4\n");
    expect(&bench, &case, ONCE);
    fs::remove_file(bench.path("value.h")).unwrap();
    fs::remove_dir_all(bench.path("missing")).unwrap();
    settle();
    expect(&bench, &case, &[Ended::Hit]);
}

#[test]
fn what_a_source_asks_to_be_there_counts() {
    let _alone = alone();
    let bench = Bench::new();
    fs::create_dir(bench.path("inc")).unwrap();
    let source = format!(
        "#if __has_include(<there.h>)\n#define VALUE 1\n#else\n#define VALUE 2\n#endif\n{PLAIN}"
    );
    let case = Case::new(&source, &["-Iinc"]);
    settle();
    expect(&bench, &case, ONCE);
    bench.write("inc/there.h", "");
    expect(&bench, &case, ONCE);
    bench.write("inc/there.h", "// other text\n");
    bench.run(&case);
    expect(&bench, &case, &[Ended::Hit]);
    fs::remove_file(bench.path("inc/there.h")).unwrap();
    settle();
    expect(&bench, &case, &[Ended::Hit]);
}

#[test]
fn quoted_includes_depend_on_the_directory() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("one/value.h", "#define VALUE 1\n");
    bench.write("two/value.h", "#define VALUE 2\n");
    let case = Case::new(&included("\"value.h\""), &[]);
    for directory in ["one", "two"] {
        std::env::set_current_dir(bench.path(directory)).unwrap();
        expect(&bench, &case, ONCE);
    }
    std::env::set_current_dir(bench.path("one")).unwrap();
    expect(&bench, &case, &[Ended::Hit]);
    // The directory of the program's name is where the search begins.
    let name = bench.path("two/kernel.cu");
    let case = case.named(name.to_str().unwrap());
    expect(&bench, &case, ONCE);
}

#[test]
fn passed_headers_count_by_name_and_text() {
    let _alone = alone();
    let bench = Bench::new();
    let case = Case::new(&included("\"value.h\""), &[]);
    let one = case.clone().with_header("value.h", "#define VALUE 1\n");
    let two = case.clone().with_header("value.h", "#define VALUE 2\n");
    expect(&bench, &one, ONCE);
    expect(&bench, &two, ONCE);
    expect(&bench, &one, &[Ended::Hit]);
    expect(&bench, &case, &[Ended::Refused]);
    // The directory does not count, as everything is passed.
    expect(&bench, &one.named("/tmp/random/kernel.cu"), &[Ended::Hit]);
}

#[test]
fn the_environment_counts() {
    let _alone = alone();
    let bench = Bench::new();
    let case = Case::new(PLAIN, &["-DVALUE=1"]);
    expect(&bench, &case, ONCE);
    let set = |value: &str| {
        // SAFETY: of the tests of this program, those in this folder run one at a time; the others read the environment
        // through the standard library alone, which locks it.
        unsafe { std::env::set_var("NVRTC_APPEND_FLAGS", value) }
    };
    set("-use_fast_math");
    expect(&bench, &case, ONCE);
    set("--pch");
    expect(&bench, &case, &[Ended::Bypass]);
    // SAFETY: as above.
    unsafe { std::env::remove_var("NVRTC_APPEND_FLAGS") };
    expect(&bench, &case, &[Ended::Hit]);
}

#[test]
fn driver_that_the_setting_names_is_that_of_the_key() {
    let _alone = alone();
    let bench = Bench::new();
    let case = Case::new(PLAIN, &["-DVALUE=1"]);
    for (driver, ended) in [
        ("550.54.15", Ended::Miss),
        ("550.54.15", Ended::Hit),
        ("595.71.05", Ended::Miss),
        ("550.54.15", Ended::Hit),
    ] {
        let cache = bench.cache_with(&[("PCACHE_DRIVER", driver)]);
        assert_eq!(bench.run_in(&cache, &case), ended, "{driver}");
    }
}

#[test]
fn other_builtins_are_a_miss_and_changed_ones_a_bypass() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("builtins", "one");
    let mut case = Case::new(PLAIN, &["-DVALUE=1"]);
    case.library = Library {
        builtins: Some(bench.path("builtins")),
        ..case.library
    };
    expect(&bench, &case, ONCE);
    let running = bench.cache();
    assert_eq!(bench.run_in(&running, &case), Ended::Hit);
    bench.write("builtins", "two");
    assert_eq!(
        bench.run_in(&running, &case),
        Ended::Bypass,
        "what is loaded is not on the disk"
    );
    expect(&bench, &case, ONCE);
    let reason = Counter::NvrtcBypassed(NvrtcReason::Library);
    assert_eq!(bench.count(reason), 1);
}

#[test]
fn precompiled_headers_never_reach_the_cache() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("inc/value.h", "#define VALUE 1\n");
    let case = Case::new(&included("<value.h>"), &["-Iinc"]);
    for option in [
        "--pch",
        "--create-pch=x.pch",
        "--use-pch=x.pch",
        "--pch-dir=.",
    ] {
        expect(
            &bench,
            &case.clone().option(option),
            &[Ended::Bypass, Ended::Bypass],
        );
    }
    expect(&bench, &case, ONCE);
    let reason = Counter::NvrtcBypassed(NvrtcReason::Precompiled);
    assert_eq!(bench.count(reason), 8);
}

#[test]
fn times_of_the_compile_and_unknown_options_are_left_to_nvrtc() {
    let _alone = alone();
    let bench = Bench::new();
    let source = "extern \"C\" __global__ void k(const char **p) { *p = __TIME__; }\n";
    expect(&bench, &Case::new(source, &[]), &[Ended::Bypass]);
    let asked = "extern \"C\" __global__ void k(const char **p) { *p = WHEN; }\n";
    let given = Case::new(asked, &["-DWHEN=__TIME__"]);
    expect(&bench, &given, &[Ended::Bypass]);
    let spliced = format!("#define WHEN __TI\\\nME__\n{asked}");
    expect(&bench, &Case::new(&spliced, &[]), &[Ended::Bypass]);
    let plain = Case::new(PLAIN, &["-DVALUE=1"]);
    for option in [
        "--time=t.csv",
        "--fdevice-time-trace=t.json",
        "--never-heard-of",
    ] {
        expect(&bench, &plain.clone().option(option), &[Ended::Bypass]);
    }
    bench.write("inc/when.h", "#define VALUE sizeof(__DATE__)\n");
    let case = Case::new(&included("<when.h>"), &["-Iinc"]);
    expect(&bench, &case, &[Ended::Miss, Ended::Miss]);
    let pasted = format!("#define PASTE(a, b) a##b\n#define WHEN PASTE(__TI, ME__)\n{asked}");
    let pasted = Case::new(&pasted, &[]);
    expect(&bench, &pasted, &[Ended::Miss, Ended::Miss]);
    assert_eq!(bench.count(Counter::NvrtcUncacheable), 4);
}

#[test]
fn threads_and_processes_compile_the_same_once() {
    let _alone = alone();
    let bench = Bench::new();
    let case = Case::new(PLAIN, &["-DVALUE=1"]);
    let caches = [bench.cache(), bench.cache()];
    let ended: Vec<_> = std::thread::scope(|scope| {
        let run = |at: usize| {
            let (bench, case, cache) = (&bench, &case, &caches[at % 2]);
            scope.spawn(move || bench.run_in(cache, case))
        };
        let threads: Vec<_> = (0..6).map(run).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect()
    });
    let misses = ended.iter().filter(|ended| **ended == Ended::Miss);
    assert_eq!(misses.count(), 1, "{ended:?}");
    let hits = bench.count(Counter::NvrtcHit) + bench.count(Counter::NvrtcCoalesced);
    assert_eq!(hits, 5);
}

#[test]
fn nothing_is_left_of_what_nvrtc_refuses() {
    let _alone = alone();
    let bench = Bench::new();
    let case = Case::new("nonsense", &[]);
    expect(&bench, &case, &[Ended::Refused, Ended::Refused]);
    assert_eq!(bench.count(Counter::NvrtcMiss), 0);
}

#[test]
fn explain_names_what_differed() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("inc/value.h", "#define VALUE 1\n");
    let case = Case::new(&included("<value.h>"), &["-Iinc", "-arch=sm_90"]);
    expect(&bench, &case, ONCE);
    assert!(
        bench.explain().starts_with("direct hit: kernel.cu"),
        "{}",
        bench.explain()
    );
    bench.write("inc/value.h", "#define VALUE 2\n");
    expect(&bench, &case, &[Ended::Miss]);
    assert!(
        bench.explain().contains("inc/value.h"),
        "{}",
        bench.explain()
    );
    expect(&bench, &case.clone().option("-DX=1"), &[Ended::Miss]);
    assert!(
        bench.explain().contains("--define-macro"),
        "{}",
        bench.explain()
    );
    expect(&bench, &case.clone().asking("&k"), &[Ended::Miss]);
    assert!(
        bench.explain().contains("name expression: none → &k"),
        "{}",
        bench.explain()
    );
    expect(&bench, &case.clone().option("--pch"), &[Ended::Bypass]);
    let said = bench.explain();
    assert!(
        said.contains("passed to NVRTC") && said.contains("precompiled header"),
        "{said}"
    );
    let blocks = bench.log().matches(" nvrtc -Iinc").count();
    assert_eq!(blocks, 6, "{}", bench.log());
}

#[test]
fn what_is_not_observed_is_not_stored() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("inc/value.h", "#define VALUE 1\n");
    let case = Case::new(&included("<value.h>"), &["-Iinc"]);
    assert!(bench.commit_unobserved(&case).contains("not observed"));
    expect(&bench, &case, &[Ended::Miss]);
    let plain = Case::new(PLAIN, &["-DVALUE=1"]);
    bench.commit_unobserved(&plain);
    expect(&bench, &plain, &[Ended::Hit]);
}

#[test]
fn a_header_changed_during_the_compile_is_not_remembered() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("inc/value.h", "#define VALUE 1\n");
    let case = Case::new(&included("<value.h>"), &["-Iinc"]);
    bench.commit_after(&case, || bench.write("inc/value.h", "#define VALUE 2\n"));
    expect(&bench, &case, ONCE);
    bench.write("inc/value.h", "#define VALUE 1\n");
    expect(&bench, &case, ONCE);
}
