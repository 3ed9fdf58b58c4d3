//! Compiling and linking in one command, libraries, device linking: compiling is cached, linking
//! always runs, and the programs run.

use crate::modes::{agree, sources};
use crate::support::judge::ids_in;
use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;

/// Runs a program of the work folder.
#[track_caller]
fn runs(ws: &Workspace, program: &str) {
    let outcome = ws.run(ws.command(ws.path(program)));
    outcome.succeeds();
    assert_eq!(outcome.out(), "linked and run\n");
}

/// Runs pcache-nvcc and leaves its outputs.
#[track_caller]
fn make(ws: &Workspace, args: &[&str]) -> Outcome {
    ws.run(ws.ours(args))
}

#[test]
fn compile_and_link_agrees_and_the_program_runs() {
    let ws = sources();
    agree(&ws, &["main.cu", "-o", "program"], 1);
    make(&ws, &["main.cu", "-o", "program"]).hits(1);
    runs(&ws, "program");
}

#[test]
fn compile_and_link_without_a_name_makes_a_out() {
    let ws = sources();
    let cold = agree(&ws, &["main.cu", "second.cu", "host.cpp"], 3);
    assert_eq!(cold.outputs.names(), ["a.out"]);
    assert_eq!(cold.outputs.mode("a.out"), 0o755);
}

#[test]
fn relocatable_compile_and_link_agrees_and_the_program_runs() {
    let ws = sources();
    let args = [
        "-rdc=true",
        "device.cu",
        "caller.cu",
        "-o",
        "program",
        "-arch=sm_80",
    ];
    agree(&ws, &args, 2);
    make(&ws, &args).hits(2);
    runs(&ws, "program");
}

#[test]
fn link_time_optimised_objects_link_as_with_nvcc() {
    let ws = sources();
    for unit in ["device.cu", "caller.cu"] {
        make(&ws, &["-dc", "-dlto", "-arch=sm_80", unit]).misses(1);
    }
    // Toolkits without nvlink's own library refuse this link; then so do we.
    let link = [
        "-dlto",
        "-arch=sm_80",
        "device.o",
        "caller.o",
        "-o",
        "program",
    ];
    let (ours, theirs) = (ws.build(&link), ws.plain(&link));
    ours.bypasses("link_only").says_the_same_as(&theirs);
    assert_eq!(ours.outputs.names(), theirs.outputs.names());
}

#[test]
fn shared_libraries_agree() {
    let ws = sources();
    agree(
        &ws,
        &[
            "-shared",
            "-Xcompiler",
            "-fPIC",
            "second.cu",
            "-o",
            "libsecond.so",
        ],
        1,
    );
}

#[test]
fn mixed_sources_and_objects_link() {
    let ws = sources();
    make(&ws, &["-dc", "device.cu"]).misses(1);
    let args = ["-rdc=true", "device.o", "caller.cu", "-o", "program"];
    make(&ws, &args).misses(1);
    runs(&ws, "program");
    ws.remove("program");
    make(&ws, &args).hits(1);
    runs(&ws, "program");
}

#[test]
fn device_links_go_to_nvcc_and_agree() {
    let ws = sources();
    make(&ws, &["-dc", "device.cu", "caller.cu"]).misses(2);
    let args = [
        "-dlink",
        "device.o",
        "caller.o",
        "-o",
        "linked.o",
        "--keep",
        "--keep-dir",
        ".",
    ];
    let ours = ws.build(&args);
    ours.succeeds().bypasses("link_only");
    ours.same_as(&ws.plain(&args));
}

#[test]
fn a_link_of_objects_is_nvccs_own() {
    let ws = sources();
    make(&ws, &["-dc", "device.cu", "caller.cu"]).misses(2);
    make(&ws, &["device.o", "caller.o", "-o", "program"])
        .succeeds()
        .bypasses("link_only");
    runs(&ws, "program");
}

#[test]
fn a_failing_link_fails_as_with_nvcc() {
    let ws = sources();
    let args = ["caller.cu", "-rdc=true", "-o", "program"];
    let (ours, theirs) = (ws.build(&args), ws.plain(&args));
    assert_ne!(theirs.status, 0);
    assert_eq!(ours.status, theirs.status);
    ours.same_files_as(&theirs);
}

#[test]
fn identical_relocatable_sources_in_two_folders_link_together() {
    let ws = sources();
    for dir in ["one", "two"] {
        // One definition each; everything else is the same text under the same name.
        ws.write(
            &format!("{dir}/device.cu"),
            "static __device__ int mine = 1;\n\
            static __global__ void touch(int *p) { *p = mine++; }\n\
            static void use(int *p) { touch<<<1, 1>>>(p); }\n\
            static void (*keep)(int *) __attribute__((used)) = use;\n",
        );
        let args = [
            "-dc",
            &format!("{dir}/device.cu"),
            "-o",
            &format!("{dir}.o"),
        ];
        make(&ws, &args).misses(1);
    }
    make(&ws, &["-dc", "main.cu", "-o", "main.o"]).misses(1);
    make(&ws, &["main.o", "one.o", "two.o", "-o", "program"]).succeeds();
    runs(&ws, "program");
}

#[test]
fn one_relocatable_source_under_two_defines_links_together() {
    let ws = sources();
    ws.write(
        "named.cu",
        "static __device__ int mine = 1;\n\
         __global__ void NAME(int *p) { *p = mine++; }\n",
    );
    for name in ["first", "second"] {
        let define = format!("-DNAME={name}");
        make(
            &ws,
            &["-dc", "named.cu", &define, "-o", &format!("{name}.o")],
        )
        .misses(1);
    }
    make(&ws, &["-dc", "main.cu", "-o", "main.o"]).misses(1);
    make(&ws, &["main.o", "first.o", "second.o", "-o", "program"]).succeeds();
    runs(&ws, "program");
}

#[test]
fn module_ids_survive_edits_of_comments_and_differ_between_sources() {
    let ws = sources();
    let ids = |file: &str| {
        let dir = ws.fresh("ids");
        let mut command = ws.ours(&["-dc", file, "--keep", "--keep-dir"]);
        command.arg(&dir);
        ws.try_run(command).succeeds();
        ids_in(&dir).into_values().collect::<Vec<_>>()
    };
    let (device, caller) = (ids("device.cu"), ids("caller.cu"));
    assert_eq!((device.len(), caller.len()), (1, 1));
    assert_ne!(device, caller);
    ws.edit(
        "device.cu",
        "__device__ int twice",
        "// callee\n__device__ int twice",
    );
    assert_eq!(ids("device.cu"), device);
    ws.edit("device.cu", "return 2 * x", "return x + x");
    assert_ne!(ids("device.cu"), device);
}
