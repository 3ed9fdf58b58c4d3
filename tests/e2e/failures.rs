//! When something fails beside the compile: places that cannot be written, a store that is
//! broken, full or damaged. The compile ends as nvcc's own does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::outcome::Outcome;
use crate::support::stages::stage_counts;
use crate::support::tree::{Node, Tree};
use crate::support::workspace::{Workspace, program};

const ARGS: &[&str] = &["-c", "k.cu", "-o", "k.o"];

fn kernel() -> Workspace {
    Workspace::with("k.cu", "__global__ void k(int *p) { *p = 1; }\n")
}

/// The same command without root's right to ignore permissions. Any other user has none.
fn without_privilege(ws: &Workspace, command: &Command) -> Command {
    if !rustix::process::geteuid().is_root() {
        let mut same = ws.command(command.get_program());
        same.args(command.get_args());
        return same;
    }
    let mut setpriv = ws.command("setpriv");
    setpriv.arg("--bounding-set=-dac_override,-dac_read_search,-fowner");
    setpriv.arg(command.get_program()).args(command.get_args());
    setpriv
}

/// nvcc, a miss of ours and a try of ours when the result could be in the store leave the same
/// words and the same work folder.
#[track_caller]
fn ends_the_same(args: &[&str], elsewhere: &[&str], prepare: &dyn Fn(&Workspace)) {
    let ws = kernel();
    let state = |command: &Command| -> (Outcome, Tree) {
        let before = Tree::read(&ws.work());
        prepare(&ws);
        let outcome = ws.run(without_privilege(&ws, command));
        let state = Tree::read(&ws.work());
        before.restore(&ws.work());
        (outcome, state)
    };
    let mut kept = ws.theirs(args);
    kept.arg("--keep").arg("--keep-dir").arg(ws.fresh("kept"));
    let (theirs, expected) = state(&kept);
    for round in ["cold", "after a build elsewhere"] {
        let (ours, state) = state(&ws.ours(args));
        ours.says_the_same_as(&theirs);
        let differences = state.differences(&expected);
        assert!(
            differences.is_empty(),
            "{round}, it leaves otherwise:\n{differences}"
        );
        ws.build(elsewhere).succeeds();
    }
    assert_eq!(ws.temporaries(), [""; 0], "left behind");
}

fn read_only(name: &'static str) -> impl Fn(&Workspace) {
    move |ws| {
        let path = ws.write(name, "old");
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).expect("chmod");
    }
}

fn in_a_read_only_folder(ws: &Workspace) {
    fs::create_dir(ws.path("locked")).expect("a folder");
    fs::set_permissions(ws.path("locked"), fs::Permissions::from_mode(0o555)).expect("chmod");
}

#[test]
fn read_only_object_ends_as_with_nvcc() {
    ends_the_same(ARGS, &["-c", "k.cu", "-o", "other.o"], &read_only("k.o"));
}

#[test]
fn read_only_ptx_ends_as_with_nvcc() {
    let args = ["-ptx", "k.cu", "-o", "k.ptx"];
    ends_the_same(&args, &["-ptx", "k.cu", "-o", "x"], &read_only("k.ptx"));
}

#[test]
fn read_only_cubin_ends_as_with_nvcc() {
    let args = ["-cubin", "k.cu", "-o", "k.cubin"];
    ends_the_same(&args, &["-cubin", "k.cu", "-o", "x"], &read_only("k.cubin"));
}

#[test]
fn read_only_fatbin_ends_as_with_nvcc() {
    let args = ["-fatbin", "k.cu", "-o", "k.fatbin"];
    ends_the_same(
        &args,
        &["-fatbin", "k.cu", "-o", "x"],
        &read_only("k.fatbin"),
    );
}

#[test]
fn read_only_depfile_ends_as_with_nvcc() {
    let args = ["-c", "k.cu", "-o", "k.o", "-MD", "-MF", "k.d"];
    ends_the_same(
        &args,
        &["-c", "k.cu", "-o", "x", "-MD", "-MF", "y"],
        &read_only("k.d"),
    );
}

#[test]
#[ignore = "long: scripts/test-long"]
fn read_only_folder_ends_as_with_nvcc() {
    for (kind, name) in [
        ("-c", "locked/k.o"),
        ("-ptx", "locked/k.ptx"),
        ("-cubin", "locked/k"),
    ] {
        ends_the_same(
            &[kind, "k.cu", "-o", name],
            &[kind, "k.cu", "-o", "x"],
            &in_a_read_only_folder,
        );
    }
}

#[test]
fn unreadable_source_ends_as_with_nvcc() {
    ends_the_same(ARGS, &["--version"], &|ws| {
        fs::set_permissions(ws.path("k.cu"), fs::Permissions::from_mode(0o000)).expect("chmod");
    });
}

/// Compiles twice as nvcc does although the cache cannot work.
#[track_caller]
fn compiles_all_the_same(ws: &Workspace) {
    let theirs = ws.kept(ARGS);
    for _ in 0..2 {
        let ours = ws.build(ARGS);
        ours.succeeds().same_files_as(&theirs);
        assert_eq!(ours.out(), theirs.out());
        let foreign = ours
            .err()
            .lines()
            .find(|l| !l.starts_with("pcache-nvcc: "))
            .map(str::to_owned);
        assert_eq!(foreign, None, "words that are neither nvcc's nor ours");
    }
    assert_eq!(ws.temporaries(), [""; 0], "left behind");
}

