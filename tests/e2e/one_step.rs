//! `PCACHE_STAGES=0`: nvcc itself compiles as one step, and everything else is as it is with stages.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::judge::{judge, module_ids};
use crate::support::workspace::Workspace;
use crate::traps_environment::toolkit_of_links;

const TEXT: &str = "#include \"value.h\"\nstatic __global__ void k(int *p) { *p = VALUE; }\n\
    int host() { k<<<1, 1>>>(nullptr); return VALUE; }\n";

fn sources() -> Workspace {
    let ws = Workspace::with("k.cu", TEXT);
    ws.write("value.h", "#define VALUE 1\n");
    ws.write(
        "h.cpp",
        "#include \"value.h\"\nint host() { return VALUE; }\n",
    );
    ws.write(
        "warns.cu",
        format!("{TEXT}#warning told\n__global__ void unused() {{ int x; }}\n"),
    );
    ws
}

#[test]
#[ignore = "long: scripts/test-long"]
fn one_step_and_stages_give_the_same() {
    for args in [
        &["-c", "k.cu"][..],
        &["-c", "k.cu", "-o", "out.o"],
        &["-c", "k.cu", "-lineinfo"],
        &["-c", "k.cu", "-rdc=true"],
        &["-ptx", "k.cu"],
        &["-ptx", "k.cu", "-arch=sm_90"],
        &["-cubin", "k.cu", "-odir", "."],
        &["-c", "h.cpp"],
        &["-c", "warns.cu", "-Xptxas", "-v"],
    ] {
        let mut ws = sources();
        let theirs = ws.kept(args);
        ws.set_env("PCACHE_STAGES", "0");
        let one_step = ws.build(args);
        one_step.misses(1).same_as(&theirs);
        ws.build(args).hits_directly(1).same_as(&one_step);
        ws.set_env("PCACHE_DIRECT", "0");
        ws.build(args).hits(1).same_as(&one_step);
        ws.unset_env("PCACHE_STAGES");
        let staged = ws.build(args);
        staged.misses(1).says_the_same_as(&theirs);
        staged.same_files_as(&judge(&ws, args, &module_ids(&ws, args)));
    }
}

#[test]
fn depfiles_and_kept_files_are_nvccs() {
    let mut ws = sources();
    ws.set_env("PCACHE_STAGES", "0");
    for args in [&["-c", "k.cu", "-MD"][..], &["-c", "k.cu", "--keep"]] {
        let theirs = ws.plain(args);
        let ours = ws.build(args);
        assert_eq!(ours.outputs.names(), theirs.outputs.names());
        ws.build(args).hits(1).same_as(&ours);
    }
    let args = ["-c", "k.cu", "-MD"];
    assert_eq!(
        ws.build(&args).outputs.bytes("k.d"),
        ws.plain(&args).outputs.bytes("k.d")
    );
}

#[test]
fn an_edit_is_a_miss_and_an_error_nvccs() {
    let mut ws = sources();
    ws.set_env("PCACHE_STAGES", "0");
    let args = ["-c", "k.cu"];
    ws.build(&args).misses(1);
    ws.write("value.h", "#define VALUE 2\n");
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
    ws.write("value.h", "#define VALUE nonsense\n");
    let ours = ws.run(ws.ours(&args));
    ours.says_the_same_as(&ws.run(ws.theirs(&args)));
}

#[test]
fn several_sources_and_links_go_to_nvcc() {
    let mut ws = sources();
    ws.set_env("PCACHE_STAGES", "0");
    ws.write("other.cu", TEXT.replace("host", "other"));
    ws.build(&["-c", "k.cu", "other.cu"]).bypasses("one_step");
}

/// The host compiler takes `x.h.gch` in the place of `x.h`, and one step does not tell whether it has.
#[test]
fn nothing_is_stored_beside_precompiled_headers() {
    let mut ws = sources();
    let farm = toolkit_of_links(&ws);
    let include = farm.join("include");
    let real = fs::canonicalize(&include).expect("the headers");
    fs::remove_file(&include).expect("remove the link");
    links_of(&real, &include);
    fs::remove_file(include.join("crt")).expect("remove the link");
    links_of(&real.join("crt"), &include.join("crt"));
    ws.use_nvcc(farm.join("bin/nvcc"));
    ws.set_env("PCACHE_STAGES", "0");
    let args = ["-c", "k.cu"];
    let precompiled = include.join("crt/host_runtime.h.gch");
    fs::write(&precompiled, "").expect("a file");
    for _ in 0..2 {
        ws.build(&args).misses(1).same_as(&ws.kept(&args));
    }
    fs::remove_file(&precompiled).expect("removed");
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits(1);
}

fn links_of(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder of headers") {
        let entry = entry.expect("a header");
        symlink(entry.path(), to.join(entry.file_name())).expect("a link");
    }
}

#[test]
fn same_inputs_give_the_same_bytes() {
    for flag in ["-lineinfo", "-g"] {
        let mut ws = sources();
        ws.set_env("PCACHE_STAGES", "0");
        ws.set_env("PCACHE_RECACHE", "1");
        let args = ["-c", "k.cu", flag];
        let first = ws.build(&args);
        ws.build(&args).misses(1).same_as(&first);
    }
}
