//! What may be remembered of real files and directories, and when it is forgotten.

use super::{Fixture, digest, later, seen, through};
use crate::includes::digests::file_system::StatTrust;
use crate::includes::digests::slot::Subject;
use crate::includes::digests::{Aspect, CHUNK, DigestError, DigestTable, Sighting, epoch};
use crate::key::Digest;
use crate::stat::CoarseTime;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn only_stable_files_are_remembered() {
    let fixture = Fixture::new();
    let started = CoarseTime::now();
    let now = started.nanoseconds() as u64 / 10 * 10 + 1;
    let (second, day) = (1_000_000_000, 86_400_000_000_000);
    let old = now - 3 * second;
    let whole = old / second * second;
    for (mtime, ctime, expected) in [
        (old, old, true),
        (whole, old, true),
        (old, whole, true),
        (now - 1_900_000_000, old, false),
        (old, now - 1_900_000_000, false),
        // Dated ahead by a program: only the change time counts.
        (now + day, old, true),
        (old, now + day, false),
        (old, whole + 2 * second, false),
        // The clock may have whole seconds only, so a later change may be dated back by one.
        (whole, whole, false),
        (whole - second, whole, false),
        (whole, whole - second, false),
        (whole - second, whole - second, true),
    ] {
        let seen = through(1, [2049, 7, 100, mtime, ctime]);
        let put = |aspect, digest: &Digest| {
            let table = &fixture.table;
            table.put(&fixture.file, &seen, aspect, digest, started);
            table.get(&seen, aspect).is_some()
        };
        assert_eq!(put(Aspect::CONTENT, &digest(1)), expected);
        assert_eq!(put(Aspect::TOKENS, &digest(1)), expected);
    }
}

#[test]
fn change_time_without_a_fraction_counts_through_one_mount_only() {
    let fixture = Fixture::new();
    let (fine, whole) = (3_000_000_001, 3_000_000_000);
    let seen = |mount, ctime| through(mount, [2049, 7, 100, 5, ctime]);
    fixture.put(&seen(1, whole), Aspect::CONTENT, &digest(1));
    let get = |mount| {
        let other = DigestTable::open(fixture.dir.path());
        other.get(&seen(mount, whole), Aspect::CONTENT)
    };
    assert_eq!([get(1), get(2), get(0)], [Some(digest(1)), None, None]);
    // Another image with the same numbers, mounted later.
    fixture.put(&seen(2, whole), Aspect::CONTENT, &digest(2));
    assert_eq!(get(2), Some(digest(2)));
    assert_ne!(get(1), Some(digest(2)));
    // One with a fraction is believed through every mount.
    fixture.put(&seen(1, fine), Aspect::CONTENT, &digest(3));
    for mount in 0..3 {
        assert_eq!(fixture.get(&seen(mount, fine)), Some(digest(3)));
    }
}

#[test]
fn change_time_without_a_fraction_never_counts_where_mounts_have_no_numbers() {
    let fixture = Fixture::new();
    let before = fixture.bytes();
    let whole = through(0, [2049, 7, 100, 5, 3_000_000_000]);
    fixture.put(&whole, Aspect::CONTENT, &digest(1));
    assert_eq!(fixture.get(&whole), None);
    assert!(before == fixture.bytes());
}

#[test]
fn files_of_one_boot_do_not_displace_each_other_whether_or_not_their_mount_counts() {
    let fixture = Fixture::new();
    let table = fixture.table.table.as_ref().unwrap();
    let place = |seen: &Sighting| {
        let epoch = epoch(table, seen).unwrap();
        let subject = Subject::new(epoch, &seen.stat, Aspect::CONTENT);
        subject.places().next()
    };
    // All of them want the same slot first.
    let fine = seen(0, 1);
    let whole = |mount, ino| through(mount, [2049, ino, 100, 1, 1_000_000_000]);
    let rivals = (1..).filter(|&ino| place(&whole(4, ino)) == place(&fine));
    let inodes: Vec<_> = rivals.take(4).collect();
    let files = [
        fine,
        whole(4, inodes[0]),
        whole(5, inodes[1]),
        seen(inodes[2], 1),
        whole(4, inodes[3]),
    ];
    for (seed, file) in (0..).zip(&files) {
        fixture.put(file, Aspect::CONTENT, &digest(seed));
    }
    for (seed, file) in (0..).zip(&files) {
        assert_eq!(fixture.get(file), Some(digest(seed)));
    }
}

