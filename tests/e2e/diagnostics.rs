//! nvcc's words: on a miss, on a hit, on an error. Errors are never cached.

use crate::modes::sources;
use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;

/// The second build says on both streams what the first and nvcc say.
#[track_caller]
fn repeats_the_words(ws: &Workspace, args: &[&str], expected: &[&str]) {
    let theirs = ws.kept(args);
    for word in expected {
        assert!(
            theirs.err().contains(word),
            "nvcc does not say {word:?}:\n{}",
            theirs.err()
        );
    }
    let cold = ws.build(args);
    cold.misses(1).says_the_same_as(&theirs);
    ws.build(args).hits(1).same_as(&cold);
}

/// Fails as nvcc does, every time, and counts no miss and no hit. In the temporary folder it
/// leaves what nvcc leaves: an error in one arch leaves a file of cicc's.
#[track_caller]
fn fails_as_with_nvcc(ws: &Workspace, args: &[&str]) {
    let theirs = ws.plain(args);
    assert_ne!(theirs.status, 0);
    let left = take_temporaries(ws);
    for _ in 0..2 {
        let ours = ws.build(args);
        ours.same_as(&theirs);
        let counted = &ours.counted;
        assert_eq!((counted.hits, counted.misses), (0, 0), "{counted:?}");
        assert_eq!(counted.events(), 1, "{counted:?}");
        assert_eq!(take_temporaries(ws), left, "left behind");
    }
}

/// Empties the temporary folder; tells how many files of which kind were in it.
fn take_temporaries(ws: &Workspace) -> Vec<String> {
    let names = ws.temporaries();
    let kind = |name: &String| name.rsplit('.').next().unwrap_or("").to_owned();
    ws.fresh("tmp");
    names.iter().map(kind).collect()
}

#[test]
fn warnings_are_repeated() {
    let words = ["a word from the preprocessor", "unused_variable"];
    repeats_the_words(&sources(), &["-c", "warns.cu"], &words);
}

#[test]
fn warnings_for_two_archs_are_repeated() {
    let archs = [
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_80,code=sm_80",
    ];
    let args = [&["-c", "warns.cu"][..], &archs].concat();
    repeats_the_words(&sources(), &args, &["unused_variable"]);
}

#[test]
fn resource_usage_is_repeated() {
    repeats_the_words(
        &sources(),
        &["-c", "external.cu", "-Xptxas", "-v"],
        &["registers"],
    );
    repeats_the_words(
        &sources(),
        &["-cubin", "external.cu", "--resource-usage"],
        &["registers"],
    );
}

#[test]
fn host_compiler_warnings_are_repeated() {
    let ws = Workspace::with("k.cu", "static int unused() { return 1; }\n");
    repeats_the_words(&ws, &["-c", "k.cu", "-Xcompiler", "-Wall"], &["unused"]);
}

#[test]
fn silenced_warnings_stay_silent() {
    let ws = sources();
    let args = ["-c", "warns.cu", "-w"];
    ws.build(&["-c", "warns.cu"]).misses(1);
    repeats_the_words(&ws, &args, &[]);
}

#[test]
fn a_host_preprocessor_error_is_nvccs() {
    fails_as_with_nvcc(
        &Workspace::with("k.cu", "#include \"missing.h\"\n"),
        &["-c", "k.cu"],
    );
}

#[test]
fn a_device_preprocessor_error_is_nvccs() {
    let text = "#ifdef __CUDA_ARCH__\n#error only on the device\n#endif\n";
    fails_as_with_nvcc(&Workspace::with("k.cu", text), &["-c", "k.cu"]);
}

#[test]
fn a_front_end_error_is_nvccs() {
    let text = "__global__ void k(int *p) { undefined(p); }\n";
    fails_as_with_nvcc(&Workspace::with("k.cu", text), &["-c", "k.cu"]);
}

#[test]
fn an_error_in_one_arch_is_nvccs() {
    let text =
        "__global__ void k(int *p) {\n#if __CUDA_ARCH__ == 800\n  *p = nonsense;\n#endif\n}\n";
    let args = [
        "-c",
        "k.cu",
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_80,code=sm_80",
    ];
    fails_as_with_nvcc(&Workspace::with("k.cu", text), &args);
}

#[test]
fn an_assembler_error_is_nvccs() {
    let text = "__global__ void k(int *p) { asm(\"not ptx at all;\"); }\n";
    fails_as_with_nvcc(&Workspace::with("k.cu", text), &["-c", "k.cu"]);
    fails_as_with_nvcc(&Workspace::with("k.cu", text), &["-cubin", "k.cu"]);
}

