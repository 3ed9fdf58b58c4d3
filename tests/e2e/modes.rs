//! Every way of compiling: first build, second build, `nvcc --keep` and nvcc's own lines agree.

use crate::support::judge::{ids_in_text, judge, module_ids};
use crate::support::outcome::Outcome;
use crate::support::toolkit::Toolkit;
use crate::support::workspace::Workspace;

/// A workspace with all of `fixtures/sources`.
pub fn sources() -> Workspace {
    let ws = Workspace::new();
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sources");
    for entry in std::fs::read_dir(from).expect("the fixtures") {
        let path = entry.expect("a fixture").path();
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        ws.write(name, std::fs::read(&path).expect("a fixture"));
    }
    ws
}

/// The first build of `units` translation units, the second one (all hits) and nvcc's own lines
/// with our module ids agree to the byte; where no file holds an id, `nvcc --keep` does too.
#[track_caller]
pub fn agree(ws: &Workspace, args: &[&str], units: u64) -> Outcome {
    let cold = ws.build(args);
    cold.misses(units);
    ws.build(args).hits(units).same_as(&cold);
    let kept = ws.kept(args);
    cold.says_the_same_as(&kept);
    let mut ids = module_ids(ws, args);
    if ids.is_empty() {
        ids = ids_in_text(args, &cold.outputs);
    }
    if ids.is_empty() {
        cold.same_files_as(&kept)
    } else {
        cold.same_files_as(&judge(ws, args, &ids))
    };
    assert_eq!(ws.temporaries(), [""; 0], "left behind");
    cold
}

/// One test for each row: name, units, arguments.
macro_rules! modes {
    ($($name:ident $units:literal [$($arg:literal)+])+) => {$(
        #[test]
        fn $name() {
            agree(&sources(), &[$($arg),+], $units);
        }
    )+};
}

modes! {
    objects_agree 1 ["-c" "plain.cu" "-o" "out.o"]
    objects_without_an_output_name_agree 1 ["-c" "plain.cu"]
    objects_for_two_archs_agree 1 ["-c" "plain.cu" "-gencode=arch=compute_75,code=sm_75" "-gencode" "arch=compute_80,code=[sm_80,sm_86,compute_80]"]
    objects_with_ptx_only_agree 1 ["-c" "plain.cu" "-gencode" "arch=compute_90,code=compute_90"]
    objects_with_a_ptx_only_arch_beside_a_real_one_agree 1 ["-c" "plain.cu" "-gencode=arch=compute_80,code=sm_80" "-gencode=arch=compute_90,code=compute_90"]
    objects_by_arch_and_code_agree 1 ["-c" "plain.cu" "--gpu-architecture" "compute_80" "--gpu-code=sm_80,sm_89"]
    objects_for_the_native_arch_agree 1 ["-c" "plain.cu" "-arch=native"]
    objects_for_all_major_archs_agree 1 ["-c" "external.cu" "-arch=all-major" "-Wno-deprecated-gpu-targets"]
    objects_with_optimisation_and_defines_agree 1 ["-c" "plain.cu" "-O3" "-DNDEBUG" "-std=c++17" "--use_fast_math" "--expt-relaxed-constexpr" "-Xcompiler" "-fPIC,-Wall"]
    device_c_objects_agree 1 ["-dc" "device.cu" "-o" "out.o"]
    relocatable_objects_agree 1 ["-rdc=true" "-c" "device.cu" "-arch=sm_80"]
    device_w_objects_agree 1 ["-dw" "plain.cu" "-o" "out.o"]
    ptx_agrees 1 ["-ptx" "plain.cu" "-arch=sm_80"]
    ptx_in_an_output_directory_agrees 1 ["-gencode=arch=compute_80,code=sm_80" "--ptx" "--default-stream" "per-thread" "--output-directory" "." "-O3" "plain.cu"]
    ptx_that_ptxas_checks_agrees 1 ["-ptx" "plain.cu" "-arch=sm_90" "-o" "out.ptx"]
    ptx_of_several_inputs_agrees 2 ["-ptx" "plain.cu" "second.cu" "-arch=compute_90" "-odir" "."]
    relocatable_ptx_that_ptxas_checks_agrees 1 ["-rdc=true" "-ptx" "device.cu" "-arch=sm_90a"]
    device_debug_ptx_that_ptxas_checks_agrees 1 ["-ptx" "-G" "plain.cu" "-arch=sm_90"]
    relocatable_ptx_agrees 1 ["-rdc=true" "-ptx" "device.cu" "-o" "out.ptx"]
    cubins_agree 1 ["-cubin" "plain.cu" "-arch=sm_80" "-o" "out.cubin"]
    fatbins_agree 1 ["-fatbin" "plain.cu" "-gencode=arch=compute_75,code=sm_75" "-gencode=arch=compute_80,code=[sm_80,compute_80]"]
    relocatable_fatbins_agree 1 ["-fatbin" "-rdc=true" "device.cu" "-arch=sm_80"]
    optix_ir_agrees 1 ["-optix-ir" "external.cu" "-arch=sm_80" "-o" "out.optixir"]
    device_lto_objects_agree 1 ["-dc" "-dlto" "device.cu" "-arch=sm_80" "-o" "out.o"]
    device_debug_objects_agree 1 ["-c" "-G" "plain.cu" "-o" "out.o"]
    device_debug_ptx_agrees 1 ["-ptx" "-G" "plain.cu" "-arch=sm_80"]
    line_info_agrees 1 ["-c" "-lineinfo" "plain.cu" "-o" "out.o"]
    c_plus_plus_as_cuda_agrees 1 ["-x" "cu" "-c" "host.cpp" "-o" "out.o"]
    c_sources_agree 1 ["-c" "host.c"]
    c_plus_plus_sources_agree 1 ["-c" "host.cpp" "-O2"]
    preprocessed_sources_agree 1 ["-c" "host.ii" "-o" "out.o"]
    several_inputs_agree 3 ["-c" "plain.cu" "second.cu" "host.cpp"]
    several_inputs_to_a_folder_agree 2 ["-c" "plain.cu" "second.cu" "-odir" "."]
    libraries_agree 2 ["--lib" "external.cu" "second.cu" "-o" "out.a"]
    threads_agree 1 ["-c" "-t" "2" "plain.cu" "-gencode=arch=compute_75,code=sm_75" "-gencode=arch=compute_80,code=sm_80"]
    joined_zero_threads_agree 1 ["-t0" "-c" "plain.cu" "-gencode=arch=compute_75,code=sm_75" "-gencode=arch=compute_80,code=sm_80"]
    tuned_ptxas_agrees 1 ["-c" "plain.cu" "-maxrregcount" "32" "-Xptxas" "-O2,--warn-on-spills"]
}

