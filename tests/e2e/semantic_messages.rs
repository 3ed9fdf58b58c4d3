//! Edits that no compiler sees, of sources that it says something about: messages tell lines and quote them,
//! so that the files of which they speak count byte by byte, and no others.

use crate::semantic::{built_with, hits_alike, is_right, sees_the_edit};
use crate::stages::from_nothing;
use crate::support::outcome::Outcome;
use crate::support::stages::staged;
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-arch=sm_80"];
const LOUD_UNIT: &str = "#include \"value.h\"
__global__ void k(int *p) { int unused; *p = VALUE; } // one
";
const LOUD_HEADER: &str = "#pragma once
// one
__host__ __device__ inline int loud() { int unused; return 3; } // two
";
/// cudafe++ has nothing to say of this, and the host compiler has.
const HOST_HEADER: &str = "#pragma once
// one
__host__ __device__ inline int loud() { return 3; } // two
inline bool compared(unsigned a, int b) { return a < b; }
";
const QUIET_HEADER: &str = "#pragma once
// one
#define VALUE  7 /* two */
inline int quiet() { return 5; }
";

fn says(outcome: &Outcome, word: &str) -> bool {
    outcome.err().contains(word)
}

#[track_caller]
fn loud(args: &[&str], unit: &str, header: &str) -> Workspace {
    let (ws, first) = built_with(args, unit, header);
    assert!(says(&first, "unused"), "{}", first.err());
    ws
}

