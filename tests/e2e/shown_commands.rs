//! `-v`: nvcc prints its commands while it runs them, and CMake reads from them what it needs to know of a compiler.

use std::fs;

use crate::support::workspace::Workspace;

const UNIT: &str = "__global__ void external(int *p) { *p = 1; }\nint main() { return 0; }\n";

#[test]
fn commands_are_printed_with_hits_as_nvcc_prints_them() {
    let ws = Workspace::with("unit.cu", UNIT);
    let keep = ["--keep", "--keep-dir", "kept"];
    fs::create_dir(ws.path("kept")).expect("a folder");
    for args in [
        &["-v", "-c", "unit.cu", "-o", "unit.o"][..],
        &["--verbose", "-ptx", "unit.cu"],
        &["-c", "unit.cu", "-o", "unit.o", "-v", "-MD"],
        &["-v", "unit.cu", "-o", "unit"],
    ] {
        // Otherwise the names of temporary files are random.
        let args = [args, &keep].concat();
        let theirs = ws.plain(&args);
        for hits in [0, 1] {
            let ours = ws.build(&args);
            assert_eq!(ours.err(), theirs.err(), "{args:?}");
            assert!(ours.err().contains("#$ "));
            assert_eq!(
                ours.counted.direct_hits, hits,
                "{args:?}: {:?}",
                ours.counted
            );
        }
    }
}

#[test]
fn commands_among_messages_are_left_to_nvcc() {
    let ws = Workspace::with("unit.cu", &format!("#warning about me\n{UNIT}"));
    let args = ["-v", "-c", "unit.cu", "-o", "unit.o", "--keep"];
    let theirs = ws.plain(&args);
    for _ in 0..2 {
        let ours = ws.build(&args);
        assert_eq!(ours.err(), theirs.err());
        assert_eq!(ours.counted.bypassed.values().sum::<u64>(), 1);
    }
}
