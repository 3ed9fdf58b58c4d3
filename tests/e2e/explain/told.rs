//! What is told of hits, of compiles that nvcc does and of results that are not stored; which compile is told of; and
//! what is never kept.

use std::fs;
use std::time::Duration;

use insta::assert_snapshot;

use super::{ARGS, change, explained, unit};
use crate::support::workspace::{Workspace, program};

#[test]
fn what_is_never_stored_is_told() {
    let code = "asm(\".section .rodata\\n.include \\\"code.s\\\"\\n.text\\n\");\n";
    let mut ws = Workspace::with("unit.cu", code);
    ws.write("code.s", ".byte 1\n");
    let edit = |ws: &mut Workspace| drop(ws.write("code.s", ".byte 2\n"));
    assert_snapshot!(change(&mut ws, ARGS, edit), @"
    miss: unit.cu → unit.o
      the result was not stored: the sources mention .include
      the former result was not stored: the sources mention .include
    ");
}

#[test]
fn the_time_of_day_is_told() {
    let mut ws = Workspace::with("unit.cu", "const char *when() { return __TIME__; }\n");
    // `__TIME__` has whole seconds: the second compile must fall into another one.
    let wait = |_: &mut Workspace| std::thread::sleep(Duration::from_millis(1100));
    assert_snapshot!(change(&mut ws, ARGS, wait), @"
    miss: unit.cu → unit.o
        text: passes (the text after preprocessing differs, though no file does)
      a source tells the time of the compile
    ");
}

#[test]
fn comments_that_count_are_told() {
    let mut ws = unit();
    let args = [
        "-ptx",
        "--source-in-ptx",
        "-lineinfo",
        "unit.cu",
        "-o",
        "unit.ptx",
    ];
    ws.edit("unit.cu", "*p = VALUE;", "*p = VALUE; // before\n");
    assert_snapshot!(change(&mut ws, &args, |ws| ws.edit("unit.cu", "before", "after")), @"
    miss: unit.cu → unit.ptx
        source unit.cu: 43865786bb15 → 85813b529a65 (in comments or blanks alone, which count: --source-in-ptx)
    ");
}

#[test]
fn hits_and_detours_are_told() {
    let ws = unit();
    ws.build(ARGS).misses(1);
    ws.build(ARGS).hits_directly(1);
    let told = explained(&ws);
    let (told, when) = told.split_once("compile of ").expect("which result");
    assert!(when.starts_with("20"), "{when}");
    assert_snapshot!(told, @"
    direct hit: unit.cu → unit.o
      the result is that of the
    ");
    ws.build(&["-E", "unit.cu"]).succeeds();
    assert_snapshot!(explained(&ws), @"
    passed to nvcc: unit.cu
      prints the preprocessed source (-E)
      --preprocess
    ");
    ws.edit("unit.cu", "return 1", "return one");
    ws.build(ARGS);
    let told = explained(&ws);
    assert_snapshot!(told.lines().take(2).collect::<Vec<_>>().join("\n"), @"
    fell back to nvcc: unit.cu → unit.o
      a stage failed; nvcc repeats the compile and reports the error
    ");
}

#[test]
fn compiles_are_found_by_source_output_or_order() {
    let ws = unit();
    ws.write("other.cu", "__global__ void other() {}\n");
    ws.build(ARGS).misses(1);
    ws.build(&["-c", "other.cu", "-o", "sub.o"]).misses(1);
    let ask = |args: &[&str]| {
        let mut command = ws.command(program("pcache"));
        let output = command
            .arg("explain")
            .args(args)
            .output()
            .expect("pcache runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let heads = text
            .lines()
            .filter(|line| line.starts_with("miss"))
            .map(str::to_owned);
        (output.status.success(), heads.collect::<Vec<_>>())
    };
    let (first, second) = ("miss: unit.cu → unit.o", "miss: other.cu → sub.o");
    let path = ws.path("unit.cu");
    for what in [
        "unit.o",
        "unit.cu",
        "./unit.o",
        path.to_str().expect("UTF-8"),
    ] {
        assert_eq!(ask(&[what]), (true, vec![first.to_owned()]), "{what}");
    }
    assert_eq!(ask(&["sub.o"]), (true, vec![second.to_owned()]));
    assert_eq!(
        ask(&["--last", "9"]),
        (true, vec![first.to_owned(), second.to_owned()])
    );
    assert_eq!(ask(&["nit.o"]), (false, vec![]));
}

/// Values of variables that are in no key are in nothing that is kept: not in the journal, not in a log, and not
/// in what explanations need.
#[test]
fn nothing_of_the_environment_is_kept_that_no_key_holds() {
    let mut ws = unit();
    let log = ws.root().join("log");
    ws.set_env("PCACHE_LOG", &log);
    ws.set_env("SECRET_TOKEN", "hunter2hunter2");
    ws.build(ARGS).misses(1);
    ws.edit("unit.cu", "return 1", "return one");
    ws.build(ARGS);
    ws.build(&["-E", "unit.cu"]).succeeds();
    ws.unset_env("SECRET_TOKEN");
    let mut left = vec![ws.root().join("cache"), log];
    let mut read = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .expect("a folder")
                    .map(|found| found.expect("one").path()),
            );
            continue;
        }
        let bytes = fs::read(&path).expect("a file");
        let holds = bytes.windows(14).any(|word| word == b"hunter2hunter2");
        assert!(!holds, "{}", path.display());
        read += 1;
    }
    assert!(read > 10, "{read}");
}

/// The output that a compile writes without `-o` has a name, too.
#[test]
fn a_compile_is_found_by_the_output_that_its_source_names() {
    let ws = unit();
    ws.write("made/.keep", "");
    let found = |output: &str| {
        let mut command = ws.command(program("pcache"));
        command
            .args(["explain", output])
            .status()
            .expect("pcache runs")
            .success()
    };
    ws.build(&["-c", "unit.cu"]).misses(1);
    assert!(found("unit.o") && !found("made/unit.o") && !found("unit.ptx"));
    ws.build(&["-c", "unit.cu", "--output-directory", "made"])
        .succeeds();
    assert!(found("made/unit.o"));
    ws.build(&["--ptx", "unit.cu"]).succeeds();
    assert!(found("unit.ptx"));
}