/// nvcc looks at the folder only if no profile says where libdevice is.
#[test]
fn folder_of_libdevice_that_nvcc_ignores_is_no_reason_to_compile_uncached() {
    let ws = Workspace::with(
        "unit.cu",
        "__global__ void unit(float *p) { *p = sinf(*p); }\n",
    );
    let args = ["-c", "unit.cu", "-ldir", "nowhere"];
    ws.build(&args).misses(1);
    ws.build(&args).hits_directly(1).same_as(&ws.kept(&args));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn nvccs_unmodified_lines_give_what_nvcc_keep_gives() {
    let ws = sources();
    for args in [
        &[
            "-c",
            "plain.cu",
            "-gencode=arch=compute_75,code=sm_75",
            "-arch=sm_80",
        ][..],
        &["-dc", "device.cu", "-o", "out.o"],
        &["-rdc=true", "device.cu", "caller.cu", "-o", "program"],
        &["-fatbin", "plain.cu", "-arch=sm_80"],
    ] {
        judge(&ws, args, &Default::default()).same_files_as(&ws.kept(args));
    }
}

#[test]
fn ptx_inputs_agree() {
    let ws = sources();
    ws.run(ws.theirs(&["-ptx", "second.cu", "-arch=sm_80", "-o", "in.ptx"]))
        .succeeds();
    for kind in ["-cubin", "-fatbin"] {
        agree(&ws, &[kind, "in.ptx", "-arch=sm_80", "-o", "out"], 1);
    }
}

/// nvcc makes the module id of such an object of the output's whole path.
#[test]
fn objects_of_ptx_are_those_of_their_output_and_see_new_headers() {
    let mut ws = sources();
    ws.run(ws.theirs(&["-ptx", "second.cu", "-arch=sm_80", "-o", "in.ptx"]))
        .succeeds();
    for place in ["one", "other"] {
        ws.write(&format!("{place}/.git/config"), "");
        ws.write(&format!("{place}/in.ptx"), ws.read("in.ptx"));
    }
    let ptx = |output| ["-dc", "in.ptx", "-arch=sm_80", "-o", output];
    for round in 0..2 {
        for place in ["one", "other"] {
            ws.cd(place);
            for output in ["a.o", "b.o"] {
                let theirs = ws.plain(&ptx(output));
                let built = ws.build(&ptx(output));
                built.same_as(&theirs);
                if round > 0 {
                    built.hits_directly(1);
                }
            }
        }
    }
    // The stub is compiled with `-I.`.
    let include = Toolkit::get().root().join("include");
    let header = format!(
        "#include \"{}/fatbinary_section.h\"\nextern \"C\" int more() {{ return 1; }}\n",
        include.display()
    );
    ws.write("other/fatbinary_section.h", header);
    let theirs = ws.plain(&ptx("a.o"));
    ws.build(&ptx("a.o")).misses(1).same_as(&theirs);
    ws.build(&ptx("a.o")).hits_directly(1).same_as(&theirs);
    ws.remove("other/fatbinary_section.h");
    ws.build(&ptx("a.o")).hits_directly(1);
}

#[test]
fn every_suffix_of_host_sources_agrees() {
    let ws = sources();
    for suffix in ["cc", "cxx", "ii"] {
        let name = format!("other.{suffix}");
        ws.write(&name, "int host(int x) { return x; }\n");
        agree(&ws, &["-c", &name], 1);
    }
}

/// 12.4 has no such option: it links, with a library called `toir`, and ours must end as it does.
#[test]
fn ltoir_agrees() {
    let ws = sources();
    let args = [
        "-ltoir",
        "-dlto",
        "-rdc=true",
        "second.cu",
        "-arch=sm_80",
        "-o",
        "out.ltoir",
    ];
    let help = ws.plain(&["--help"]);
    if help.out().contains("--ltoir") {
        agree(&ws, &args, 1);
    } else {
        let theirs = ws.plain(&args);
        assert_ne!(theirs.status, 0);
        assert_eq!(ws.build(&args).status, theirs.status);
    }
}
