//! What a compile is served that has to identify its toolchain.

use std::fs;
use std::path::PathBuf;

use crate::support::workspace::Workspace;

/// A unit that shows VALUE, and a log of what is decided.
fn unit() -> Workspace {
    let mut ws = Workspace::with(
        "unit.cu",
        "#ifndef VALUE\n#define VALUE 1\n#endif\n\
         __global__ void external(int *p) { *p = VALUE; }\nint host() { return VALUE; }\n",
    );
    let log = log(&ws);
    ws.set_env("PCACHE_LOG", log);
    ws
}

fn log(ws: &Workspace) -> PathBuf {
    ws.root().join("log")
}

/// Removes the log, and says whether one of its compiles has identified its toolchain.
#[track_caller]
fn has_identified(ws: &Workspace) -> bool {
    take_log(ws).contains("not remembered, or changed; identified")
}

#[track_caller]
fn take_log(ws: &Workspace) -> String {
    let text = fs::read_to_string(log(ws)).expect("a log");
    fs::remove_file(log(ws)).expect("removed");
    text
}

#[test]
fn compile_that_has_to_identify_its_toolchain_is_a_direct_hit() {
    let ws = unit();
    ws.write(
        "assert.cu",
        "#include <cassert>\n__global__ void k(int *p) { assert(*p); }\n",
    );
    ws.write(
        "unnamed.cu",
        "namespace { __global__ void k(int *p) { *p = 1; } }\nvoid run(int *p) { k<<<1, 1>>>(p); }\n",
    );
    let units =
        ["unit", "assert", "unnamed"].map(|name| [format!("{name}.cu"), format!("{name}.o")]);
    let build = |[source, object]: &[String; 2]| ws.build(&["-c", source, "-o", object]);
    let first = units.each_ref().map(build);
    take_log(&ws);
    for (unit, first) in units.iter().zip(&first) {
        // What a new container does not have.
        let cache = ws.root().join("cache");
        fs::remove_file(cache.join("digests")).expect("removed");
        fs::remove_dir_all(cache.join("manifests/toolchains")).expect("removed");
        build(unit).hits_directly(1).same_as(first);
        assert!(has_identified(&ws), "{unit:?}");
    }
}
