//! What passes straight through: nvcc's own words, status and files, and one counted reason.

use crate::modes::sources;
use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;
use std::process::Command;

/// Passes `args` through for `reason`; status, words, names of outputs are nvcc's.
#[track_caller]
fn passes(ws: &Workspace, reason: &str, args: &[&str]) -> Outcome {
    let theirs = ws.plain(args);
    let ours = ws.build(args);
    ours.bypasses(reason).says_the_same_as(&theirs);
    assert_eq!(names(&ours), names(&theirs));
    ours
}

/// Names of outputs without the numbers of temporary files.
fn names(outcome: &Outcome) -> Vec<String> {
    let digits = |name: &String| name.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
    outcome.outputs.names().iter().map(digits).collect()
}

#[test]
fn questions_about_nvcc_pass() {
    let ws = sources();
    for question in [
        "--version",
        "-V",
        "--help",
        "-h",
        "--list-gpu-code",
        "--list-gpu-arch",
    ] {
        assert!(!passes(&ws, "information", &[question]).stdout.is_empty());
    }
    passes(&ws, "information", &["--version", "-c", "plain.cu"]);
}

#[test]
fn preprocessing_passes() {
    let ws = sources();
    assert!(
        !passes(&ws, "preprocess", &["-E", "external.cu"])
            .stdout
            .is_empty()
    );
    passes(
        &ws,
        "preprocess",
        &["-E", "external.cu", "-o", "external.ii", "-arch=sm_80"],
    );
    passes(&ws, "preprocess", &["-E", "missing.cu"]);
}

#[test]
fn dryrun_passes() {
    let ours = passes(
        &sources(),
        "dryrun",
        &["--dryrun", "-c", "plain.cu", "-o", "out.o"],
    );
    assert!(ours.err().contains("cudafe++"));
    assert!(ours.outputs.names().is_empty());
}

#[test]
fn question_for_the_toolkit_passes() {
    // This is how CMake asks where the toolkit lies.
    let asked = passes(
        &sources(),
        "bad_arguments",
        &["-v", "__cmake_determine_cuda"],
    );
    assert!(asked.err().contains("#$ TOP="));
    assert_ne!(asked.status, 0);
}

#[test]
fn run_passes() {
    let ours = passes(&sources(), "run", &["--run", "main.cu"]);
    assert_eq!(ours.out(), "linked and run\n");
}

#[test]
fn clean_passes() {
    let ws = sources();
    let built = ws.run(ws.ours(&["-c", "external.cu", "-o", "out.o"]));
    built.misses(1);
    ws.run(ws.ours(&["-c", "external.cu", "-o", "out.o", "--clean-targets"]))
        .bypasses("clean");
    assert!(!ws.path("out.o").exists());
}

#[test]
fn timing_passes() {
    let ws = sources();
    let args = ["-c", "external.cu", "-o", "out.o"];
    let ours = passes(
        &ws,
        "timing",
        &[&args[..], &["--time", "times.csv"]].concat(),
    );
    assert!(ours.outputs.names().len() > 1, "{:?}", ours.outputs.names());
    // 12.4 does not know it, and says so.
    let trace = ["-fdevice-time-trace", "trace.json"];
    passes(&ws, "timing", &[&args[..], &trace].concat());
}

#[test]
fn a_source_on_standard_input_passes() {
    let ws = sources();
    let args = ["-x", "cu", "-c", "-", "-o", "out.o"];
    let text = ws.read("second.cu");
    let before = crate::support::tree::Tree::read(&ws.work());
    let theirs = ws.run_with_input(ws.theirs(&args), &text);
    before.restore(&ws.work());
    let ours = ws.run_with_input(ws.ours(&args), &text);
    ours.succeeds().bypasses("stdin").says_the_same_as(&theirs);
    assert_eq!(ours.outputs.names(), theirs.outputs.names());
}

#[test]
fn an_unknown_option_passes() {
    let ours = passes(
        &sources(),
        "unknown_option",
        &["-c", "plain.cu", "--no-such-option"],
    );
    assert_eq!(ours.status, 1);
}

#[test]
fn no_input_passes() {
    let ws = sources();
    passes(&ws, "no_input", &[]);
    passes(&ws, "no_input", &["-c", "-o", "out.o"]);
}

#[test]
fn bad_arguments_fail_with_nvccs_words() {
    let ws = sources();
    for args in [
        &["-c", "plain.cu", "-o"][..],
        &["-c", "plain.cu", "-arch=sm_1"],
        &["-c", "plain.cu", "-arch"],
        &["-c", "plain.cu", "second.cu", "-o", "out.o"],
        &["-c", "plain.cu", "--options-file", "missing.rsp"],
        &["-c", "plain.cu", "-rdc=maybe"],
        &["-c", "plain.cu", "-std=c++99"],
        &[
            "-cubin",
            "plain.cu",
            "-gencode=arch=compute_75,code=sm_75",
            "-gencode=arch=compute_80,code=sm_80",
        ],
    ] {
        let (ours, theirs) = (ws.build(args), ws.plain(args));
        assert_ne!(theirs.status, 0, "{args:?}");
        ours.same_as(&theirs);
        assert_eq!(ours.counted.events(), 1, "{args:?}: {:?}", ours.counted);
        assert_eq!((ours.counted.hits, ours.counted.misses), (0, 0), "{args:?}");
    }
}

