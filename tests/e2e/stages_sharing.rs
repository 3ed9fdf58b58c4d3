//! Which stages one form of a compile shares with another, that outputs do not depend on where and
//! when they were made, and that objects made so link.

use std::fs;

use crate::modes::sources;
use crate::stages::from_nothing;
use crate::support::judge::{ids_in_text, judge, module_ids};
use crate::support::stages::staged;
use crate::support::workspace::Workspace;
use crate::traps_environment::{driver, toolkit_of_links};

const OBJECT: &[&str] = &["-c", "plain.cu", "-arch=sm_80", "-o", "out.o"];
const PTX: &[&str] = &["-ptx", "plain.cu", "-arch=sm_80", "-o", "out.ptx"];
const CUBIN: &[&str] = &["-cubin", "plain.cu", "-arch=sm_80", "-o", "out.cubin"];
const FATBIN: &[&str] = &["-fatbin", "plain.cu", "-arch=sm_80", "-o", "out.fatbin"];

/// Builds with `args`, which ran `ran` and took everything else, and holds the outputs against a build
/// from nothing and nvcc's own lines.
#[track_caller]
fn shares(ws: &mut Workspace, args: &[&str], ran: &[&str]) {
    let build = staged(ws, || ws.build(args));
    let mut ours = build.ran();
    ours.sort();
    assert_eq!(ours, ran, "{args:?}");
    build.outcome.misses(1).same_as(&from_nothing(ws, args));
    let mut ids = module_ids(ws, args);
    if ids.is_empty() {
        ids = ids_in_text(args, &build.outcome.outputs);
    }
    build.outcome.same_files_as(&judge(ws, args, &ids));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn other_forms_take_the_stages_of_an_object() {
    // A cubin holds sums over PTX that tells lines, and the module id there is another one.
    for (flags, ptxas) in [(&[][..], &[][..]), (&["-lineinfo"], &["ptxas"])] {
        let mut ws = sources();
        ws.build(&[OBJECT, flags].concat()).misses(1);
        shares(&mut ws, &[PTX, flags].concat(), &[]);
        shares(&mut ws, &[CUBIN, flags].concat(), ptxas);
        // It writes another file than for an object.
        shares(&mut ws, &[FATBIN, flags].concat(), &["fatbinary"]);
    }
}

/// Whether nvcc has ptxas check the PTX that `args` ask for: since 13.0 it does for some architectures.
fn checks_ptx(ws: &Workspace, args: &[&str]) -> bool {
    let plan = ws.try_run(ws.theirs(&[args, &["--dryrun"]].concat()));
    plan.succeeds().err().contains("ptxas ")
}

#[test]
fn ptx_that_ptxas_checks_takes_the_stages_of_an_object() {
    let mut ws = sources();
    let form = |form, name| [form, "plain.cu", "-arch=sm_90", "-o", name];
    ws.build(&form("-c", "out.o")).misses(1);
    let args = form("-ptx", "out.ptx");
    let check = checks_ptx(&ws, &args);
    let ran: &[&str] = if check { &["ptxas"] } else { &[] };
    shares(&mut ws, &args, ran);
    // The check is remembered as well, under whatever name.
    let driver = driver(&ws, "999.1");
    ws.set_env("LD_LIBRARY_PATH", &driver);
    let all = [("cicc", 1), ("ptxas", 1)];
    let served = if check { &all[..] } else { &all[..1] };
    let again = staged(&ws, || ws.build(&form("-ptx", "other.ptx")));
    again.expect(served, &[]).misses(1);
    ws.build(&args).hits(1);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn what_the_check_of_ptx_says_is_nvccs() {
    let mut ws = sources();
    let asm =
        |text: &str| format!("__global__ void k(int *p) {{ asm volatile(\"{text}\"); *p = 1; }}\n");
    ws.write("warns.cu", asm(".pragma \\\"nonsense\\\";"));
    ws.write("fails.cu", asm("no.such.instruction;"));
    let args = |source| ["-ptx", source, "-arch=sm_90", "-o", "out.ptx"];
    let first = ws.build(&args("warns.cu"));
    first
        .misses(1)
        .says_the_same_as(&ws.kept(&args("warns.cu")));
    ws.build(&args("warns.cu")).hits(1).same_as(&first);
    for _ in 0..2 {
        let theirs = ws.run(ws.theirs(&args("fails.cu")));
        ws.run(ws.ours(&args("fails.cu"))).says_the_same_as(&theirs);
    }
    if !checks_ptx(&ws, &args("warns.cu")) {
        return;
    }
    // A message that names the file names the user's, wherever the check has read it.
    let bin = toolkit_of_links(&ws).join("bin");
    fs::remove_file(bin.join("ptxas")).expect("remove the link");
    ws.script(
        "ptxas",
        "for last; do :; done; echo \"ptxas $last, line 1; warning\" >&2",
    );
    fs::copy(ws.path("ptxas"), bin.join("ptxas")).expect("a script");
    ws.use_nvcc(bin.join("nvcc"));
    for stages in ["1", "0"] {
        ws.set_env("PCACHE_STAGES", stages);
        let theirs = ws.run(ws.theirs(&args("plain.cu")));
        assert!(theirs.err().contains("ptxas out.ptx, line 1"));
        for _ in 0..2 {
            let ours = ws.run(ws.ours(&args("plain.cu")));
            ours.says_the_same_as(&theirs);
            assert_eq!(ours.counted.fallbacks["stage_failed"], 1);
        }
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn an_object_takes_the_stages_of_other_forms() {
    let mut ws = sources();
    ws.build(PTX).misses(1);
    shares(&mut ws, FATBIN, &["fatbinary", "ptxas"]);
    shares(&mut ws, CUBIN, &[]);
    shares(&mut ws, OBJECT, &["cudafe", "fatbinary", "host_compile"]);
}

#[test]
fn forms_with_debug_information_are_right_whatever_they_share() {
    let mut ws = sources();
    let cubin = |name| ["-cubin", "-G", "plain.cu", "-arch=sm_80", "-o", name];
    ws.build(&cubin("one.cubin")).misses(1);
    // The name of the cubin is in the cubin.
    shares(&mut ws, &cubin("two.cubin"), &["ptxas"]);
    let object = ["-c", "-G", "plain.cu", "-arch=sm_80", "-o", "out.o"];
    // Names are spelled in numbers there, so that only cicc can put in another module id.
    let ran = ["cicc", "cudafe", "fatbinary", "host_compile", "ptxas"];
    shares(&mut ws, &object, &ran);
}

#[test]
fn relocatable_code_of_another_form_is_another_module_of_the_same_stages() {
    let mut ws = sources();
    let form = |form| [form, "-rdc=true", "device.cu", "-arch=sm_80", "-o", "out"];
    ws.build(&form("-c")).misses(1);
    shares(&mut ws, &form("-ptx"), &[]);
}

#[test]
fn a_source_that_names_its_stub_is_not_mistaken() {
    let text =
        "const char *name = \"plain.cudafe1.stub.c\";\n__global__ void k(int *p) { *p = 1; }\n";
    let mut ws = sources();
    ws.write("plain.cu", text);
    let mut args = vec!["-c", "plain.cu", "-gencode=arch=compute_80,code=sm_80"];
    ws.build(&args).misses(1);
    args.push("-gencode=arch=compute_90,code=sm_90");
    let ran = ["cicc", "cudafe", "fatbinary", "host_compile", "ptxas"];
    shares(&mut ws, &args, &ran);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn outputs_do_not_depend_on_where_they_were_made() {
    for flags in [
        &["-c"][..],
        &["-c", "-g"],
        &["-c", "-G"],
        &["-c", "-g", "-G"],
        &["-c", "-lineinfo"],
        &["-c", "-g", "-lineinfo", "-O3"],
        &["-dc", "-g"],
        &["-dc", "-dlto"],
        &["-ptx", "-G"],
        &["-cubin", "-lineinfo"],
    ] {
        let mut ws = sources();
        let args = [flags, &["plain.cu", "-arch=sm_80", "-o", "out"]].concat();
        let first = ws.build(&args);
        first.misses(1).same_as(&from_nothing(&mut ws, &args));
    }
}

#[test]
fn objects_from_the_store_link_with_fresh_ones() {
    let mut ws = sources();
    let make = |ws: &Workspace, args: &[&str]| {
        ws.run(ws.ours(args)).succeeds();
    };
    let objects: Vec<_> = ["device", "caller"]
        .map(|name| {
            let source = format!("{name}.cu");
            ["-dc", &source, "-arch=sm_80"].map(str::to_owned)
        })
        .into();
    let args = |index: usize| {
        objects[index]
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
    };
    let runs = |ws: &Workspace| {
        make(ws, &["-lib", "device.o", "-o", "archive.a"]);
        for callee in ["device.o", "archive.a"] {
            make(ws, &["-arch=sm_80", "caller.o", callee, "-o", "program"]);
            let program = ws.run(ws.command(ws.path("program")));
            assert_eq!(program.succeeds().out(), "linked and run\n");
            ws.remove("program");
        }
        ws.remove("archive.a");
    };
    make(&ws, &args(0));
    make(&ws, &args(1));
    runs(&ws);
    // The callee from stages in the store, the caller compiled anew, and the other way round.
    let driver = crate::traps_environment::driver(&ws, "999.1");
    for index in [0, 1] {
        ws.set_env("LD_LIBRARY_PATH", &driver);
        ws.remove(["device.o", "caller.o"][index]);
        let served = staged(&ws, || ws.run(ws.ours(&args(index))));
        assert_eq!(served.ran(), [""; 0]);
        ws.unset_env("LD_LIBRARY_PATH");
        ws.set_env("PCACHE_DIR", ws.fresh("another cache"));
        ws.remove(["caller.o", "device.o"][index]);
        make(&ws, &args(1 - index));
        ws.set_env("PCACHE_DIR", ws.root().join("cache"));
        runs(&ws);
    }
}

#[test]
fn one_whole_program_source_under_two_defines_links_together() {
    let ws = sources();
    let text = "namespace { __global__ void hidden(int *p) { *p = 1; } }\n\
        static __device__ int mine = 1;\n\
        static __global__ void local(int *p) { *p = mine; }\n\
        void NAME(int *p) { hidden<<<1, 1>>>(p); local<<<1, 1>>>(p); }\n";
    ws.write("named.cu", text);
    for name in ["first", "second"] {
        let object = format!("{name}.o");
        let define = format!("-DNAME={name}");
        let args = ["-c", "named.cu", &define, "-arch=sm_80", "-o", &object];
        ws.run(ws.ours(&args)).misses(1);
    }
    ws.run(ws.ours(&["-c", "main.cu", "-o", "main.o"]))
        .misses(1);
    let link = ["main.o", "first.o", "second.o", "-o", "program"];
    ws.run(ws.ours(&link)).succeeds();
}

#[test]
fn identical_sources_in_two_folders_link_together() {
    for mode in [&["-c"][..], &["-dc"], &["-dc", "-dlto", "-arch=sm_80"]] {
        let ws = sources();
        for dir in ["one", "two"] {
            let text = "namespace { __global__ void hidden(int *p) { *p = 1; } }\n\
                static __device__ int mine = 1;\n\
                static __global__ void local(int *p) { *p = mine++; }\n\
                static void use(int *p) { hidden<<<1, 1>>>(p); local<<<1, 1>>>(p); }\n\
                static void (*keep)(int *) __attribute__((used)) = use;\n";
            ws.write(&format!("{dir}/same.cu"), text);
            let (source, object) = (format!("{dir}/same.cu"), format!("{dir}.o"));
            let args = [mode, &[&source, "-o", &object]].concat();
            ws.run(ws.ours(&args)).misses(1);
        }
        let link = ["main.cu", "one.o", "two.o", "-o", "program"];
        let link = [&link[..], &mode[1..]].concat();
        let (ours, theirs) = (ws.build(&link), ws.plain(&link));
        assert_eq!(ours.status, theirs.status, "{}", ours.err());
        // Toolkits without nvlink's own library refuse to link what is optimised at link time.
        assert!(
            ours.status == 0 || mode.contains(&"-dlto"),
            "{}",
            ours.err()
        );
        assert!(!ours.err().contains("ultiple definition"), "{}", ours.err());
    }
}
