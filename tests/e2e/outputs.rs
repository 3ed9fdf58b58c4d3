//! Where outputs go and how they look: names, modes, kept files, odd places. On a miss and on a
//! hit alike, they are as nvcc leaves them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::modes::sources;
use crate::support::outcome::Outcome;
use crate::support::tree::{Node, Tree};
use crate::support::workspace::Workspace;

const KERNEL: &str = "__global__ void k(int *p) { *p = 1; }\n";

/// Prepares, runs, looks at the whole work folder, puts it back.
#[track_caller]
fn state_after(ws: &Workspace, command: Command, prepare: &dyn Fn(&Workspace)) -> (Outcome, Tree) {
    let before = Tree::read(&ws.work());
    prepare(ws);
    let outcome = ws.run(command);
    let state = Tree::read(&ws.work());
    before.restore(&ws.work());
    (outcome, state)
}

/// nvcc, a miss of ours and (when there was one) a hit of ours leave the same work folder, where
/// `prepare` has put something in the way.
#[track_caller]
fn leaves_the_same(args: &[&str], prepare: &dyn Fn(&Workspace)) {
    let ws = Workspace::with("k.cu", KERNEL);
    let (theirs, expected) = state_after(&ws, keeping(&ws, args), prepare);
    for round in ["first", "second"] {
        let (ours, state) = state_after(&ws, ws.ours(args), prepare);
        ours.says_the_same_as(&theirs);
        let cached = ours.counted.hits + ours.counted.misses > 0;
        let differences = if cached || theirs.status != 0 {
            state.differences(&expected)
        } else {
            // nvcc's own bytes differ from run to run.
            without_bytes(state).differences(&without_bytes(expected.clone()))
        };
        assert!(
            differences.is_empty(),
            "the {round} build leaves otherwise:\n{differences}"
        );
    }
}

/// Kinds, modes and targets alone.
fn without_bytes(mut tree: Tree) -> Tree {
    for node in tree.0.values_mut() {
        if let Node::File { bytes, .. } = node {
            bytes.clear();
        }
    }
    tree
}

fn keeping(ws: &Workspace, args: &[&str]) -> Command {
    let mut command = ws.theirs(args);
    command
        .arg("--keep")
        .arg("--keep-dir")
        .arg(ws.fresh("kept"));
    command
}

fn put(name: &'static str, content: &'static str, mode: u32) -> impl Fn(&Workspace) {
    move |ws| {
        let path = ws.write(name, content);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }
}

#[test]
fn an_existing_object_is_replaced_by_a_fresh_file() {
    leaves_the_same(&["-c", "k.cu"], &put("k.o", "old", 0o600));
}

#[test]
fn an_empty_object_is_written_in_place() {
    leaves_the_same(&["-c", "k.cu"], &put("k.o", "", 0o600));
}

#[test]
fn an_existing_ptx_file_keeps_its_mode() {
    leaves_the_same(&["-ptx", "k.cu"], &put("k.ptx", "old", 0o640));
}

#[test]
fn an_existing_cubin_keeps_its_mode() {
    leaves_the_same(
        &["-cubin", "k.cu", "-arch=sm_80"],
        &put("k.cubin", "old", 0o755),
    );
}

#[test]
fn an_existing_fatbin_keeps_its_mode() {
    leaves_the_same(&["-fatbin", "k.cu"], &put("k.fatbin", "old", 0o600));
}

#[test]
fn an_existing_depfile_keeps_its_mode() {
    leaves_the_same(&["-c", "k.cu", "-MD"], &put("k.d", "old", 0o600));
}

#[test]
fn a_longer_old_file_is_cut() {
    let long: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    leaves_the_same(&["-ptx", "k.cu"], &put("k.ptx", long, 0o644));
}

#[test]
fn an_object_through_a_symlink_is_as_nvcc_leaves_it() {
    leaves_the_same(&["-c", "k.cu"], &|ws| {
        ws.write("elsewhere", "old");
        symlink("elsewhere", ws.path("k.o")).expect("a link");
    });
}

#[test]
fn ptx_through_a_symlink_is_as_nvcc_leaves_it() {
    leaves_the_same(&["-ptx", "k.cu"], &|ws| {
        ws.write("elsewhere", "old");
        symlink("elsewhere", ws.path("k.ptx")).expect("a link");
    });
}

