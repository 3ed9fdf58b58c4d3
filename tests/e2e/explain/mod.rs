//! `pcache explain` names what was changed, and nothing else: for each single change of the traps.

mod changes;
mod gone;
mod more;
mod told;
mod traps;

use crate::support::workspace::{Workspace, program};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];
const UNIT: &str = "#include \"value.h\"\n#ifndef __CUDA_ARCH__\nint host() { return 1; }\n#endif\n\
    __global__ void external(int *p) { *p = VALUE; }\n#ifdef X\nextern int sized[X];\n#endif\n";

/// A unit with a header beside it.
fn unit() -> Workspace {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.write("value.h", "#define VALUE 1\n");
    ws
}

/// A unit whose header lies in the second of two folders.
fn two_folders() -> Workspace {
    let ws = Workspace::with("unit.cu", &UNIT.replace("\"value.h\"", "<value.h>"));
    ws.write("first/.keep", "");
    ws.write("second/value.h", "#define VALUE 1\n");
    ws
}

const TWO: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-Ifirst", "-Isecond"];

/// What is said of the last compile but times and stages: its first line, differences, sentences.
fn explained(ws: &Workspace) -> String {
    let mut command = ws.command(program("pcache"));
    let output = command.arg("explain").output().expect("pcache runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let varying = [
        "  at ",
        "  compared with ",
        "  stages ",
        "  compiling it took ",
    ];
    let told = text
        .lines()
        .filter(|line| !varying.iter().any(|start| line.starts_with(start)));
    let root = ws.root().to_str().expect("UTF-8");
    told.collect::<Vec<_>>().join("\n").replace(root, "$ROOT")
}

/// Builds, changes one thing, builds again with `after`; what is said then.
#[track_caller]
fn change_to(
    ws: &mut Workspace,
    before: &[&str],
    after: &[&str],
    change: impl FnOnce(&mut Workspace),
) -> String {
    ws.build(before).succeeds();
    change(ws);
    ws.build(after).succeeds();
    explained(ws)
}

#[track_caller]
fn change(ws: &mut Workspace, args: &[&str], change: impl FnOnce(&mut Workspace)) -> String {
    change_to(ws, args, args, change)
}

/// Paths and digests of a real toolkit differ from one to the next.
fn without_digests(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some((head, values)) if head.trim_start().starts_with("tool ") => {
            let (old, new) = values.split_once(" → ").expect("old and new");
            assert_ne!(old, new);
            head.to_owned()
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What is told of a hit, but for the time of the compile whose result it is.
fn without_former(told: &str) -> String {
    let lines = told.lines();
    let lines = lines.filter(|line| !line.starts_with("  the result is that of the compile"));
    lines.collect::<Vec<_>>().join("\n")
}
