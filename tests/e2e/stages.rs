//! What a changed unit redoes, and what it takes from the store: by the counters, and by the
//! processes that are started. Whatever is taken, the outputs are those of a build that takes nothing.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::modes::sources;
use crate::support::judge::{judge, module_ids};
use crate::support::outcome::Outcome;
use crate::support::stages::{Staged, staged};
use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable, program};
use crate::traps_environment::{driver, gcc_of_links, toolkit_of_links};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-arch=sm_80"];
/// Of one arch.
const ALL: &[(&str, u64)] = &[
    ("cudafe", 1),
    ("cicc", 1),
    ("ptxas", 1),
    ("fatbinary", 1),
    ("host_compile", 1),
];
const UNIT: &str = "__device__ int shown;
namespace { __global__ void unnamed(int *p) { *p = shown; } }
static __global__ void local(int *p) {
#ifdef __CUDA_ARCH__
    *p = 1 + 1;
#else
    *p = 7;
#endif
}
#ifndef __CUDA_ARCH__
int host_only(int x) { return x * 3; }
#endif
void launch(int *p) { unnamed<<<1, 1>>>(p); local<<<1, 1>>>(p); }
";

fn unit() -> Workspace {
    Workspace::with("unit.cu", UNIT)
}

#[track_caller]
fn build(ws: &Workspace, args: &[&str]) -> Staged {
    staged(ws, || ws.build(args))
}

/// What a build gives that finds nothing in its cache and works in other folders.
#[track_caller]
pub fn from_nothing(ws: &mut Workspace, args: &[&str]) -> Outcome {
    let (tmp, cache) = (ws.fresh("another tmp"), ws.fresh("another cache"));
    ws.set_env("TMPDIR", tmp);
    ws.set_env("PCACHE_DIR", cache);
    let outcome = ws.build(args);
    ws.set_env("TMPDIR", ws.root().join("tmp"));
    ws.set_env("PCACHE_DIR", ws.root().join("cache"));
    outcome
}

/// The build took `served` and ran `ran`, and gives what a build from nothing and nvcc's own lines give.
#[track_caller]
fn redoes(ws: &mut Workspace, args: &[&str], served: &[(&str, u64)], ran: &[(&str, u64)]) {
    let outcome = build(ws, args);
    outcome.expect(served, ran).misses(1);
    outcome.outcome.same_as(&from_nothing(ws, args));
    let ids = module_ids(ws, args);
    outcome.outcome.same_files_as(&judge(ws, args, &ids));
}

#[test]
fn a_host_only_edit_runs_no_device_stage() {
    let mut ws = unit();
    build(&ws, ARGS).expect(&[], ALL);
    ws.edit("unit.cu", "x * 3", "x * 4");
    let device = [("cicc", 1), ("ptxas", 1)];
    // The module id has changed, and with it names in the cubin.
    let host = [("cudafe", 1), ("fatbinary", 1), ("host_compile", 1)];
    redoes(&mut ws, ARGS, &device, &host);
}

#[test]
fn a_device_only_edit_compiles_nothing_for_the_host() {
    let mut ws = unit();
    build(&ws, ARGS).expect(&[], ALL);
    ws.edit("unit.cu", "1 + 1", "1 + 2");
    let host = [("cudafe", 1), ("host_compile", 1)];
    redoes(&mut ws, ARGS, &host, &ALL[1..4]);
}

#[test]
fn an_edit_that_leaves_the_ptx_equal_ends_with_the_device_compiler() {
    let mut ws = unit();
    build(&ws, ARGS).expect(&[], ALL);
    ws.edit("unit.cu", "1 + 1", "2 + 0");
    // The stub is equal too: nothing is left for the host compiler.
    let served = [
        ("cudafe", 1),
        ("ptxas", 1),
        ("fatbinary", 1),
        ("host_compile", 1),
    ];
    redoes(&mut ws, ARGS, &served, &[("cicc", 1)]);
}

