//! `-v`: nvcc prints its commands while it runs them, and CMake reads from them what it needs to know of a compiler.

use std::fs;
use std::path::Path;

use crate::places::{PLACES, arguments, checkouts};
use crate::support::outcome::Outcome;
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

/// The files and directories of the checkouts that GCC's commands name, in order.
fn named_by_gcc(ws: &Workspace, outcome: &Outcome) -> Vec<String> {
    let bases = PLACES.map(|place| ws.path(place).canonicalize().expect("a place"));
    let text = outcome.err();
    let words = text.split(|c: char| c.is_ascii_whitespace() || "'\"".contains(c));
    let is_named = |word: &&str| bases.iter().any(|base| Path::new(word).starts_with(base));
    words.filter(is_named).map(str::to_owned).collect()
}

#[test]
fn what_gcc_prints_with_v_names_the_checkout_at_hand() {
    let mut ws = checkouts();
    let args = [
        "-c",
        "{base}/src/unit.cu",
        "-I{base}/include",
        "-I{base}/nowhere",
        "-Xcompiler=-v",
        "-o",
        "unit.o",
    ];
    let mut first: Option<(String, Outcome)> = None;
    for place in PLACES {
        ws.cd(&format!("{place}/build"));
        let args = arguments(&ws, place, &args);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let theirs = ws.plain(&args);
        let ours = ws.build(&args);
        let named = named_by_gcc(&ws, &theirs);
        assert!(named.len() > 10, "{named:?} in {}", theirs.err());
        assert_eq!(named_by_gcc(&ws, &ours), named);
        let base = ws.path(place).canonicalize().expect("a place");
        let base = base.to_str().expect("UTF-8").to_owned();
        if let Some((other, outcome)) = &first {
            ours.hits_directly(1);
            assert_eq!(ours.err(), outcome.err().replace(other, &base));
        }
        first = Some((base, ours));
    }
}