#[test]
fn a_host_compiler_error_is_nvccs() {
    let text = "int host() { asm(\"not an instruction\"); return 1; }\n";
    fails_as_with_nvcc(&Workspace::with("k.cu", text), &["-c", "k.cu", "-o", "k.o"]);
}

#[test]
fn a_missing_source_is_nvccs_error() {
    fails_as_with_nvcc(&Workspace::new(), &["-c", "missing.cu"]);
}

#[test]
fn warnings_as_errors_fail_each_time() {
    let ws = sources();
    ws.build(&["-c", "warns.cu"]).misses(1);
    fails_as_with_nvcc(&ws, &["-c", "warns.cu", "-Werror", "all-warnings"]);
}

/// A message of the preprocessor that leaves nothing in the preprocessed text.
#[test]
fn warnings_of_the_preprocessor_come_and_go() {
    for name in ["k.cu", "k.cpp"] {
        let ws = Workspace::with(name, "int host() { return 1; }\n");
        let args = ["-c", name, "-o", "k.o"];
        let quiet = ws.build(&args);
        quiet.misses(1).same_as(&ws.kept(&args));
        ws.edit(name, "1; }\n", "1; }\n#warning told\n");
        let warned = ws.build(&args);
        warned.same_as(&ws.kept(&args));
        ws.build(&args).hits(1).same_as(&warned);
        ws.edit(name, "#warning told\n", "");
        ws.build(&args).hits(1).same_as(&quiet);
    }
}

#[test]
fn a_mended_error_builds() {
    let ws = Workspace::with("k.cu", "__global__ void k(int *p) { *p = nonsense; }\n");
    let args = ["-c", "k.cu"];
    fails_as_with_nvcc(&ws, &args);
    ws.edit("k.cu", "nonsense", "1");
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
    ws.edit("k.cu", "= 1", "= nonsense");
    fails_as_with_nvcc(&ws, &args);
}

#[test]
fn an_error_leaves_an_old_object_as_nvcc_does() {
    let ws = Workspace::with("k.cu", "__global__ void k(int *p) { *p = nonsense; }\n");
    ws.write("k.o", "old");
    fails_as_with_nvcc(&ws, &["-c", "k.cu"]);
    assert_eq!(ws.read("k.o"), b"old");
}

/// The assembler's own message needs a host compile in one step, which repeats the compiler's.
#[test]
fn warnings_of_the_host_compiler_are_printed_once_if_the_assembler_prints_too() {
    let source = "asm(\".warning \\\"seen\\\"\");\n__global__ void k() {}\n\
        int narrowed(double d) { int i = d; return i; }\n";
    let ws = Workspace::with("unit.cu", source);
    let outcome = ws.build(&["-c", "unit.cu", "-Xcompiler", "-Wconversion"]);
    let text = outcome.err();
    assert_eq!(text.matches("-Wfloat-conversion").count(), 1, "{text}");
    assert_eq!(text.matches("Warning: seen").count(), 1, "{text}");
}

#[test]
fn warnings_of_one_unit_do_not_reach_the_stages_of_another() {
    let mut ws = sources();
    for name in ["a", "b"] {
        ws.write(
            &format!("{name}.cpp"),
            format!("#warning {name}\nint {name};\n"),
        );
    }
    ws.write("unit.cu", "__global__ void k() {}\n");
    let log = ws.root().join("log");
    ws.set_env("PCACHE_LOG", &log);
    ws.build(&["-c", "a.cpp", "b.cpp", "unit.cu"]);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("in one step"), "{text}");
}

/// CMake reads the directories that are searched from the commands that the host compiler prints.
#[test]
fn commands_that_the_host_compiler_prints_are_repeated() {
    let mut ws = Workspace::with("unit.cu", "__global__ void unit(int *p) { *p = 1; }\n");
    let args = ["-c", "unit.cu", "-Xcompiler=-v"];
    let first = ws.build(&args);
    first.misses(1).same_files_as(&ws.kept(&args));
    let searched = |outcome: &Outcome| {
        let text = outcome.err();
        let lines = text.lines().map(str::to_owned);
        let lists = lines.filter(|line| line.starts_with(' ') && !line.contains(" -"));
        lists.collect::<Vec<_>>()
    };
    let theirs = searched(&ws.plain(&args));
    assert!(
        theirs.iter().any(|line| line.ends_with("/include")),
        "{theirs:?}"
    );
    assert_eq!(searched(&first), theirs);
    ws.build(&args).hits_directly(1).same_as(&first);
    // They print what the linker would search, too.
    ws.set_env("LIBRARY_PATH", "/usr/lib");
    ws.build(&args).does_not_hit_directly();
}