/// Files of the cache that hold results; asking for the counters makes only folders and counters.
fn stored(cache: &Path) -> Vec<String> {
    let names = Tree::read(cache).names().into_iter();
    names.filter(|name| name.starts_with("entries/")).collect()
}

#[test]
fn cache_folder_that_is_a_file_does_not_stop_a_compile() {
    let mut ws = kernel();
    ws.set_env("PCACHE_DIR", ws.write("a file", "not a folder"));
    compiles_all_the_same(&ws);
    ws.set_env("PCACHE_DIR", ws.path("a file/below"));
    compiles_all_the_same(&ws);
    assert_eq!(ws.read("a file"), b"not a folder");
}

#[test]
fn cache_folder_that_cannot_be_written_does_not_stop_a_compile() {
    let ws = kernel();
    let theirs = ws.kept(ARGS);
    let cache = ws.root().join("cache");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o555)).expect("chmod");
    for _ in 0..2 {
        let ours = ws.try_run(without_privilege(&ws, &ws.ours(ARGS)));
        ours.succeeds().same_files_as(&theirs);
    }
    assert!(stored(&cache).is_empty(), "{:?}", stored(&cache));
}

#[test]
fn no_home_and_no_cache_folder_does_not_stop_a_compile() {
    let mut ws = kernel();
    for name in ["HOME", "PCACHE_DIR"] {
        ws.unset_env(name);
    }
    // Without HOME the user's entry in the password file may name one: keep out of it.
    ws.set_env("XDG_CACHE_HOME", ws.root().join("xdg"));
    ws.set_env("XDG_CONFIG_HOME", ws.root().join("xdg"));
    compiles_all_the_same(&ws);
}

#[test]
fn full_disk_does_not_stop_a_compile() {
    let ws = kernel();
    let theirs = ws.kept(ARGS);
    let cache = ws.root().join("cache");
    for size in [
        "nr_inodes=3",
        "size=4k",
        "size=16k",
        "size=64k",
        "nr_inodes=20",
    ] {
        let mount = format!("mount -t tmpfs -o {size} none \"$PCACHE_DIR\"");
        let inside = |script: String| {
            let mut unshare = ws.command("unshare");
            unshare.args(["--mount", "--map-root-user", "sh", "-c", &script]);
            unshare.arg(program("pcache-nvcc")).args(ARGS);
            unshare
        };
        if !inside(mount.clone())
            .output()
            .is_ok_and(|o| o.status.success())
        {
            eprintln!("a small file system cannot be mounted here; nothing was tried");
            return;
        }
        let ours = ws.try_run(inside(format!(
            "{mount} && \"$0\" \"$@\" && exec \"$0\" \"$@\""
        )));
        ours.succeeds().same_files_as(&theirs);
        assert!(stored(&cache).is_empty(), "the mount did not hold");
    }
}

#[test]
fn damaged_store_is_never_served() {
    let ws = kernel();
    let first = ws.build(ARGS);
    first.misses(1);
    let cache = ws.root().join("cache");
    type Damage = fn(&[u8]) -> Vec<u8>;
    let damages: [Damage; 4] = [
        |bytes| bytes.iter().map(|b| !b).collect(),
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |_| Vec::new(),
        |bytes| [bytes, b"and more"].concat(),
    ];
    for damage in damages {
        for (path, node) in Tree::read(&cache).0 {
            if let Node::File { bytes, .. } = node {
                fs::write(cache.join(path), damage(&bytes)).expect("damage a file");
            }
        }
        ws.build(ARGS).succeeds().same_as(&first);
        ws.build(ARGS).succeeds().same_as(&first);
    }
}

#[test]
fn damaged_entries_are_removed_counted_and_replaced() {
    let ws = kernel();
    let first = ws.build(ARGS);
    first.misses(1);
    let entries = ws.root().join("cache/entries");
    let tree = Tree::read(&entries);
    assert!(
        tree.0
            .values()
            .any(|node| matches!(node, Node::File { .. })),
        "nothing stored"
    );
    for (path, node) in &tree.0 {
        if let Node::File { bytes, .. } = node {
            let flipped: Vec<u8> = bytes.iter().map(|b| b ^ 1).collect();
            fs::write(entries.join(path), flipped).expect("damage an entry");
        }
    }
    let mended = ws.build(ARGS);
    mended.succeeds().same_as(&first);
    assert_eq!(
        mended.counted.hits, 0,
        "a damaged entry was served: {:?}",
        mended.counted
    );
    ws.build(ARGS).hits(1).same_as(&first);
}

#[test]
fn vanished_entries_are_built_again() {
    let ws = kernel();
    let first = ws.build(ARGS);
    first.misses(1);
    for part in ["entries", "manifests", "intermediates"] {
        fs::remove_dir_all(ws.root().join("cache").join(part)).expect("remove a part");
        ws.build(ARGS).succeeds().same_as(&first);
        ws.build(ARGS).hits(1).same_as(&first);
    }
}