#[test]
fn unknown_options_for_the_host_compiler_are_forwarded() {
    let ws = sources();
    let args = [
        "-forward-unknown-to-host-compiler",
        "-fno-strict-aliasing",
        "-c",
        "external.cu",
    ];
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits(1).same_as(&ws.kept(&args));
}

#[test]
fn host_options_with_more_outputs_leave_what_nvcc_leaves() {
    let ws = sources();
    for option in ["--coverage", "-save-temps", "-fstack-usage"] {
        let args = ["-c", "external.cu", "-o", "out.o", "-Xcompiler", option];
        let (ours, theirs) = (ws.build(&args), ws.plain(&args));
        ours.succeeds().says_the_same_as(&theirs);
        assert_eq!(names(&ours), names(&theirs), "{option}");
        assert_eq!(
            (ours.counted.hits, ours.counted.misses),
            (0, 0),
            "{:?}",
            ours.counted
        );
    }
}

#[test]
fn a_disabled_cache_passes_everything() {
    let mut ws = sources();
    let args = ["-c", "external.cu", "-o", "out.o"];
    ws.set_env("PCACHE_DISABLE", "1");
    for _ in 0..2 {
        let ours = ws.build(&args);
        ours.succeeds();
        assert_eq!(
            (ours.counted.hits, ours.counted.misses),
            (0, 0),
            "{:?}",
            ours.counted
        );
        assert_eq!(ours.outputs.names(), ["out.o"]);
    }
    ws.unset_env("PCACHE_DISABLE");
    ws.build(&args).misses(1);
}

#[test]
fn a_precompiled_header_beside_the_header_passes() {
    let ws = Workspace::with(
        "host.cpp",
        "#include \"common.h\"\nint value() { return VALUE; }\n",
    );
    ws.write("common.h", "#define VALUE 1\n");
    let args = ["-c", "host.cpp"];
    ws.build(&args).misses(1);
    let made = Command::new("g++")
        .args(["-x", "c++-header", "common.h", "-o", "common.h.gch"])
        .current_dir(ws.work())
        .status();
    assert!(made.expect("g++ runs").success());
    passes(&ws, "precompiled", &args);
}

/// GCC looks for a precompiled header in each directory before it looks for the header there.
#[test]
fn a_precompiled_header_in_an_earlier_directory_passes() {
    let ws = Workspace::with(
        "host.cpp",
        "#include \"common.h\"\nint value() { return VALUE; }\n",
    );
    ws.write("late/common.h", "#define VALUE 1\n");
    ws.write("other/common.h", "#define VALUE 2\n");
    ws.write("early/empty", "");
    let args = ["-c", "host.cpp", "-Iearly", "-Ilate"];
    ws.build(&args).misses(1);
    // As nvcc compiles a host source, or GCC does not take it.
    let plan = ws.plain(&["-c", "host.cpp", "-Iearly", "-Ilate", "--dryrun"]);
    let text = plan.err().replace("#$ ", "");
    let compile = text
        .lines()
        .find(|line| line.contains("-c -x c++"))
        .unwrap();
    let flags = compile.split_once("-c -x c++").unwrap().1;
    let flags = flags.split_once("\"host.cpp\"").unwrap().0;
    let script = format!("g++ {flags} -x c++-header other/common.h -o early/common.h.gch");
    let made = Command::new("sh")
        .args(["-c", &script])
        .current_dir(ws.work())
        .status();
    assert!(made.expect("a shell").success());
    passes(&ws, "precompiled", &args);
}

/// GCC takes a precompiled header only where the flags of both compiles agree, by rules of its own. The pass must show
/// each one that the compile reads, whatever the flags.
#[test]
fn a_pass_shows_every_precompiled_header_that_the_compile_reads() {
    const FLAGS: [&str; 9] = [
        "-O0",
        "-g",
        "-O2",
        "-fPIC",
        "-fopenmp",
        "-std=c++14",
        "-fno-rtti",
        "-march=x86-64-v3",
        "-DX",
    ];
    let ws = Workspace::with("host.cpp", "#include \"common.h\"\nint value = VALUE;\n");
    ws.write("late/common.h", "#define VALUE 1\n");
    ws.write("other/common.h", "#define VALUE 2\n");
    ws.write("early/empty", "");
    let gcc = |args: &[&str]| {
        let output = Command::new("g++")
            .args(args)
            .current_dir(ws.work())
            .output();
        let output = output.expect("g++ runs");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut used = 0;
    for header_flag in FLAGS {
        let header = [
            "-x",
            "c++-header",
            "other/common.h",
            "-o",
            "early/common.h.gch",
        ];
        gcc(&[&[header_flag][..], &header].concat());
        for flag in FLAGS {
            let source = [flag, "-Iearly", "-Ilate", "host.cpp", "-o", "-"];
            let is_used = gcc(&[&["-S"][..], &source].concat()).contains(".long\t2");
            let text = gcc(&[&["-E", "-fpch-preprocess"][..], &source].concat());
            let is_shown = text.contains("#pragma GCC pch_preprocess");
            assert!(is_shown || !is_used, "{header_flag} for the header, {flag}");
            used += u32::from(is_used);
        }
    }
    assert!(used >= FLAGS.len() as u32, "{used} were read");
}
