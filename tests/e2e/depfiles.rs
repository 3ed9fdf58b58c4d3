//! Depfiles: the first and the second build write exactly what nvcc writes, under the same name,
//! for the target at hand.

use crate::support::counters::Counters;
use crate::support::workspace::Workspace;

/// A source with headers of every kind, one of them with a blank in its name.
fn project() -> Workspace {
    let ws = Workspace::new();
    ws.write(
        "src/unit.cu",
        "#include \"near.h\"\n#include <far.h>\n#include \"with blank.h\"\n\
        #ifdef __CUDA_ARCH__\n#include \"device_only.h\"\n#else\n#include \"host_only.h\"\n#endif\n\
        __global__ void unit(int *p) { *p = NEAR + FAR; }\n",
    );
    ws.write("src/near.h", "#define NEAR 1\n");
    ws.write("inc/far.h", "#include \"far/deep.h\"\n");
    ws.write("inc/far/deep.h", "#define FAR 2\n");
    ws.write("inc/with blank.h", "\n");
    ws.write("src/device_only.h", "\n");
    ws.write("src/host_only.h", "\n");
    ws.write("obj/.keep", "");
    ws
}

/// First and second build give nvcc's object and nvcc's depfile.
#[track_caller]
fn agrees(args: &[&str]) {
    let ws = project();
    let args = [&["-c", "src/unit.cu", "-Iinc"], args].concat();
    let cold = ws.build(&args);
    cold.misses(1);
    let kept = ws.kept(&args);
    let depfiles = kept
        .outputs
        .names()
        .iter()
        .filter(|name| !name.ends_with(".o"))
        .count();
    assert_eq!(depfiles, 1, "nvcc wrote {:?}", kept.outputs.names());
    cold.same_as(&kept);
    ws.build(&args).hits(1).same_as(&kept);
}

#[test]
fn depfile_beside_the_default_object_agrees() {
    agrees(&["-MD"]);
}

#[test]
fn depfile_beside_a_named_object_agrees() {
    agrees(&["-MD", "-o", "obj/other.name.o"]);
}

#[test]
fn depfile_without_system_headers_agrees() {
    agrees(&["-MMD", "-o", "obj/unit.o"]);
}

#[test]
fn named_depfile_with_a_target_agrees() {
    agrees(&[
        "-MD",
        "-MT",
        "some/target.cu.o",
        "-MF",
        "obj/unit.d",
        "-o",
        "obj/unit.o",
    ]);
}

#[test]
fn depfile_with_phony_targets_agrees() {
    agrees(&["-MD", "-MP", "-MF", "unit.dep", "-o", "unit.o"]);
}

#[test]
fn depfile_for_two_archs_agrees() {
    agrees(&[
        "-MMD",
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_80,code=sm_80",
    ]);
}

#[test]
fn depfile_with_system_include_folder_agrees() {
    agrees(&["-MMD", "-isystem", "inc", "-MF", "unit.d"]);
}

#[test]
fn depfile_of_ptx_agrees() {
    let ws = project();
    let args = ["-ptx", "src/unit.cu", "-Iinc", "-MD", "-MF", "unit.d"];
    let cold = ws.build(&args);
    cold.misses(1).same_as(&ws.kept(&args));
    ws.build(&args).hits(1).same_as(&cold);
}

#[test]
fn another_object_name_gets_its_own_target_in_the_depfile() {
    let ws = project();
    let args = |object| {
        [
            "-c",
            "src/unit.cu",
            "-Iinc",
            "-MD",
            "-MF",
            "unit.d",
            "-o",
            object,
        ]
    };
    ws.build(&args("one.o")).misses(1);
    let second = ws.build(&args("obj/two.o"));
    second.same_as(&ws.kept(&args("obj/two.o")));
    assert!(second.outputs.bytes("unit.d").starts_with(b"obj/two.o"));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn a_depfile_asked_for_later_is_written() {
    let ws = project();
    let base = ["-c", "src/unit.cu", "-Iinc", "-o", "unit.o"];
    ws.build(&base).misses(1);
    for flags in [
        &["-MD"][..],
        &["-MMD", "-MF", "x.d"],
        &["-MD", "-MT", "a b", "-MF", "y.d"],
    ] {
        let args = [&base[..], flags].concat();
        ws.build(&args).succeeds().same_as(&ws.kept(&args));
        ws.build(&args).hits(1).same_as(&ws.kept(&args));
    }
}

#[test]
fn a_new_include_reaches_the_depfile() {
    let ws = project();
    let args = ["-c", "src/unit.cu", "-Iinc", "-MD", "-o", "unit.o"];
    let first = ws.build(&args);
    first.misses(1);
    ws.write("inc/far/deep.h", "#include \"deeper.h\"\n#define FAR 2\n");
    ws.write("inc/far/deeper.h", "\n");
    let second = ws.build(&args);
    second
        .misses(1)
        .same_as(&ws.kept(&args))
        .differs_from(&first);
    // The object is the same as before; only the depfile may tell them apart.
    assert_eq!(
        first.outputs.bytes("unit.o"),
        second.outputs.bytes("unit.o")
    );
}

#[test]
fn a_header_that_disappears_without_a_trace_leaves_the_depfile() {
    let ws = project();
    let args = ["-c", "src/unit.cu", "-Iinc", "-MD", "-o", "unit.o"];
    ws.build(&args).misses(1);
    ws.edit("src/unit.cu", "#include \"with blank.h\"\n", "");
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
}

#[test]
fn dependencies_only_pass_through() {
    let ws = project();
    for args in [
        &["-M", "src/unit.cu", "-Iinc"][..],
        &["-MM", "src/unit.cu", "-Iinc", "-o", "unit.d"],
        &[
            "-M",
            "-MF",
            "unit.d",
            "-MT",
            "target",
            "src/unit.cu",
            "-Iinc",
        ],
    ] {
        let ours = ws.build(args);
        ours.succeeds()
            .bypasses("dependencies")
            .same_as(&ws.plain(args));
    }
    assert_eq!(ws.counters().since(&Counters::default()).misses, 0);
}

#[test]
fn a_depfile_in_a_missing_folder_fails_as_with_nvcc() {
    let ws = project();
    let args = [
        "-c",
        "src/unit.cu",
        "-Iinc",
        "-o",
        "unit.o",
        "-MD",
        "-MF",
        "missing/unit.d",
    ];
    let theirs = ws.kept(&args);
    assert_eq!(theirs.status, 1);
    // Once before anything is stored, once when the object could be a hit.
    assert_eq!(
        ws.build(&args).says_the_same_as(&theirs).outputs.names(),
        theirs.outputs.names()
    );
    ws.build(&args[..5]).succeeds();
    assert_eq!(
        ws.build(&args).says_the_same_as(&theirs).outputs.names(),
        theirs.outputs.names()
    );
}