#[test]
fn read_only_cache_serves_and_never_writes() {
    let mut ws = kernel();
    ws.set_env("PCACHE_READONLY", "1");
    for _ in 0..2 {
        let ours = ws.build(ARGS);
        ours.succeeds().same_as(&ws.kept(ARGS));
        assert_eq!(ours.counted.hits, 0);
    }
    ws.unset_env("PCACHE_READONLY");
    let first = ws.build(ARGS);
    first.misses(1);
    ws.set_env("PCACHE_READONLY", "1");
    let entries = ws.root().join("cache/entries");
    let before = Tree::read(&entries);
    ws.build(ARGS).succeeds().same_as(&first);
    ws.build(&["-c", "k.cu", "-o", "k.o", "-DNEW"]).succeeds();
    assert!(
        Tree::read(&entries) == before,
        "a read-only cache was written"
    );
}

#[test]
fn recaching_builds_again() {
    let mut ws = kernel();
    let first = ws.build(ARGS);
    first.misses(1);
    ws.set_env("PCACHE_RECACHE", "1");
    ws.build(ARGS).misses(1).same_as(&first);
    ws.unset_env("PCACHE_RECACHE");
    ws.build(ARGS).hits(1).same_as(&first);
}

#[test]
fn a_tiny_cap_costs_hits_and_nothing_else() {
    let mut ws = kernel();
    ws.set_env("PCACHE_MAX_SIZE", "1K");
    for define in ["-DA", "-DB", "-DA"] {
        let args = [ARGS, &[define]].concat();
        ws.build(&args).succeeds().same_as(&ws.kept(&args));
    }
}

#[test]
fn many_at_once_get_the_same() {
    let ws = kernel();
    let theirs = ws.kept(ARGS);
    let before = ws.counters();
    let children: Vec<_> = (0..4)
        .map(|n| {
            let mut command = ws.ours(&["-c", "k.cu", "-o", &format!("{n}.o")]);
            command.spawn().expect("start a compile")
        })
        .collect();
    for (n, mut child) in children.into_iter().enumerate() {
        assert!(child.wait().expect("wait").success());
        assert!(
            ws.read(&format!("{n}.o")) == theirs.outputs.bytes("k.o"),
            "{n}.o differs"
        );
    }
    let counted = ws.counters().since(&before);
    assert_eq!(counted.events(), 4, "{counted:?}");
    assert_eq!(counted.misses, 1, "{counted:?}");
    assert_eq!(counted.hits + counted.coalesced, 3, "{counted:?}");
}

#[test]
fn a_temporary_folder_that_is_missing_ends_as_with_nvcc() {
    let mut ws = kernel();
    ws.set_env("TMPDIR", "/no/such/folder");
    let theirs = ws.kept(ARGS);
    let ours = ws.build(ARGS);
    assert_eq!(ours.status, theirs.status);
    ours.same_files_as(&theirs);
    assert!(!Path::new("/no/such").exists());
}

/// nvcc's own tools cut arguments at commas, so that it makes PTX there and no object.
#[test]
fn a_temporary_folder_with_a_comma_is_left_to_nvcc() {
    let mut ws = kernel();
    let folder = ws.fresh("with,comma");
    ws.set_env("TMPDIR", &folder);
    for args in [ARGS, &["-ptx", "k.cu"]] {
        let theirs = ws.plain(args);
        let ours = ws.build(args);
        assert_eq!(ours.status, theirs.status);
        ours.same_files_as(&theirs);
        // Before anything has run.
        assert_eq!(ours.counted.fallbacks["work_directory"], 1);
        assert_eq!(stage_counts(&ws)["preprocess"].1, 0);
    }
}

/// A cache that cannot be used is told of, and not by each compile.
#[test]
fn trouble_with_the_cache_is_told_once_in_a_build() {
    let mut ws = kernel();
    let file = ws.write("file", "");
    ws.set_env("PCACHE_DIR", file.join("cache"));
    let home = ws.side("runtime");
    ws.set_env("XDG_RUNTIME_DIR", &home);
    let said = |ws: &Workspace| {
        let built = ws.try_run(ws.ours(ARGS));
        built.succeeds();
        built.err()
    };
    let first = said(&ws);
    assert!(first.starts_with("pcache-nvcc: the cache: "), "{first}");
    assert_eq!(first.lines().count(), 1, "{first}");
    assert_eq!(said(&ws), "");
    // Other trouble is told, too.
    ws.set_env("PCACHE_MAX_SIZE", "much");
    assert!(said(&ws).contains("PCACHE_MAX_SIZE"));
    assert_eq!(said(&ws), "");
    // And all of it after a pause.
    for mark in fs::read_dir(home.join("pcache-nvcc-said")).expect("marks") {
        let mark = mark.expect("a mark").path();
        let mark = fs::File::options().write(true).open(mark);
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        let aged = mark.expect("a mark").set_modified(long_ago);
        aged.expect("a time");
    }
    assert_eq!(said(&ws).lines().count(), 2);
}
