//! What compiles observe of sources besides their tokens: text that no pass shows, sizes of files that
//! only line information names, options that are in no list.

use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;
use std::process::Command;

/// Builds, builds again, edits, and builds once more as nvcc does. What follows was stored or not.
#[track_caller]
fn edit_and_compare(ws: &Workspace, args: &[&str], edit: impl FnOnce(&Workspace)) -> Outcome {
    let first = ws.build(args);
    first.succeeds();
    ws.build(args).same_as(&first);
    edit(ws);
    let changed = ws.build(args);
    changed.same_as(&ws.kept(args));
    changed
}

/// The host compiler reads these itself: a comment reaches warnings and checksums, which passes do not show.
#[test]
fn comments_of_host_sources_count() {
    let text = "// one\nint f(int x) { switch (x) { case 1: x++; // fall through\n\
        case 2: return x; } return 0; }\n";
    for (source, flags) in [
        ("a.cpp", &["-Xcompiler", "-Wextra"][..]),
        ("a.cpp", &["-Xcompiler", "-W"]),
        ("a.cpp", &["-Xcompiler", "-Wimplicit-fallthrough=3"]),
        ("a.c", &["-Xcompiler", "-Wextra"]),
        ("a.cc", &["-ccbin", "clang++", "-g"]),
        ("a.cpp", &["-ccbin", "clang++", "-Xcompiler", "-gdwarf-5"]),
        (
            "a.cpp",
            &["-ccbin", "clang++", "-Xcompiler", "-g,-gembed-source"],
        ),
        ("a.c", &["-ccbin", "clang", "-g"]),
    ] {
        let ws = Workspace::with(source, text);
        let args = [&["-c", source, "-o", "a.o"], flags].concat();
        let changed = edit_and_compare(&ws, &args, |ws| {
            ws.edit(source, "fall through", "go on from here");
        });
        changed.misses(1);
    }
}

/// ptxas writes the sizes of the files that line information names. `#line` and the author of PTX may name any.
#[test]
fn sizes_of_files_that_no_pass_read_count() {
    let kernel = "#line 10 \"other.txt\"\n__global__ void k(int *p) { *p = 1; }\n";
    let sources = || {
        let ws = Workspace::with("l.cu", kernel);
        ws.write("other.txt", "aaa\n");
        let args = ["-ptx", "l.cu", "-lineinfo", "-o", "m.ptx"];
        ws.run(ws.theirs(&args)).succeeds();
        ws
    };
    for args in [
        &["-cubin", "l.cu", "-lineinfo"][..],
        &["-cubin", "l.cu", "-G"],
        &["-c", "l.cu", "-lineinfo"],
        &["-cubin", "m.ptx"],
        &["-cubin", "m.ptx", "-lineinfo"],
        &["-cubin", "m.ptx", "-Xptxas", "-lineinfo"],
    ] {
        let ws = sources();
        ws.build(args).succeeds();
        ws.write("other.txt", "bbbbbbbbbb\n");
        ws.build(args).same_as(&ws.kept(args));
    }
    // What the passes read is tied to the result, and stored.
    let ws = Workspace::with("l.cu", "__global__ void k(int *p) { *p = 1; }\n// one\n");
    let args = ["-cubin", "l.cu", "-lineinfo"];
    ws.build(&args).misses(1);
    ws.build(&args).hits(1);
    ws.edit("l.cu", "// one", "// another");
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
}

/// What the manuals do not say of an option, no cache can know.
#[test]
fn options_that_no_table_has_go_to_nvcc() {
    let ws = Workspace::with("a.cpp", "int f() { return 1; }\n");
    for (reason, flags) in [
        (
            "host_option",
            &["-Xcompiler", "-fnew-in-a-later-version"][..],
        ),
        ("host_option", &["-Xcompiler", "--new"]),
        ("host_option", &["-Xcompiler", "-fdeps-file=x"]),
        ("host_option", &["-Xcompiler", "-flto-incremental=x"]),
        ("host_option", &["-Xcompiler", "-fauto-profile=x"]),
        ("tool_option", &["-Xptxas", "--new-in-a-later-version"]),
        ("tool_option", &["-Xcicc", "-profuse=x"]),
        ("tool_option", &["-Xcicc", "-show-src"]),
        ("tool_option", &["-Xfatbin", "-image=x"]),
        ("tool_option", &["-Xcudafe", "--xref=x"]),
        ("tool_option", &["-Xnvasm", "-x"]),
    ] {
        let args = [&["-c", "a.cpp"], flags].concat();
        ws.build(&args).bypasses(reason);
    }
    ws.write("list", "k\n");
    let args = [
        "-c",
        "a.cpp",
        "-ccbin",
        "clang++",
        "-Xcompiler",
        "-fbasic-block-sections=list=list",
    ];
    ws.build(&args).bypasses("host_option");
}

