//! Edits that no compiler sees, and those that one does: a comment, a blank, a moved line. Whatever is
//! served is what nvcc makes of the sources as they are now.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::stages::from_nothing;
use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-arch=sm_80"];
const HEADER: &str = "#pragma once
// one
#define VALUE  7 /* two */
__host__ __device__ inline int by(int x) { return x *  VALUE; }
";
const UNIT: &str = "#include \"value.h\"
// three
__global__ void scale(int *p) { *p = by(*p); }
int host(int x) { return by(x) + 1; }
";

/// A unit and its header, built once.
pub fn built_with(args: &[&str], unit: &str, header: &str) -> (Workspace, Outcome) {
    let ws = Workspace::with("unit.cu", unit);
    ws.write("value.h", header);
    let first = ws.build(args);
    first.misses(1);
    (ws, first)
}

fn built(args: &[&str]) -> (Workspace, Outcome) {
    built_with(args, UNIT, HEADER)
}

/// What nvcc gives for the sources as they are.
#[track_caller]
pub fn is_right(ws: &Workspace, args: &[&str], outcome: &Outcome) {
    outcome.succeeds().same_as(&ws.kept(args));
}

/// The next build hits because of what is here to be shown, and the one after it as if nothing had changed.
#[track_caller]
pub fn hits_alike(ws: &Workspace, args: &[&str], direct: u64) {
    let outcome = ws.build(args);
    outcome.hits(1);
    assert_eq!(outcome.counted.direct_hits, direct, "{:?}", outcome.counted);
    assert_eq!(outcome.counted.semantic_hits, 1, "{:?}", outcome.counted);
    let again = ws.build(args);
    again.hits_directly(1).same_as(&outcome);
    assert_eq!(again.counted.semantic_hits, 0, "{:?}", again.counted);
    is_right(ws, args, &outcome);
}

/// The next build is no semantic hit, and right.
#[track_caller]
pub fn sees_the_edit(ws: &Workspace, args: &[&str]) -> Outcome {
    let outcome = ws.build(args);
    assert_eq!(outcome.counted.hits, 0, "{:?}", outcome.counted);
    is_right(ws, args, &outcome);
    outcome
}

#[test]
fn edits_of_comments_and_blanks_are_direct_hits() {
    let (ws, _) = built(ARGS);
    for (file, from, to) in [
        ("value.h", "// one", "// a longer comment, don't \"count\""),
        ("value.h", "/* two */", ""),
        ("value.h", "VALUE  7", "VALUE /* blank */ 7"),
        ("value.h", "x *  VALUE", "x * VALUE"),
        ("unit.cu", "// three", ""),
        ("unit.cu", "scale(int *p) {", "scale(int *p) {   "),
    ] {
        ws.edit(file, from, to);
        hits_alike(&ws, ARGS, 1);
    }
}

