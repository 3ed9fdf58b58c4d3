//! Depfiles: the first and the second build write exactly what nvcc writes, under the same name,
//! for the target at hand.

use crate::support::outcome::Outcome;
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

/// Rules without a compile, in every form: nvcc's on the first call, and again, directly, on the second.
/// The target is put into the depfile where it is delivered, so another one is no reason to compile. CMake's checks
/// have random ones.
#[test]
fn depfile_for_another_target_is_a_direct_hit() {
    let ws = project();
    let to = |target, file, output| {
        let args = ["-c", "src/unit.cu", "-Iinc", "-MD", "-MP"];
        [&args[..], &["-MT", target, "-MF", file, "-o", output]].concat()
    };
    ws.build(&to("x/unit.o", "unit.d", "unit.o")).misses(1);
    let base = ws.path("obj/unit.o");
    let base = base.to_str().expect("a UTF-8 path");
    for target in ["obj/unit.o", "", "a b\\ c", base, "src/unit.cu"] {
        let args = to(target, "obj/unit.d", "obj/unit.o");
        ws.build(&args).hits_directly(1).same_as(&ws.kept(&args));
    }
    let link = |target| {
        let link = ["src/main.cu", "-Iinc", "-MMD", "-o", "program"];
        [&link[..], &["-MT", target, "-MF", "obj/program.d"]].concat()
    };
    ws.write(
        "src/main.cu",
        "#include <far.h>\nint main() { return FAR; }\n",
    );
    ws.build(&link("one")).misses(1);
    let ours = ws.build(&link("two"));
    ours.hits_directly(1);
    let depfile = |outcome: &Outcome| outcome.outputs.bytes("obj/program.d").to_vec();
    assert_eq!(depfile(&ours), depfile(&ws.plain(&link("two"))));
    // Without -MT, and with another -odir, the text has another form.
    for rest in [
        &["-MD", "-MF", "obj/unit.d"][..],
        &["-MD", "-MT", "t", "-odir", "obj"],
    ] {
        let args = [&["-c", "src/unit.cu", "-Iinc"], rest].concat();
        for _ in 0..2 {
            ws.build(&args).hits(1).same_as(&ws.kept(&args));
        }
    }
}

#[test]
fn rules_alone_are_direct_hits() {
    let ws = project();
    for args in [
        &["-M"][..],
        &["-MM", "-MP"],
        &["-M", "-o", "unit.d"],
        &["-MM", "-MF", "unit.d", "-MT", "target"],
        &["-MM", "-MF", "other.d", "-o", "obj/unit.d", "-c"],
        &["-MM", "-odir", "obj", "-ptx", "-arch=sm_80"],
        &["-MM", "--keep", "--keep-dir", "obj", "-isystem", "inc"],
    ] {
        let args = [&["src/unit.cu", "-Iinc"], args].concat();
        let theirs = ws.plain(&args);
        ws.build(&args).succeeds().same_as(&theirs);
        ws.build(&args).hits_directly(1).same_as(&theirs);
    }
    let args = ["-M", "src/host.cpp"];
    ws.write("src/host.cpp", "#include \"near.h\"\nint host = NEAR;\n");
    ws.build(&args).misses(1);
    ws.build(&args).hits_directly(1).same_as(&ws.plain(&args));
}

#[test]
fn rules_to_another_file_are_the_same_rules() {
    let ws = project();
    let to = |file| ["-M", "src/unit.cu", "-Iinc", "-o", file];
    ws.build(&to("unit.d")).misses(1);
    let ours = ws.build(&to("obj/unit.d"));
    ours.hits_directly(1).same_as(&ws.plain(&to("obj/unit.d")));
    // The object has the name that a rule gives it, and is another result.
    let compile = ["-c", "src/unit.cu", "-Iinc", "-o", "unit.o"];
    ws.build(&compile).misses(1).same_as(&ws.kept(&compile));
}

#[test]
fn rules_name_the_headers_of_now() {
    let ws = project();
    let args = ["-MM", "src/unit.cu", "-Iinc"];
    ws.build(&args).misses(1);
    // Another header is found first, one more is included, one is gone.
    ws.write("src/far.h", "#define FAR 2\n");
    ws.edit("src/unit.cu", "<far.h>", "\"far.h\"");
    ws.build(&args).succeeds().same_as(&ws.plain(&args));
    ws.edit("src/host_only.h", "\n", "#include \"later.h\"\n");
    ws.write("src/later.h", "// one\n");
    ws.build(&args).succeeds().same_as(&ws.plain(&args));
    ws.edit("src/later.h", "one", "another");
    ws.build(&args).hits_directly(1).same_as(&ws.plain(&args));
    std::fs::remove_file(ws.path("src/later.h")).expect("removed");
    let theirs = ws.plain(&args);
    assert_ne!(theirs.status, 0);
    ws.build(&args).says_the_same_as(&theirs);
}

#[test]
fn rules_of_several_sources_are_left_to_nvcc() {
    let ws = project();
    ws.write("src/other.cu", "");
    let args = ["-MM", "src/unit.cu", "src/other.cu", "-Iinc"];
    let ours = ws.build(&args);
    ours.bypasses("dependencies").same_as(&ws.plain(&args));
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