#[test]
fn an_object_through_a_dangling_symlink_is_as_nvcc_leaves_it() {
    leaves_the_same(&["-c", "k.cu"], &|ws| {
        symlink("nowhere", ws.path("k.o")).expect("a link");
    });
}

#[test]
fn another_name_of_an_old_object_keeps_the_old_bytes() {
    leaves_the_same(&["-c", "k.cu"], &|ws| {
        ws.write("other.o", "old bytes");
        fs::hard_link(ws.path("other.o"), ws.path("k.o")).expect("a hard link");
    });
}

#[test]
fn another_name_of_an_old_ptx_file_sees_the_new_bytes() {
    leaves_the_same(&["-ptx", "k.cu"], &|ws| {
        ws.write("other.ptx", "old bytes");
        fs::hard_link(ws.path("other.ptx"), ws.path("k.ptx")).expect("a hard link");
    });
}

#[test]
fn changing_an_output_does_not_change_the_store() {
    let ws = Workspace::with("k.cu", KERNEL);
    let args = ["-c", "k.cu", "-o", "k.o"];
    ws.run(ws.ours(&args)).misses(1);
    let first = ws.read("k.o");
    for _ in 0..2 {
        // In place, as strip or a careless tool would.
        ws.write("k.o", "scribble");
        ws.run(ws.ours(&args)).hits(1);
        assert!(ws.read("k.o") == first);
    }
}

