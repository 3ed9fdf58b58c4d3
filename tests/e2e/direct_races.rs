//! Direct mode while things change, and that it starts no process.

use std::fs;

use crate::support::poll;
use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable, program};
use crate::traps_environment::toolkit_of_links;

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];

const UNIT: &str = "#include \"value.h\"\n__global__ void external(int *p) { *p = VALUE; }\n\
    int host_value() { return VALUE; }\n";

fn unit() -> Workspace {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.write("value.h", "#define VALUE 1\n");
    ws
}

/// A workspace whose toolkit runs `text` before the tool `name`, and not as a host compiler: another
/// than GCC itself keeps a compile out of direct mode.
fn unit_with_tool(name: &str, text: &str) -> Workspace {
    let mut ws = unit();
    let bin = toolkit_of_links(&ws).join("bin");
    let real = Toolkit::get().bin().join(name);
    let script = format!("#!/bin/sh\n{text}\nexec {} \"$@\"\n", real.display());
    let tool = bin.join(name);
    fs::remove_file(&tool).expect("remove the real one");
    fs::write(&tool, script).expect("a script");
    make_executable(&tool);
    ws.use_nvcc(bin.join("nvcc"));
    ws
}

/// A change while cudafe++ runs, after the passes have read everything: what was read and what is there
/// must not be taken for one state.
#[track_caller]
fn is_not_remembered(change: &str, restore: fn(&Workspace)) {
    let once = "if rm ../flag 2>/dev/null; then sleep 0.05";
    let ws = unit_with_tool("cudafe++", &format!("{once}; {change}; fi"));
    let flag = ws.root().join("flag");
    fs::write(&flag, "").expect("a flag");
    ws.run(ws.ours(ARGS)).succeeds().does_not_hit_directly();
    assert!(!flag.exists(), "cudafe++ never ran");
    ws.remove("unit.o");
    let changed = ws.build(ARGS);
    changed.does_not_hit_directly().same_as(&ws.kept(ARGS));
    // A toolkit that was made just now is not trusted at once.
    poll::until("a direct hit", || {
        (ws.build(ARGS).counted.direct_hits > 0).then_some(())
    });
    ws.build(ARGS).hits_directly(1).same_as(&changed);
    restore(&ws);
    for _ in 0..2 {
        ws.build(ARGS)
            .same_as(&ws.kept(ARGS))
            .differs_from(&changed);
    }
}

#[test]
fn header_that_changes_during_the_compile_is_not_remembered() {
    is_not_remembered("echo '#define VALUE 2' > value.h", |ws| {
        drop(ws.write("value.h", "#define VALUE 1\n"));
    });
}

#[test]
fn header_replaced_by_an_older_one_during_the_compile_is_not_remembered() {
    let change = "echo '#define VALUE 2' > new.h; touch -d 2001-01-01 new.h; mv new.h value.h";
    is_not_remembered(change, |ws| {
        drop(ws.write("value.h", "#define VALUE 1\n"));
    });
}

#[test]
fn source_that_changes_during_the_compile_is_not_remembered() {
    is_not_remembered("echo 'int more;' >> unit.cu", |ws| {
        drop(ws.write("unit.cu", UNIT));
    });
}

#[test]
fn header_that_appears_earlier_during_the_compile_is_seen() {
    let change = "mkdir -p first; echo '#define VALUE 2' > first/value.h";
    let once = "if rm ../flag 2>/dev/null; then sleep 0.05";
    let ws = unit_with_tool("cudafe++", &format!("{once}; {change}; fi"));
    ws.edit("unit.cu", "\"value.h\"", "<value.h>");
    let args = [ARGS, &["-Ifirst", "-I."]].concat();
    fs::write(ws.root().join("flag"), "").expect("a flag");
    ws.run(ws.ours(&args)).succeeds();
    ws.remove("unit.o");
    ws.build(&args)
        .does_not_hit_directly()
        .same_as(&ws.kept(&args));
    ws.remove("first/value.h");
    ws.build(&args).same_as(&ws.kept(&args));
}

/// What a script reads besides its arguments is in its answer, and in no path set.
#[test]
#[ignore = "long: scripts/test-long"]
fn host_compiler_that_is_a_script_is_asked_what_it_adds() {
    let ws = unit();
    let flags = ws.root().join("flags");
    let script = format!("#!/bin/sh\nexec g++ $(cat {}) \"$@\"\n", flags.display());
    make_executable(&ws.write("compiler", &script));
    let args = [&["-ccbin", "./compiler"], ARGS].concat();
    let mut seen = Vec::new();
    for value in ["-DSEEN=1", "-DSEEN=2", "-DSEEN=1"] {
        ws.write("unit.cu", format!("{UNIT}int seen() {{ return SEEN; }}\n"));
        fs::write(&flags, value).expect("flags");
        for _ in 0..3 {
            // Longer than it takes until a new script is trusted.
            std::thread::sleep(std::time::Duration::from_millis(1100));
            let built = ws.build(&args);
            built.same_as(&ws.kept(&args));
            seen.push(built);
        }
    }
    seen[3].differs_from(&seen[0]).does_not_hit_directly();
    seen[2].hits_directly(1);
    seen[6].hits_directly(1);
}

#[test]
fn nvcc_that_is_a_script_keeps_a_compile_out() {
    let mut ws = unit();
    let flags = ws.root().join("flags");
    let real = ws.real_nvcc().display().to_string();
    let script = format!("#!/bin/sh\nexec {real} $(cat {}) \"$@\"\n", flags.display());
    let nvcc = ws.write("bin/nvcc", &script);
    make_executable(&nvcc);
    ws.use_nvcc(nvcc);
    ws.write("unit.cu", format!("{UNIT}int seen() {{ return SEEN; }}\n"));
    for value in ["-DSEEN=1", "-DSEEN=2"] {
        fs::write(&flags, value).expect("flags");
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(1100));
            ws.build(ARGS)
                .does_not_hit_directly()
                .same_as(&ws.kept(ARGS));
        }
    }
}

#[test]
fn hit_starts_no_process() {
    let tools = ["cudafe++", "ptxas"];
    for tool in tools {
        let ws = unit_with_tool(tool, "echo run >> ../runs");
        let log = ws.root().join("runs");
        let first = ws.build(ARGS);
        // A toolkit that was made just now is not trusted at once.
        poll::until("a direct hit", || {
            (ws.build(ARGS).counted.direct_hits > 0).then_some(())
        });
        let runs = fs::read(&log).expect("runs of the tool");
        ws.build(ARGS).hits_directly(1).same_as(&first);
        assert_eq!(fs::read(&log).expect("the runs"), runs);
    }
    // Where there is an strace, it sees nvcc, the host compiler and threads as well.
    let Ok(strace) = which::which("strace") else {
        return;
    };
    let ws = unit();
    let first = ws.build(ARGS);
    let trace = ws.root().join("trace");
    let mut command = ws.command(strace);
    command
        .args(["-f", "-e", "trace=process", "-o"])
        .arg(&trace);
    command.arg(program("pcache-nvcc")).args(ARGS);
    ws.try_run(command).hits_directly(1).same_as(&first);
    let text = fs::read_to_string(&trace).expect("a trace");
    let calls = ["execve(", "fork(", "clone(", "clone3("];
    let starts = |line: &&str| calls.iter().any(|call| line.contains(call));
    assert_eq!(text.lines().filter(starts).count(), 1, "{text}");
}
