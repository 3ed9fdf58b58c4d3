//! Direct mode while things change, and that it starts no process.

use std::fs;
use std::path::PathBuf;

use crate::support::workspace::Workspace;

const UNIT: &str = "#include \"value.h\"\n__global__ void external(int *p) { *p = VALUE; }\n\
    int host_value() { return VALUE; }\n";

fn unit() -> Workspace {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.write("value.h", "#define VALUE 1\n");
    ws
}

/// A host compiler that runs `text` first, and the arguments that name it.
fn host_compiler(ws: &Workspace, text: &str) -> String {
    let script = ws.script("my-g++", &format!("#!/bin/sh\n{text}\nexec g++ \"$@\"\n"));
    format!("-ccbin={}", script.display())
}

/// Lets the next build change something at `moment`, a pattern of the host compiler's arguments.
fn meddle(ws: &Workspace, moment: &str, change: &str) -> (String, PathBuf) {
    let flag = ws.root().join("flag");
    let text = format!(
        "case \" $* \" in {moment}) if rm {} 2>/dev/null; then sleep 0.05; {change}; fi;; esac",
        flag.display()
    );
    let ccbin = host_compiler(ws, &text);
    (ccbin, flag)
}

/// What a compile read and what it left must not be taken for one state.
#[track_caller]
fn is_not_remembered(moment: &str, change: &str, restore: fn(&Workspace)) {
    let ws = unit();
    let (ccbin, flag) = meddle(&ws, moment, change);
    let args = ["-c", "unit.cu", "-o", "unit.o", &ccbin];
    fs::write(&flag, "").expect("a flag");
    ws.run(ws.ours(&args)).succeeds();
    assert!(!flag.exists(), "the host compiler never came to {moment}");
    ws.remove("unit.o");
    for _ in 0..2 {
        ws.build(&args).succeeds().same_as(&ws.kept(&args));
    }
    restore(&ws);
    for _ in 0..2 {
        ws.build(&args).succeeds().same_as(&ws.kept(&args));
    }
}

const COMPILES: &str = "*' -c '*";
const PREPROCESSES: &str = "*' -E '*unit.cu*";

#[test]
fn header_that_changes_during_the_compile_is_not_remembered() {
    for moment in [COMPILES, PREPROCESSES] {
        is_not_remembered(moment, "echo '#define VALUE 2' > value.h", |ws| {
            drop(ws.write("value.h", "#define VALUE 1\n"));
        });
    }
}

#[test]
fn header_replaced_by_an_older_one_during_the_compile_is_not_remembered() {
    let change = "echo '#define VALUE 2' > new.h; touch -d 2001-01-01 new.h; mv new.h value.h";
    for moment in [COMPILES, PREPROCESSES] {
        is_not_remembered(moment, change, |ws| {
            drop(ws.write("value.h", "#define VALUE 1\n"));
        });
    }
}

#[test]
fn source_that_changes_during_the_compile_is_not_remembered() {
    let change = "echo 'int more;' >> unit.cu";
    for moment in [COMPILES, PREPROCESSES] {
        is_not_remembered(moment, change, |ws| drop(ws.write("unit.cu", UNIT)));
    }
}

#[test]
fn hit_starts_no_process() {
    let ws = unit();
    let log = ws.root().join("runs");
    let ccbin = host_compiler(&ws, &format!("echo \"$*\" >> {}", log.display()));
    let args = ["-c", "unit.cu", "-o", "unit.o", &ccbin];
    let first = ws.build(&args);
    first.misses(1);
    let runs = fs::read(&log).expect("runs of the host compiler");
    ws.build(&args).hits_directly(1).same_as(&first);
    assert_eq!(fs::read(&log).expect("the runs"), runs);
    // Where there is an strace, it sees more: the dryrun, and threads.
    if let Ok(strace) = which::which("strace") {
        let trace = ws.root().join("trace");
        let mut command = ws.command(strace);
        command
            .args(["-f", "-e", "trace=process", "-o"])
            .arg(&trace);
        command.arg(crate::support::workspace::program("pcache-nvcc"));
        ws.try_run({
            command.args(args);
            command
        })
        .hits_directly(1)
        .same_as(&first);
        let text = fs::read_to_string(&trace).expect("a trace");
        let starts = |line: &&str| {
            ["execve(", "fork(", "clone(", "clone3("]
                .iter()
                .any(|call| line.contains(call))
        };
        assert_eq!(text.lines().filter(starts).count(), 1, "{text}");
    }
}