#[test]
fn digest_is_remembered_until_the_file_changes() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("header.h");
    fs::write(&path, "one").unwrap();
    let (seen, found) = fixture.table.digest_of(&path).unwrap();
    assert_eq!(found, Digest::from(Sha256::digest("one")));
    // Just written, so not stored; a time that claims otherwise is believed.
    assert_eq!(fixture.get(&seen), None);
    fixture.put(&seen, Aspect::CONTENT, &digest(9));
    assert_eq!(fixture.table.digest_of(&path).unwrap(), (seen, digest(9)));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "longer").unwrap();
    let (_, found) = fixture.table.digest_of(&path).unwrap();
    assert_eq!(found, Digest::from(Sha256::digest("longer")));
}

#[test]
fn large_and_empty_files_have_their_digest() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("header.h");
    for size in [0, 1, CHUNK, CHUNK + 1, 1_000_000] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let (_, found) = fixture.table.digest_of(&path).unwrap();
        assert_eq!(found, Digest::from(Sha256::digest(&bytes)));
    }
}

#[test]
fn what_is_no_regular_file_has_no_digest() {
    let fixture = Fixture::new();
    let pipe = fixture.dir.path().join("pipe");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    for path in [pipe.as_path(), fixture.dir.path(), Path::new("/dev/null")] {
        let found = fixture.table.digest_of(path);
        assert!(
            matches!(found, Err(DigestError::NotAFile { .. })),
            "{path:?}"
        );
    }
    let missing = fixture.table.digest_of(&fixture.dir.path().join("missing"));
    assert!(matches!(missing, Err(DigestError::Io { .. })));
    // Its stat proves nothing about its content, and another process's words must not be taken for it.
    let uptime = Path::new("/proc/uptime");
    let (seen, _) = fixture.table.digest_of(uptime).unwrap();
    assert_eq!(fixture.get(&seen), None);
}

#[test]
fn file_systems_that_promise_nothing_are_not_remembered() {
    let fixture = Fixture::new();
    let proc = File::open("/proc/self/stat").unwrap();
    let table = &fixture.table;
    // As good a stat as any, on a device of its own.
    let seen = through(1, [99, 7, 100, 5, 1_000_000_001]);
    table.put(&proc, &seen, Aspect::CONTENT, &digest(1), later());
    assert_eq!(fixture.get(&seen), None);
    // Nor does a good file system vouch for a device whose number it had before.
    table.put(&fixture.file, &seen, Aspect::CONTENT, &digest(1), later());
    table.put(&proc, &seen, Aspect::CONTENT, &digest(2), later());
    assert_eq!(fixture.get(&seen), Some(digest(1)));
}

/// Whether an unchanged stat of a directory in this place proves anything.
fn facts_stay(dir: &Path) -> bool {
    StatTrust::in_file_system_of(File::open(dir).unwrap()) == StatTrust::All
}

#[test]
fn facts_of_a_directory_hold_until_it_changes() {
    let fixture = Fixture::new();
    let dir = fixture.dir.path().join("include");
    fs::create_dir(&dir).unwrap();
    let seen = || Sighting::at(&dir).unwrap();
    let table = &fixture.table;
    let before = seen();
    // Too young.
    table.remember(&dir, &before, &digest(1), CoarseTime::now());
    assert!(!table.is_known(&before, &digest(1)));
    for fact in 1..=100 {
        table.remember(&dir, &before, &digest(fact), later());
    }
    // On overlayfs, where a container's temporary directory may be, nothing is stored.
    for fact in 1..=100 {
        assert_eq!(table.is_known(&before, &digest(fact)), facts_stay(&dir));
    }
    assert!(!table.is_known(&before, &digest(101)));
    assert_eq!(fixture.get(&before), None, "a fact is no content");
    // Until the file system's clock has ticked.
    while seen() == before {
        fs::write(dir.join("new.h"), "").unwrap();
        fs::remove_file(dir.join("new.h")).unwrap();
    }
    assert!(!table.is_known(&seen(), &digest(1)));
    // It has changed since it was looked at.
    table.remember(&dir, &before, &digest(102), later());
    assert!(!table.is_known(&before, &digest(102)));
}

#[test]
fn facts_with_equal_beginnings_are_told_apart() {
    let fixture = Fixture::new();
    let dir = fixture.dir.path();
    let seen = Sighting::at(dir).unwrap();
    let mut other = digest(1);
    other[31] ^= 1;
    fixture.table.remember(dir, &seen, &digest(1), later());
    let is_known = fixture.table.is_known(&seen, &digest(1));
    assert_eq!(is_known, facts_stay(dir));
    assert!(!fixture.table.is_known(&seen, &other));
}