#[test]
fn two_restored_objects_are_two_files() {
    let ws = Workspace::with("k.cu", KERNEL);
    ws.run(ws.ours(&["-c", "k.cu", "-o", "a.o"])).misses(1);
    ws.run(ws.ours(&["-c", "k.cu", "-o", "b.o"])).hits(1);
    assert!(ws.read("a.o") == ws.read("b.o"));
    for name in ["a.o", "b.o"] {
        assert_eq!(fs::metadata(ws.path(name)).expect("an object").nlink(), 1);
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn a_narrow_umask_narrows_the_outputs() {
    let ws = Workspace::with("k.cu", KERNEL);
    let under = |umask: &str, program: &Path, args: &[&str]| {
        let mut sh = ws.command("sh");
        sh.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(program)
            .args(args);
        ws.try_run(sh)
    };
    let ours = crate::support::workspace::program("pcache-nvcc");
    for args in [
        &["-c", "k.cu"][..],
        &["-ptx", "k.cu"],
        &["-c", "k.cu", "-MD", "-MF", "k.d"],
    ] {
        for umask in ["022", "077", "002"] {
            let expected = under(umask, ws.real_nvcc(), args);
            for name in expected.outputs.names() {
                let got = under(umask, &ours, args);
                assert_eq!(
                    got.outputs.mode(&name),
                    expected.outputs.mode(&name),
                    "{args:?}"
                );
            }
        }
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn output_names_that_nvcc_chooses_are_the_same() {
    let ws = Workspace::with("dir/k.name.cu", KERNEL);
    ws.write("out/.keep", "");
    for args in [
        &["-c", "dir/k.name.cu"][..],
        &["-ptx", "dir/k.name.cu"],
        &["-cubin", "dir/k.name.cu", "-arch=sm_80"],
        &["-fatbin", "dir/k.name.cu"],
        &["-c", "dir/k.name.cu", "-odir", "out"],
        &["-ptx", "dir/k.name.cu", "--output-directory=out"],
        &["-c", "dir/k.name.cu", "-o", "out/strange name"],
        &["-c", "-c", "dir/k.name.cu", "-o", "out/twice.o"],
    ] {
        let theirs = ws.kept(args);
        theirs.succeeds();
        ws.build(args).same_as(&theirs);
        ws.build(args).hits(1).same_as(&theirs);
    }
}

#[test]
fn one_cubin_under_two_names_is_each_time_nvccs() {
    // ptxas writes its own command line, with the output's name, into some cubins.
    let ws = sources();
    for flags in [&[][..], &["-G"], &["-lineinfo"]] {
        for name in ["one.cubin", "another.cubin"] {
            let args = [&["-cubin", "external.cu", "-arch=sm_80", "-o", name], flags].concat();
            ws.build(&args).succeeds().same_as(&ws.kept(&args));
            ws.build(&args).hits(1).same_as(&ws.kept(&args));
        }
    }
}

#[test]
fn kept_files_come_back_on_the_second_build() {
    let ws = sources();
    for args in [
        &["--keep", "-c", "plain.cu"][..],
        &["-save-temps", "-ptx", "plain.cu"],
    ] {
        let theirs = ws.plain(args);
        let cold = ws.build(args);
        cold.succeeds();
        assert_eq!(cold.outputs.names(), theirs.outputs.names());
        for name in cold.outputs.names() {
            assert_eq!(
                cold.outputs.mode(&name),
                theirs.outputs.mode(&name),
                "{name}"
            );
        }
        ws.build(args).hits(1).same_as(&cold);
    }
}

#[test]
fn kept_files_are_nvccs_where_no_module_id_is_in_them() {
    let ws = sources();
    ws.write("kept/.keep", "");
    let args = [
        "--keep",
        "--keep-dir",
        "kept",
        "-c",
        "external.cu",
        "-arch=sm_80",
    ];
    let (mut ours, mut theirs) = (ws.build(&args), ws.plain(&args));
    ours.misses(1);
    assert_eq!(ours.outputs.names(), theirs.outputs.names());
    // These name the module; everything that goes into the object is equal.
    for outcome in [&mut ours, &mut theirs] {
        let named = |path: &Path| {
            let name = path.to_string_lossy();
            name.contains("cudafe1") || name.ends_with("module_id")
        };
        outcome.outputs.0.retain(|path, _| !named(path));
    }
    ours.same_files_as(&theirs);
}

#[test]
fn keep_after_a_build_without_it_gives_the_files() {
    let ws = sources();
    let plain = ["-c", "external.cu", "-o", "out.o"];
    let first = ws.build(&plain);
    first.misses(1);
    ws.write("kept/.keep", "");
    let keep = [&plain[..], &["--keep", "--keep-dir", "kept"]].concat();
    for _ in 0..2 {
        let kept = ws.build(&keep);
        kept.succeeds();
        assert_eq!(kept.outputs.names(), ws.plain(&keep).outputs.names());
        assert_eq!(kept.outputs.bytes("out.o"), first.outputs.bytes("out.o"));
    }
    ws.build(&plain).hits(1).same_as(&first);
}

#[test]
fn dev_null_is_still_dev_null() {
    let ws = Workspace::with("k.cu", KERNEL);
    for args in [
        &["-c", "k.cu", "-o", "/dev/null"][..],
        &["-ptx", "k.cu", "-o", "/dev/null"],
    ] {
        for _ in 0..2 {
            ws.build(args).succeeds().same_as(&ws.kept(args));
        }
        let null = fs::metadata("/dev/null").expect("/dev/null");
        assert!(!null.is_file(), "/dev/null was replaced by a file");
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn an_output_in_a_missing_folder_ends_as_with_nvcc() {
    let ws = Workspace::with("k.cu", KERNEL);
    ws.build(&["-c", "k.cu"]).misses(1);
    ws.build(&["-ptx", "k.cu"]).misses(1);
    for args in [
        &["-c", "k.cu", "-o", "missing/k.o"][..],
        &["-ptx", "k.cu", "-o", "missing/k.ptx"],
        &["-cubin", "-arch=sm_80", "k.cu", "-o", "missing/k.cubin"],
        &["-fatbin", "k.cu", "-o", "missing/k.fatbin"],
        &["-c", "k.cu", "-odir", "missing"],
    ] {
        let theirs = ws.kept(args);
        for _ in 0..2 {
            ws.build(args).same_as(&theirs);
        }
    }
}

#[test]
fn an_output_that_is_a_folder_ends_as_with_nvcc() {
    let ws = Workspace::with("k.cu", KERNEL);
    ws.write("folder/.keep", "");
    for args in [
        &["-c", "k.cu", "-o", "folder"][..],
        &["-ptx", "k.cu", "-o", "folder"],
    ] {
        let theirs = ws.kept(args);
        ws.build(args).same_as(&theirs);
        ws.build(args).same_as(&theirs);
    }
}