/// The real compilers are the judges of the list of harmless options: with each that they take, nothing but
/// the object is written.
#[test]
fn harmless_options_write_nothing_but_the_object() {
    let features = include_str!("../../src/cmdline/features.txt");
    let names = features
        .split_ascii_whitespace()
        .filter(|name| !name.ends_with('-'));
    // g++ takes one for a pass to be enabled, and cannot do the other together with some.
    let names = names.filter(|name| !["enable-matrix", "gnu-tm"].contains(name));
    let flags: Vec<_> = names
        .map(|name| format!("-f{}", name.trim_end_matches('=')))
        .collect();
    let ws = Workspace::with("a.cpp", "int f(int x) { return x; }\n");
    for compiler in ["g++", "clang++"] {
        let mut left = flags.clone();
        while !compile_with(&ws, compiler, &mut left) {}
        assert!(left.len() > 150, "{compiler} takes {} options", left.len());
    }
}

/// Compiles with all of `flags`. Where the compiler refuses some, takes these away and says that it did.
fn compile_with(ws: &Workspace, compiler: &str, flags: &mut Vec<String>) -> bool {
    let mut command: Command = ws.command(compiler);
    command
        .args(["-O1", "-c", "a.cpp", "-o", "a.o"])
        .args(&*flags);
    let outcome = ws.try_run(command);
    let names = outcome.outputs.names();
    assert!(
        names.iter().all(|name| name == "a.o"),
        "{compiler} {flags:?} writes {names:?}"
    );
    if outcome.status == 0 {
        return true;
    }
    let said = outcome.err();
    let words: Vec<_> = said
        .split(|c: char| c.is_whitespace() || "'\u{2018}\u{2019}`=;,".contains(c))
        .collect();
    let before = flags.len();
    flags.retain(|flag| !words.contains(&flag.as_str()));
    assert!(flags.len() < before, "{compiler} {flags:?}: {said}");
    false
}

/// Variables change messages and what tools read and write, too.
#[test]
fn variables_of_compilers_are_keyed_or_keep_the_compile_out() {
    let text = "struct A { void f() {}; };\nint v;\n";
    for (name, value, flags) in [
        (
            "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
            "fixits-v1",
            &["-Xcompiler", "-Wextra-semi"][..],
        ),
        (
            "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
            "fixits-v2",
            &["-Xcompiler", "-Wextra-semi"],
        ),
        (
            "GCC_URLS",
            "bel",
            &["-Xcompiler", "-Wextra-semi,-fdiagnostics-urls=always"],
        ),
        (
            "TERM_URLS",
            "bel",
            &["-Xcompiler", "-Wextra-semi,-fdiagnostics-urls=always"],
        ),
        ("GCC_ROOT", "/nowhere", &[]),
        (
            "LLVM_OVERRIDE_PRODUCER",
            "other",
            &["-ccbin", "clang++", "-Xcompiler", "-flto"],
        ),
    ] {
        let mut ws = Workspace::with("a.cpp", text);
        let args = [&["-c", "a.cpp", "-o", "a.o"], flags].concat();
        let first = ws.build(&args);
        first.misses(1);
        ws.build(&args).hits(1).same_as(&first);
        ws.set_env(name, value);
        let changed = ws.build(&args);
        changed.misses(1).same_as(&ws.kept(&args));
        ws.build(&args).hits(1).same_as(&changed);
    }
    let mut ws = Workspace::with("a.cpp", text);
    for name in [
        "AS_SECURE_LOG_FILE",
        "CCC_OVERRIDE_OPTIONS",
        "CC_LOG_DIAGNOSTICS",
        "CC_PRINT_HEADERS",
        "CC_PRINT_OPTIONS",
        "CC_PRINT_PROC_STAT",
        "EXPERIMENTAL_SARIF_SOCKET",
        "FORCE_CLANG_DIAGNOSTICS_CRASH",
        "GCC_COMPARE_DEBUG",
    ] {
        ws.set_env(name, "");
        ws.build(&["-c", "a.cpp", "-o", "a.o"])
            .bypasses("environment");
        ws.unset_env(name);
    }
}