#[test]
fn tokens_that_change_are_seen() {
    for (from, to) in [
        ("VALUE  7", "VALUE  8"),
        ("x *  VALUE", "x *- VALUE"),
        ("VALUE  7 /* two */", "VALUE  7 - 1 /* two */"),
        ("// one", "#define scale rescale"),
        ("/* two */\n", "\\\n* 2\n"),
    ] {
        let (ws, _) = built(ARGS);
        ws.edit("value.h", from, to);
        sees_the_edit(&ws, ARGS);
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn blanks_that_count_are_seen() {
    let unit = "#include \"value.h\"\n#define STR2(x) #x\n#define STR(x) STR2(x)\n\
                const char *host() { return STR(VALUE) NAME; }\n";
    for (header, from, to) in [
        ("#define VALUE a b\n#define NAME \"\"\n", "a b", "a/**/b"),
        ("#define VALUE a+b\n#define NAME \"\"\n", "a+b", "a +b"),
        ("#define VALUE a+b\n#define NAME \"\"\n", "a+b", "a/**/+b"),
        (
            "#define VALUE a\n#define NAME \"x //y\"\n",
            "x //y",
            "x //z",
        ),
        (
            "#define VALUE a\n#define NAME R\"(/*)\" \"*/\"\n",
            "/*",
            "/**",
        ),
    ] {
        let (ws, _) = built_with(ARGS, unit, header);
        ws.edit("value.h", from, to);
        if to == "a/**/b" {
            // A comment is a blank.
            hits_alike(&ws, ARGS, 1);
        } else {
            sees_the_edit(&ws, ARGS);
        }
    }
}

#[test]
fn moved_lines_are_hits_after_preprocessing() {
    let (ws, _) = built(ARGS);
    for (file, from, to) in [
        ("value.h", "// one", "// one\n// and a half"),
        ("unit.cu", "#include", "/* a\n licence */\n\n#include"),
        ("unit.cu", "// three\n", ""),
    ] {
        ws.edit(file, from, to);
        hits_alike(&ws, ARGS, 0);
    }
}

#[test]
fn lines_that_macros_tell_are_seen() {
    let unit = format!("{UNIT}int line() {{ return __LINE__; }}\n");
    let (ws, first) = built_with(ARGS, &unit, HEADER);
    // No line of this file moves.
    ws.edit("value.h", "// one", "// one\n");
    hits_alike(&ws, ARGS, 0);
    ws.edit("unit.cu", "// three", "// three\n");
    sees_the_edit(&ws, ARGS).differs_from(&first);
}

/// Ways in which a call tells its line, in device and host code.
const TELLING: &[&str] = &[
    "__host__ __device__ inline int f(int n = __builtin_LINE()) { return n; }\nINSERT\n\
     __global__ void k(int *p) { *p = f(); }\nint h() { return f(); }\n",
    "struct At { int n; __host__ __device__ At(int n = __builtin_LINE()) : n(n) {} };\nINSERT\n\
     __global__ void k(int *p) { At at; *p = at.n; }\nint h() { return At().n; }\n",
    "struct At { int n; __host__ __device__ At(int x, int n = __builtin_LINE()) : n(n + x) {} };\n\
     __host__ __device__ inline int take(At at) { return at.n; }\nINSERT\n\
     __global__ void k(int *p) { *p = take(1); }\nint h() { return take(1); }\n",
    "struct At { int n = __builtin_LINE(); };\nusing Alias = At;\nINSERT\n\
     __global__ void k(int *p) { Alias at{}; *p = at.n; }\nint h() { Alias at{}; return at.n; }\n",
    "struct At { int n; __host__ __device__ At(int x, int n = __builtin_LINE()) : n(n + x) {} };\nINSERT\n\
     template <class T> __host__ __device__ int made() { T t = 3; return t.n; }\n\
     __global__ void k(int *p) { *p = made<At>(); }\nint h() { return made<At>(); }\n",
    "INSERT\nint h() { auto told = [](int n = __builtin_LINE()) { return n; }; return told(); }\n\
     __global__ void k(int *p) { auto told = [](int n = __builtin_LINE()) { return n; }; *p = told(); }\n",
    "struct Call { __host__ __device__ int operator()(int x, int n = __builtin_LINE()) const { return n + x; } };\nINSERT\n\
     template <class F> __host__ __device__ int call(F f) { return f(1); }\n\
     __global__ void k(int *p) { *p = call(Call()); }\nint h() { return call(Call()); }\n",
    "__global__ void k(int *p, int n = __builtin_LINE()) { *p = n; }\nINSERT\n\
     void h(int *p) { k<<<1, 1>>>(p); }\n",
    "__host__ __device__ inline int f(auto x, int n = __builtin_LINE()) { return x + n; }\nINSERT\n\
     __global__ void k(int *p) { *p = f<int>(3); }\nint h() { return f<int>(3); }\n",
    "struct In { int a[2]; int *begin(int n = __builtin_LINE()) { a[0] = n; return a; } int *end() { return a + 1; } };\nINSERT\n\
     int h() { In in; for (int x : in) return x; return 0; }\n",
];

/// A call that only an attribute makes.
const CLEANUP: &str = "int seen;\ninline void f(int *p, int n = __builtin_LINE()) { seen = *p + n; }\n// here\n\
     int h() { int x __attribute__((cleanup(f))) = 3; return x; }\n";

#[test]
fn lines_that_cleanups_tell_are_seen() {
    let asked = Workspace::with("unit.cu", CLEANUP).plain(ARGS);
    if asked.status != 0 {
        // cudafe++ 13.5 takes no function with a second parameter here.
        assert!(asked.err().contains("cleanup routine"), "{}", asked.err());
        return;
    }
    let (ws, first) = built_with(ARGS, CLEANUP, HEADER);
    ws.edit("unit.cu", "// here", "// here\n// and here");
    sees_the_edit(&ws, ARGS).differs_from(&first);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn lines_that_calls_tell_are_seen() {
    let args = &[ARGS, &["-std=c++20"]].concat();
    for unit in TELLING {
        let (ws, first) = built_with(args, &unit.replace("INSERT\n", "// here\n"), HEADER);
        ws.edit("unit.cu", "// here", "// here\n// and here");
        sees_the_edit(&ws, args).differs_from(&first);
    }
}

#[test]
fn columns_that_calls_tell_are_seen() {
    let args = [ARGS, &["-std=c++20"]].concat();
    let unit = "#include <source_location>\n\
                int h() { /* a */ return std::source_location::current().column(); }\n";
    let (ws, _) = built_with(&args, unit, HEADER);
    ws.edit("unit.cu", "/* a */", "/* b */");
    hits_alike(&ws, &args, 1);
    ws.edit("unit.cu", "/* b */", "/* longer */");
    let outcome = ws.build(&args);
    assert_eq!(outcome.counted.direct_hits, 0, "{:?}", outcome.counted);
    is_right(&ws, &args, &outcome);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn every_byte_counts_where_lines_are_told() {
    for more in [
        &["-g"][..],
        &["-lineinfo"],
        &["-G"],
        &["-Xcompiler", "-g1"],
        &["-pg"],
        &["-lineinfo", "--source-in-ptx"],
    ] {
        let args = [ARGS, more].concat();
        let (mut ws, _) = built(&args);
        ws.edit("value.h", "// one", "// another");
        let edited = ws.build(&args);
        assert_eq!(edited.counted.direct_hits, 0, "{more:?}");
        assert_eq!(edited.counted.semantic_hits, 0, "{more:?}");
        edited.same_as(&from_nothing(&mut ws, &args));
        ws.edit("value.h", "// another", "// another\n");
        let moved = ws.build(&args);
        assert_eq!(moved.counted.semantic_hits, 0, "{more:?}");
        moved.same_as(&from_nothing(&mut ws, &args));
    }
}

#[test]
fn sizes_of_sources_in_line_information_are_theirs() {
    let args = &[
        "-cubin",
        "unit.cu",
        "-o",
        "unit.cubin",
        "-arch=sm_80",
        "-lineinfo",
    ];
    let (ws, _) = built(args);
    ws.edit("value.h", "// one", "// one, and more");
    // ptxas writes the size into the cubin; that of 13.5 does not.
    ws.build(args).succeeds().same_as(&ws.kept(args));
}

#[test]
fn host_sources_count_byte_by_byte() {
    let args = &["-c", "unit.cpp", "-o", "unit.o"];
    let ws = Workspace::with("unit.cpp", "int f() { return 1; } // one\n");
    ws.build(args).misses(1);
    ws.edit("unit.cpp", "// one", "// two");
    let outcome = ws.build(args);
    assert_eq!(outcome.counted.semantic_hits, 0, "{:?}", outcome.counted);
    is_right(&ws, args, &outcome);
}

#[test]
fn comments_that_the_preprocessor_warns_of_are_seen() {
    let args = [ARGS, &["-Xcompiler", "-Wall"]].concat();
    for to in ["/* /* two */", "// two \\\n"] {
        let (ws, _) = built(&args);
        ws.edit("value.h", "/* two */", to);
        let outcome = ws.build(&args);
        assert_eq!(outcome.counted.direct_hits, 0, "{:?}", outcome.counted);
        assert!(
            String::from_utf8_lossy(&outcome.stderr).contains("warning"),
            "{outcome:?}"
        );
        is_right(&ws, &args, &outcome);
    }
}

#[test]
fn headers_that_become_copies_are_seen() {
    // GCC takes files with `#pragma once`, equal bytes and equal times for one.
    let unit = "#include \"a.h\"\n#include \"b.h\"\n__global__ void k(int *p) { *p = COUNT; }\n";
    let header = "#pragma once\n#ifdef COUNT\n#undef COUNT\n#define COUNT 2\n#else\n#define COUNT 1\n#endif\n";
    let ws = Workspace::with("unit.cu", unit);
    let write = |name: &str, comment: &str| {
        let path = ws.write(name, format!("{header}// {comment}\n"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let file = File::options().write(true).open(path).expect("a header");
        file.set_modified(time).expect("a time");
    };
    write("a.h", "one");
    write("b.h", "two");
    let first = ws.build(ARGS);
    first.misses(1);
    write("b.h", "one");
    sees_the_edit(&ws, ARGS).differs_from(&first);
}

#[test]
fn depfiles_are_written_by_semantic_hits() {
    let args = [ARGS, &["-MD", "-MF", "unit.d"]].concat();
    let (ws, _) = built(&args);
    ws.edit("value.h", "// one", "// two");
    hits_alike(&ws, &args, 1);
    ws.edit("value.h", "// two", "// two\n");
    hits_alike(&ws, &args, 0);
}

#[test]
fn the_setting_turns_it_off() {
    let (mut ws, first) = built(ARGS);
    ws.set_env("PCACHE_SEMANTIC", "0");
    ws.edit("value.h", "// one", "// two");
    // Preprocessed, the comment is gone.
    let edited = ws.build(ARGS);
    edited.hits(1).does_not_hit_directly().same_as(&first);
    assert_eq!(edited.counted.semantic_hits, 0);
    ws.edit("value.h", "// two", "// two\n");
    ws.build(ARGS).misses(1).same_as(&first);
}

#[test]
fn of_many_units_all_must_be_alike() {
    let args = &["-c", "unit.cu", "other.cu", "-arch=sm_80"];
    let mut ws = Workspace::with("unit.cu", UNIT);
    ws.write("value.h", HEADER);
    ws.write("other.cu", "__global__ void other() {} // four\n");
    ws.build(args).misses(2);
    ws.edit("other.cu", "// four", "// five");
    let outcome = ws.build(args);
    outcome.hits_directly(2);
    assert_eq!(outcome.counted.semantic_hits, 2);
    ws.edit("other.cu", "other()", "other2()");
    let outcome = ws.build(args);
    assert_eq!(outcome.counted.misses, 1, "{:?}", outcome.counted);
    outcome.same_as(&from_nothing(&mut ws, args));
}

#[test]
fn damaged_token_sets_cost_a_preprocessing() {
    let (ws, _) = built(ARGS);
    let shards = ws.root().join("cache");
    let mut damaged = 0;
    let mut folders = vec![shards];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).expect("a file");
            let title = b"pcache-nvcc token sets 2";
            if let Some(at) = bytes.windows(title.len()).position(|found| found == title) {
                bytes[at + 100] ^= 1;
                fs::write(&path, bytes).expect("damage");
                damaged += 1;
            }
        }
    }
    assert_eq!(damaged, 1);
    ws.edit("value.h", "// one", "// two");
    let outcome = ws.build(ARGS);
    outcome.succeeds().does_not_hit_directly();
    is_right(&ws, ARGS, &outcome);
}