#[test]
fn files_of_which_messages_speak_count_byte_by_byte() {
    let ws = loud(ARGS, LOUD_UNIT, QUIET_HEADER);
    for (from, to) in [("// one", "// two"), ("__global__", "\n__global__")] {
        ws.edit("unit.cu", from, to);
        let outcome = ws.build(ARGS);
        assert_eq!(outcome.counted.semantic_hits, 0, "{:?}", outcome.counted);
        is_right(&ws, ARGS, &outcome);
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn files_of_which_no_message_speaks_may_change_in_what_no_compiler_sees() {
    let ws = loud(ARGS, LOUD_UNIT, QUIET_HEADER);
    ws.edit("value.h", "// one", "// another");
    hits_alike(&ws, ARGS, 1);
    ws.edit("value.h", "// another", "// another\n// line");
    hits_alike(&ws, ARGS, 0);
    // What was stored for the edited files counts in the same way.
    ws.edit("value.h", "// line", "// row");
    hits_alike(&ws, ARGS, 1);
    ws.edit("unit.cu", "// one", "// another");
    sees_the_edit(&ws, ARGS);
    let unit = "// one\n#include \"value.h\"\n__global__ void k(int *p) { *p = loud(); }\n";
    let ws = loud(ARGS, unit, LOUD_HEADER);
    ws.edit("unit.cu", "// one", "// another");
    hits_alike(&ws, ARGS, 1);
    ws.edit("unit.cu", "// another", "// another\n");
    hits_alike(&ws, ARGS, 0);
    ws.edit("value.h", "// one", "");
    let outcome = ws.build(ARGS);
    assert_eq!(outcome.counted.semantic_hits, 0, "{:?}", outcome.counted);
    is_right(&ws, ARGS, &outcome);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn includers_of_which_messages_speak_count_too() {
    // The host compiler says whence a file was included, and cudafe++ where a template was instantiated.
    let args = [ARGS, &["-Xcompiler", "-Wall"]].concat();
    for (unit, header) in [
        (
            "// one\n#include \"value.h\"\n__global__ void k(int *p) { *p = 1; }\n",
            "inline bool unused(unsigned a, int b) { return a < b; }\n",
        ),
        (
            "// one\n#include \"value.h\"\n__global__ void k(int *p) { *p = loud<int>(); }\n",
            "template <class T> __host__ __device__ int loud() { int unused; return T(3); }\n",
        ),
        (
            "// one\n#include \"value.h\"\nint h(int x) { LOUD; return x; }\n",
            "#define LOUD int unused\n",
        ),
    ] {
        let ws = loud(&args, unit, header);
        for to in ["// another", "// another\n"] {
            ws.edit("unit.cu", "// one", to);
            let outcome = ws.build(&args);
            is_right(&ws, &args, &outcome);
            ws.edit("unit.cu", to, "// one");
            ws.build(&args).hits_directly(1);
        }
    }
}

#[test]
fn names_that_line_directives_give_are_no_files() {
    // Messages name a file that is there and did not change; the lines are those of the header.
    let header = "// one\n#line 3 \"unit.cu\"\n\n\n__host__ __device__ inline int loud() { int unused; return 3; }\n";
    let unit =
        "#include \"value.h\"\n#line 2 \"unit.cu\"\n__global__ void k(int *p) { *p = loud(); }\n";
    let ws = loud(ARGS, unit, header);
    ws.edit("value.h", "\n\n\n__host__", "\n__host__");
    let outcome = ws.build(ARGS);
    assert_eq!(outcome.counted.semantic_hits, 0, "{:?}", outcome.counted);
    is_right(&ws, ARGS, &outcome);
    let ws = loud(ARGS, unit, header);
    ws.edit("value.h", "{ int unused", "{ /* */ int unused");
    let outcome = ws.build(ARGS);
    assert_eq!(outcome.counted.semantic_hits, 0, "{:?}", outcome.counted);
    is_right(&ws, ARGS, &outcome);
}

#[test]
fn headers_reached_by_another_link_are_other_files() {
    let ws = Workspace::with(
        "unit.cu",
        "#include \"link.h\"\nint h() { return loud(); }\n",
    );
    ws.write("a.h", LOUD_HEADER);
    ws.write(
        "b.h",
        LOUD_HEADER
            .replace("// one", "// one\n//")
            .replace("two", "three"),
    );
    let link = |target: &str| {
        let place = ws.path("link.h");
        let _ = std::fs::remove_file(&place);
        std::os::unix::fs::symlink(target, place).expect("a link");
    };
    link("a.h");
    let first = ws.build(ARGS);
    assert!(says(&first, "unused"), "{}", first.err());
    link("b.h");
    sees_the_edit(&ws, ARGS);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn a_stage_with_messages_is_served_while_the_files_that_they_name_stay() {
    // Device code that is gone in the end, and takes its line.
    let unit = "// one\n#include \"value.h\"\n#ifdef __CUDA_ARCH__\n\
                static __device__ int gone() { return __LINE__; }\n#endif\n\
                __global__ void k(int *p) { *p = loud(); }\n";
    for rdc in ["-rdc=false", "-rdc=true"] {
        let quiet = LOUD_HEADER.replace("int unused; ", "");
        for header in [LOUD_HEADER, HOST_HEADER, &quiet] {
            let args = [ARGS, &["-Xcompiler", "-Wall", rdc]].concat();
            let (mut ws, first) = built_with(&args, unit, header);
            assert_eq!(says(&first, "sign-compare"), header == HOST_HEADER);
            ws.edit("unit.cu", "// one", "// one\n");
            let staged = staged(&ws, || ws.build(&args));
            let ran = staged.ran();
            assert!(!ran.contains(&"host_compile"), "{rdc} {header}: {ran:?}");
            staged.outcome.same_as(&from_nothing(&mut ws, &args));
        }
    }
}

#[test]
fn what_ptxas_says_is_said_of_no_source() {
    let args = [ARGS, &["-Xptxas", "-v"]].concat();
    let unit = format!(
        "// one\n{}",
        LOUD_UNIT.replace("int unused; ", "").replace("// one", "")
    );
    let (ws, first) = built_with(&args, &unit, QUIET_HEADER);
    assert!(says(&first, "registers"), "{}", first.err());
    for (to, direct) in [("// another", 1), ("// another\n", 0)] {
        for file in ["unit.cu", "value.h"] {
            let text = String::from_utf8(ws.read(file)).expect("a text");
            ws.write(file, text.replace("// one", to));
            let outcome = ws.build(&args);
            outcome.hits(1).same_as(&first);
            let found = (outcome.counted.direct_hits, outcome.counted.semantic_hits);
            assert_eq!(found, (direct, 1), "{file} {to:?}");
            ws.write(file, text);
            ws.build(&args).hits_directly(1);
        }
    }
}

#[test]
fn the_log_says_why_every_byte_counts() {
    let args = [ARGS, &["-lineinfo"]].concat();
    let mut ws = Workspace::with("unit.cu", LOUD_UNIT);
    ws.write("value.h", QUIET_HEADER);
    let log = ws.root().join("log");
    ws.set_env("PCACHE_LOG", &log);
    ws.build(&args).misses(1);
    let text = std::fs::read_to_string(log).expect("a log");
    let line = "semantic: every byte matters: --generate-line-info";
    assert!(text.contains(line), "{text}");
}
