//! Change times of whole seconds in the digest table, through real mounts. Each test is this program
//! again, in a name space with mounts of its own.

use crate::again::{mounting, name_of, passes, root};
use pcache_nvcc::includes::digests::{Aspect, DigestTable, Sighting};
use pcache_nvcc::key::Digest;
use pcache_nvcc::stat::{CoarseTime, Stat};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const HEADER: &str = "header.h";
/// What no file has, so that it can only come from the table.
const PLANTED: Digest = [9; 32];

/// Runs the test `name` of this program again, in a process that may mount.
fn may_mount(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    passes(mounting(&[]), name, dir.path());
}

fn run<const N: usize>(program: &str, arguments: [&OsStr; N]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// A new file system at `place`, with a header in it.
fn mount_new(place: &Path) {
    fs::create_dir_all(place).unwrap();
    let words = ["-t", "tmpfs", "tmpfs"].map(OsStr::new);
    run("mount", [words[0], words[1], words[2], place.as_os_str()]);
    fs::write(place.join(HEADER), "one").unwrap();
}

fn unmount(place: &Path) {
    run("umount", [place.as_os_str()]);
}

/// The header at `place` as it would look on a file system made by a tool: with the same numbers as
/// everywhere, and through the mount that it is really on.
fn seen_as_of_an_image(place: &Path) -> Sighting {
    let seen = Sighting::at(&place.join(HEADER)).unwrap();
    Sighting {
        stat: Stat::from_words([60, 12, 3, 5, 1_000_000_000]),
        ..seen
    }
}

fn put(table: &DigestTable, place: &Path, seen: &Sighting) {
    let file = File::open(place.join(HEADER)).unwrap();
    let later = CoarseTime::now().plus(Duration::from_secs(3600));
    table.put(&file, seen, Aspect::CONTENT, &PLANTED, later);
}

#[test]
fn change_time_without_a_fraction_counts_while_the_file_system_stays_mounted() {
    let Some(root) = root() else {
        return may_mount(name_of(
            change_time_without_a_fraction_counts_while_the_file_system_stays_mounted,
        ));
    };
    let [here, there, bound] = ["here", "there", "bound"].map(|name| root.join(name));
    mount_new(&here);
    mount_new(&there);
    fs::create_dir(&bound).unwrap();
    let bind = OsStr::new("--bind");
    run("mount", [bind, here.as_os_str(), bound.as_os_str()]);
    let table = DigestTable::open(&root.join("cache"));
    assert!(table.is_shared());
    let seen = seen_as_of_an_image(&here);
    put(&table, &here, &seen);
    // Another process's, as far as the table can tell.
    let table = DigestTable::open(&root.join("cache"));
    let is_known = |place: &Path| {
        let found = table.get(&seen_as_of_an_image(place), Aspect::CONTENT);
        found == Some(PLANTED)
    };
    // Before Linux 6.8, nowhere.
    assert_eq!(is_known(&here), seen.mount.is_some());
    assert!(!is_known(&there) && !is_known(&bound));
    let read_only = OsStr::new("remount,ro");
    run("mount", [OsStr::new("-o"), read_only, here.as_os_str()]);
    assert_eq!(is_known(&here), seen.mount.is_some());
    for _ in 0..20 {
        unmount(&here);
        mount_new(&here);
        assert!(!is_known(&here), "a number is given again");
    }
}

#[test]
fn change_time_with_a_fraction_counts_through_every_mount() {
    let Some(root) = root() else {
        return may_mount(name_of(
            change_time_with_a_fraction_counts_through_every_mount,
        ));
    };
    let [here, bound] = ["here", "bound"].map(|name| root.join(name));
    mount_new(&here);
    fs::create_dir(&bound).unwrap();
    let bind = OsStr::new("--bind");
    run("mount", [bind, here.as_os_str(), bound.as_os_str()]);
    let table = DigestTable::open(&root.join("cache"));
    let seen = Sighting::at(&here.join(HEADER)).unwrap();
    assert!(!seen.stat.is_changed_on_the_second());
    put(&table, &here, &seen);
    for place in [&here, &bound] {
        let (_, digest) = table.digest_of(&place.join(HEADER)).unwrap();
        assert_eq!(digest, PLANTED);
    }
    // Another file system has another file there, whatever its device number.
    unmount(&bound);
    unmount(&here);
    mount_new(&here);
    let (_, digest) = table.digest_of(&here.join(HEADER)).unwrap();
    assert_ne!(digest, PLANTED);
}