#[test]
fn lines_that_move_do_not_reach_ptxas() {
    let mut ws = unit();
    build(&ws, ARGS).expect(&[], ALL);
    ws.set_env("PCACHE_SEMANTIC", "0");
    ws.edit(
        "unit.cu",
        "__device__ int shown;",
        "\n\n__device__ int shown;",
    );
    let ran = [("cudafe", 1), ("cicc", 1), ("host_compile", 1)];
    redoes(&mut ws, ARGS, &[("ptxas", 1), ("fatbinary", 1)], &ran);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn an_added_arch_compiles_for_that_arch_alone() {
    let mut ws = unit();
    let mut args = vec!["-c", "unit.cu", "-o", "unit.o"];
    args.push("-gencode=arch=compute_80,code=sm_80");
    build(&ws, &args).expect(&[], ALL);
    args.push("-gencode=arch=compute_90,code=sm_90");
    // The host compiler is told which archs there are, and cudafe++'s text is not stored.
    let served = [("cicc", 1), ("ptxas", 1)];
    redoes(&mut ws, &args, &served, ALL);
    // Nor does one that is taken away again, though it was the last.
    args[4] = "-gencode=arch=compute_90,code=sm_90";
    args.pop();
    let served = [("cudafe", 1), ("cicc", 1), ("ptxas", 1)];
    let ran = [("fatbinary", 1), ("host_compile", 1)];
    redoes(&mut ws, &args, &served, &ran);
}

#[test]
fn a_unit_that_sees_its_archs_is_another_with_an_added_arch() {
    let ws = Workspace::with(
        "unit.cu",
        &format!("{UNIT}int archs[] = {{ __CUDA_ARCH_LIST__ }};\n"),
    );
    let one = ["-c", "unit.cu", "-gencode=arch=compute_80,code=sm_80"];
    build(&ws, &one).expect(&[], ALL);
    let two = [&one[..], &["-gencode=arch=compute_90,code=sm_90"]].concat();
    let ran = build(&ws, &two);
    let all = [("cudafe", 1), ("cicc", 2), ("ptxas", 1), ("fatbinary", 1)];
    ran.expect(
        &[("ptxas", 1)],
        &[&all[..], &[("host_compile", 1)]].concat(),
    );
    ran.outcome
        .same_files_as(&judge(&ws, &two, &module_ids(&ws, &two)));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn another_driver_runs_nothing_but_preprocessing() {
    for flags in [&[][..], &["-g"], &["-G"], &["-lineinfo"], &["-rdc=true"]] {
        let mut ws = unit();
        let args = [ARGS, flags].concat();
        let first = build(&ws, &args);
        first.expect(&[], ALL).misses(1);
        let driver = driver(&ws, "999.1");
        ws.set_env("LD_LIBRARY_PATH", &driver);
        ws.set_env("TMPDIR", ws.fresh("elsewhere"));
        build(&ws, &args)
            .expect(ALL, &[])
            .misses(1)
            .same_as(&first.outcome);
    }
}

#[test]
fn only_the_stages_that_are_counted_start_processes() {
    let Ok(strace) = which::which("strace") else {
        // The counters, held by the other tests, are all that can be seen.
        return;
    };
    let ws = unit();
    ws.build(ARGS).misses(1);
    ws.edit("unit.cu", "x * 3", "x * 4");
    let trace = ws.root().join("trace");
    let mut command = ws.command(strace);
    command.args(["-f", "-e", "trace=execve", "-o"]).arg(&trace);
    command.arg(program("pcache-nvcc")).args(ARGS);
    ws.try_run(command).misses(1);
    let text = fs::read_to_string(&trace).expect("a trace");
    let runs = |tool: &str| {
        let called = |line: &&str| line.contains(&format!("/{tool}\"")) && line.contains("= 0");
        text.lines().filter(called).count()
    };
    assert_eq!(
        (runs("cicc"), runs("ptxas"), runs("fatbinary")),
        (0, 0, 1),
        "{text}"
    );
    assert_eq!((runs("cudafe++"), runs("as")), (1, 1), "{text}");
    // The plan is remembered.
    assert_eq!(runs("nvcc"), 0, "{text}");
}

#[test]
fn a_plan_is_not_remembered_beyond_what_it_depends_on() {
    let mut ws = unit();
    let plain = ws.build(ARGS);
    // A variable of nvcc's own that adds words to a command.
    ws.set_env("PTXAS_FLAGS", "-v");
    let verbose = ws.build(ARGS);
    assert!(verbose.err().contains("ptxas info"), "{}", verbose.err());
    ws.unset_env("PTXAS_FLAGS");
    ws.edit("unit.cu", "x * 3", "x * 4");
    ws.build(ARGS).misses(1);
    ws.edit("unit.cu", "x * 4", "x * 3");
    ws.build(ARGS).hits(1).same_as(&plain);
}

/// nvcc asks the host compiler for its version, and that reads a header that no option names.
#[test]
#[ignore = "long: scripts/test-long"]
fn a_plan_is_not_remembered_beyond_the_predefined_header() {
    let text = "__global__ void k(int *p) { *p = 1; }\nint host() { return 1 + 1; }\n";
    let ws = Workspace::with("unit.cu", text);
    let (gcc, headers) = gcc_of_links(&ws);
    let gcc = gcc.to_str().expect("a path in UTF-8");
    let args = [ARGS, &["-ccbin", gcc]].concat();
    let header = headers.join("stdc-predef.h");
    let mut edits = 0;
    let mut edit = || {
        edits += 1;
        let next = edits + 1;
        let (before, after) = (format!("return {edits} +"), format!("return {next} +"));
        ws.edit("unit.cu", &before, &after);
    };
    // Old enough for the toolchain to be remembered, and whatever else is written below.
    let wait = || sleep(Duration::from_millis(2500));
    wait();
    ws.build(&args).misses(1);
    for harmless in [None, Some("#define HARMLESS 1\n")] {
        if let Some(text) = harmless {
            fs::write(&header, text).expect("a header");
            wait();
        }
        edit();
        ws.build(&args).misses(1).same_as(&ws.kept(&args));
        // cudafe++ does not take what nvcc makes of this for a version.
        fs::write(&header, "#undef __GNUC__\n#define __GNUC__ 11\n").expect("a header");
        edit();
        let ours = ws.run(ws.ours(&args));
        ours.says_the_same_as(&ws.run(ws.theirs(&args)));
        assert_ne!(ours.status, 0);
        fs::remove_file(&header).expect("removed");
        edit();
        ws.build(&args).misses(1).same_as(&ws.kept(&args));
    }
}

#[test]
fn a_replaced_tool_runs_its_own_stages_again() {
    let mut ws = unit();
    let bin = toolkit_of_links(&ws).join("bin");
    ws.use_nvcc(bin.join("nvcc"));
    build(&ws, ARGS).expect(&[], ALL);
    let real = Toolkit::get().bin().join("ptxas");
    fs::remove_file(bin.join("ptxas")).expect("remove the link");
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", real.display());
    fs::write(bin.join("ptxas"), script).expect("a script");
    make_executable(&bin.join("ptxas"));
    // The cubin is the same, and so is everything made of it.
    let served = [
        ("cudafe", 1),
        ("cicc", 1),
        ("fatbinary", 1),
        ("host_compile", 1),
    ];
    build(&ws, ARGS).expect(&served, &[("ptxas", 1)]).misses(1);
}

#[test]
fn the_host_compilers_own_variables_do_not_reach_device_code() {
    let mut ws = unit();
    build(&ws, ARGS).expect(&[], ALL);
    ws.set_env("CPATH", ws.side("headers"));
    // The text that cudafe++ writes for the host compiler is not stored.
    redoes(
        &mut ws,
        ARGS,
        &ALL[1..4],
        &[("cudafe", 1), ("host_compile", 1)],
    );
}

#[test]
fn words_are_repeated_with_the_stages_that_said_them() {
    let mut ws = sources();
    let args = ["-c", "warns.cu", "-arch=sm_80", "-Xptxas", "-v"];
    let args = [&args[..], &["-Xcompiler", "-Wall"]].concat();
    let theirs = ws.kept(&args);
    let first = build(&ws, &args);
    first.expect(&[], ALL).says_the_same_as(&theirs);
    let driver = driver(&ws, "999.1");
    ws.set_env("LD_LIBRARY_PATH", &driver);
    let again = build(&ws, &args);
    again.expect(ALL, &[]).misses(1).same_as(&first.outcome);
    ws.build(&args).hits(1).same_as(&first.outcome);
}

#[test]
fn words_that_quote_sources_are_not_repeated_after_an_edit() {
    let ws = Workspace::with(
        "unit.cu",
        "static int unused() { return 1; } /* before */\n\
        __global__ void k(int *p) { int never; *p = 1; }\n",
    );
    let args = [ARGS, &["-Xcompiler", "-Wall"]].concat();
    let first = build(&ws, &args);
    first.expect(&[], ALL);
    assert!(first.outcome.err().contains("before"));
    // Of the same length: to every tool the same, but for what gcc quotes. cicc quotes what it was given.
    ws.edit("unit.cu", "before", "after!");
    let changed = build(&ws, &args);
    let host = [("cudafe", 1), ("host_compile", 1)];
    changed.expect(&ALL[1..4], &host).misses(1);
    changed.outcome.same_as(&ws.kept(&args));
    let words = changed.outcome.err();
    assert!(
        words.contains("after!") && words.contains("never"),
        "{words}"
    );
}

#[test]
fn a_source_copied_into_ptx_is_watched() {
    let ws = Workspace::with(
        "unit.cu",
        "__global__ void k(int *p) {\n  *p = 1; // before\n}\n",
    );
    let args = ["-ptx", "-lineinfo", "--source-in-ptx", "unit.cu"];
    build(&ws, &args).expect(&[], &[("cicc", 1)]);
    ws.edit("unit.cu", "before", "after!");
    let changed = build(&ws, &args);
    changed.expect(&[], &[("cicc", 1)]).same_as(&ws.kept(&args));
}

#[test]
fn damaged_and_evicted_stages_run_again() {
    for damage in [true, false] {
        let mut ws = unit();
        let first = ws.build(ARGS);
        let trees = ["entries", "intermediates/entries"];
        let trees = trees.map(|tree| ws.root().join("cache").join(tree));
        for shard in trees
            .iter()
            .flat_map(|tree| fs::read_dir(tree).expect("shards"))
        {
            for entry in fs::read_dir(shard.expect("a shard").path()).expect("entries") {
                let path = entry.expect("an entry").path();
                if damage {
                    fs::write(path, "damaged").expect("damage it");
                } else {
                    fs::remove_file(path).expect("remove it");
                }
            }
        }
        let driver = driver(&ws, "999.1");
        ws.set_env("LD_LIBRARY_PATH", &driver);
        let again = build(&ws, ARGS);
        again.expect(&[], ALL).same_as(&first);
        assert_eq!(again.outcome.counted.misses, 1);
        ws.build(ARGS).hits(1).same_as(&first);
    }
}

#[test]
fn recache_looks_no_stage_up_and_readonly_stores_none() {
    let mut ws = unit();
    ws.set_env("PCACHE_READONLY", "1");
    ws.build(ARGS).succeeds();
    build(&ws, ARGS).expect(&[], ALL);
    ws.unset_env("PCACHE_READONLY");
    let first = build(&ws, ARGS);
    first.expect(&[], ALL);
    ws.set_env("PCACHE_RECACHE", "1");
    build(&ws, ARGS).expect(&[], ALL).same_as(&first.outcome);
    ws.unset_env("PCACHE_RECACHE");
    ws.set_env("PCACHE_READONLY", "1");
    ws.edit("unit.cu", "x * 3", "x * 4");
    let device = [("cicc", 1), ("ptxas", 1)];
    let host = [("cudafe", 1), ("fatbinary", 1), ("host_compile", 1)];
    for _ in 0..2 {
        build(&ws, ARGS).expect(&device, &host);
    }
}

#[test]
fn kept_files_are_the_same_from_the_store() {
    let mut ws = unit();
    ws.write("kept/.keep", "");
    let args = [ARGS, &["--keep", "--keep-dir", "kept"]].concat();
    let first = build(&ws, &args);
    first.expect(&[], ALL).misses(1);
    let driver = driver(&ws, "999.1");
    ws.set_env("LD_LIBRARY_PATH", &driver);
    build(&ws, &args).expect(ALL, &[]).same_as(&first.outcome);
    // Without --keep less was stored: what is missing is made.
    let mut ws = unit();
    ws.write("kept/.keep", "");
    build(&ws, ARGS).expect(&[], ALL);
    let kept = ws.build(&args);
    kept.misses(1);
    assert_eq!(kept.outputs.names(), ws.plain(&args).outputs.names());
    kept.same_as(&from_nothing(&mut ws, &args));
}

#[test]
fn intermediate_files_under_other_names_are_the_tools_own() {
    let mut ws = unit();
    ws.write("kept/.keep", "");
    let mut args = vec!["-c", "unit.cu", "--keep", "--keep-dir", "kept"];
    args.push("-gencode=arch=compute_80,code=sm_80");
    build(&ws, &args).expect(&[], ALL);
    args.push("-gencode=arch=compute_90,code=sm_90");
    let renamed = build(&ws, &args);
    renamed.expect(&[("cudafe", 1), ("cicc", 1), ("ptxas", 1)], &ALL[1..]);
    renamed.outcome.same_as(&from_nothing(&mut ws, &args));
}

#[test]
fn what_the_assembler_reads_is_in_no_stored_stage() {
    let text = "asm(\".section .rodata\\n.incbin \\\"blob.bin\\\"\\n.text\\n\");\n\
        __global__ void k(int *p) { *p = 1; }\n";
    let mut ws = Workspace::with("unit.cu", text);
    ws.write("blob.bin", "first blob");
    ws.build(ARGS).succeeds();
    ws.write("blob.bin", "other blob");
    let driver = driver(&ws, "999.1");
    ws.set_env("LD_LIBRARY_PATH", &driver);
    let again = build(&ws, ARGS);
    again.expect(ALL, &[]);
    again.outcome.same_as(&ws.kept(ARGS));
}

#[test]
fn a_host_compile_that_cannot_be_done_in_two_steps_is_done_in_one() {
    // The mark of the fatbinary's place is there twice.
    let ours = "asm(\"# pcache-nvcc: the fatbinary\\n\");\n";
    let mut ws = Workspace::with("unit.cu", &format!("{UNIT}{ours}"));
    let outcome = build(&ws, ARGS);
    outcome
        .outcome
        .misses(1)
        .same_as(&from_nothing(&mut ws, ARGS));
    let ids = module_ids(&ws, ARGS);
    outcome.outcome.same_files_as(&judge(&ws, ARGS, &ids));
    assert_eq!(
        outcome.ran(),
        ["cicc", "cudafe", "fatbinary", "host_compile", "ptxas"]
    );
    ws.build(ARGS).hits(1).same_as(&outcome.outcome);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn host_flags_and_forms_give_nvccs_objects() {
    for flags in [
        &[
            "-Xcompiler",
            "-fPIC,-O3,-Wall,-march=native,-fvisibility=hidden",
        ][..],
        &["-Xcompiler", "-pipe,-ffunction-sections", "-std=c++20"],
        &["-rdc=true", "-Xcompiler", "-fno-exceptions"],
        &["-dlto", "-Xfatbin", "-compress-all"],
        &["-I.", "-include", "early.h", "-D", "X=1", "-isystem", "."],
    ] {
        let mut ws = Workspace::with(
            "unit.cu",
            &format!(
                "{UNIT}int inline_asm() {{ int x; asm(\"movl $1, %0\" : \"=r\"(x)); return x; }}\n"
            ),
        );
        ws.write("early.h", "#define EARLY 1\n");
        let args = [ARGS, flags].concat();
        let outcome = ws.build(&args);
        outcome.misses(1);
        outcome.same_files_as(&judge(&ws, &args, &module_ids(&ws, &args)));
        outcome.same_as(&from_nothing(&mut ws, &args));
    }
}
