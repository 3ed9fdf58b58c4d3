//! The table against a map, damaged bit by bit, filled up; and what may be remembered of real files.

use super::file_system::Trust;
use super::slot::{Epoch, Subject};
use super::table::{BYTES, version_word};
use super::{Aspect, DigestError, DigestTable, Sighting};
use crate::key::Digest;
use crate::stat::Stat;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, proptest};
use proptest::test_runner::Config;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::num::NonZero;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

const HEADER_BYTES: usize = 65_536;
const SLOT_BYTES: usize = 128;

/// A time at which every file of a test has long been settled.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

/// A look at a made-up file. Its change time has nanoseconds.
fn seen(ino: u64, version: u64) -> Sighting {
    through(1, [2049, ino, 100, version, 1_000_000_001])
}

/// A look at a file through a mount, or, with 0, on a kernel that does not number them.
fn through(mount: u64, words: [u64; 5]) -> Sighting {
    Sighting {
        stat: Stat::from_words(words),
        mount: NonZero::new(mount),
    }
}

fn digest(seed: u64) -> Digest {
    Sha256::digest(seed.to_le_bytes()).into()
}

/// A table, and a file in the same place whose file system the made-up files are on.
struct Fixture {
    dir: tempfile::TempDir,
    table: DigestTable,
    file: File,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let table = DigestTable::open(dir.path());
        let hint = "the tests' temporary directory (TMPDIR) must be on a local file system";
        assert!(table.is_shared(), "{hint}");
        Self {
            file: File::open(dir.path()).unwrap(),
            table,
            dir,
        }
    }

    fn put(&self, seen: &Sighting, aspect: Aspect, digest: &Digest) {
        self.table.put(&self.file, seen, aspect, digest, later());
    }

    fn get(&self, seen: &Sighting) -> Option<Digest> {
        self.table.get(seen, Aspect::CONTENT)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("digests")).unwrap()
    }
}

fn bytes_of(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("digests")).unwrap()
}

#[test]
fn what_is_put_is_seen_by_another_opening() {
    let fixture = Fixture::new();
    let other = DigestTable::open(fixture.dir.path());
    let reader = DigestTable::open_existing(fixture.dir.path());
    for ino in 0..5000 {
        fixture.put(&seen(ino, 1), Aspect::CONTENT, &digest(ino));
    }
    for ino in 0..5000 {
        let expected = Some(digest(ino));
        assert_eq!(other.get(&seen(ino, 1), Aspect::CONTENT), expected);
        assert_eq!(reader.get(&seen(ino, 1), Aspect::CONTENT), expected);
        assert_eq!(other.get(&seen(ino, 2), Aspect::CONTENT), None);
        assert_eq!(other.get(&seen(ino, 1), Aspect::TOKENS), None);
    }
    assert_eq!(fixture.bytes().len(), BYTES);
    let left = fs::read_dir(fixture.dir.path().join("tmp"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "no temporary table is left");
}

#[test]
fn newer_state_of_a_file_takes_the_older_ones_slot() {
    let fixture = Fixture::new();
    for version in 1..=100 {
        fixture.put(&seen(7, version), Aspect::CONTENT, &digest(version));
        assert_eq!(fixture.get(&seen(7, version)), Some(digest(version)));
    }
    let used = fixture.bytes()[HEADER_BYTES..]
        .chunks(SLOT_BYTES)
        .filter(|slot| slot.iter().any(|byte| *byte != 0))
        .count();
    assert_eq!(used, 1);
}

#[test]
fn full_table_forgets_and_is_never_wrong() {
    let fixture = Fixture::new();
    // Twice as many as there are slots, in runs as installations make them.
    let inode = |at: u64| (at / 1000) * 1_000_003 + at % 1000;
    for at in 0..2 * 65_536 {
        fixture.put(&seen(inode(at), 1), Aspect::CONTENT, &digest(at));
    }
    let mut held = 0;
    for at in 0..2 * 65_536 {
        if let Some(found) = fixture.get(&seen(inode(at), 1)) {
            assert_eq!(found, digest(at));
            held += 1;
        }
    }
    assert!(held > 60_000, "{held}");
    // The last put is there: newcomers are not turned away.
    let last = 2 * 65_536 - 1;
    assert_eq!(fixture.get(&seen(inode(last), 1)), Some(digest(last)));
}

/// Puts and gets of few files in many states.
fn operations() -> impl Strategy<Value = Vec<(u64, u64, bool, u64, bool)>> {
    vec(
        (
            0..40_u64,
            0..3_u64,
            any::<bool>(),
            any::<u64>(),
            any::<bool>(),
        ),
        1..300,
    )
}

proptest! {
    #![proptest_config(Config::with_cases(16))]

    #[test]
    fn table_forgets_but_never_differs_from_a_map(operations in operations()) {
        let fixture = Fixture::new();
        let mut model = HashMap::new();
        for (ino, version, is_content, seed, is_put) in operations {
            // Inodes far apart in number and close in the table, and the other way round.
            let seen = seen(ino * 256, version);
            let aspect = if is_content { Aspect::CONTENT } else { Aspect::TOKENS };
            let key = (ino, version, is_content);
            if is_put {
                fixture.put(&seen, aspect, &digest(seed));
                model.insert(key, digest(seed));
                prop_assert!(fixture.table.get(&seen, aspect) == Some(digest(seed)));
            }
            let found = fixture.table.get(&seen, aspect);
            prop_assert!(found.is_none() || found.as_ref() == model.get(&key));
        }
    }
}

#[test]
fn every_flipped_bit_of_a_slot_makes_it_absent() {
    let fixture = Fixture::new();
    fixture.put(&seen(7, 1), Aspect::CONTENT, &digest(1));
    let good = fixture.bytes();
    let is_used = |slot: &&[u8]| slot.iter().any(|byte| *byte != 0);
    let mut slots = good[HEADER_BYTES..].chunks(SLOT_BYTES);
    let place = slots.position(|slot| is_used(&slot)).unwrap();
    let at = HEADER_BYTES + place * SLOT_BYTES;
    let path = fixture.dir.path().join("digests");
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    for bit in 0..SLOT_BYTES * 8 {
        let mut slot = good[at..at + SLOT_BYTES].to_vec();
        slot[bit / 8] ^= 1 << (bit % 8);
        std::os::unix::fs::FileExt::write_all_at(&file, &slot, at as u64).unwrap();
        // Neither the file's own digest nor another's, whatever else the flipped slot may seem.
        let table = DigestTable::open(fixture.dir.path());
        assert_eq!(table.get(&seen(7, 1), Aspect::CONTENT), None, "bit {bit}");
        for other in [seen(6, 1), seen(7, 0), seen(7, 3), seen(3, 1)] {
            assert_eq!(table.get(&other, Aspect::CONTENT), None, "bit {bit}");
        }
    }
    fixture.put(&seen(7, 1), Aspect::CONTENT, &digest(2));
    assert_eq!(fixture.get(&seen(7, 1)), Some(digest(2)));
}

#[test]
fn damaged_header_or_size_makes_a_new_table() {
    let fixture = Fixture::new();
    fixture.put(&seen(7, 1), Aspect::CONTENT, &digest(1));
    let good = fixture.bytes();
    let mut damages = vec![Vec::new(), good[..BYTES - 1].to_vec(), vec![1; 5000]];
    for bit in (0..256).step_by(7) {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        damages.push(flipped);
    }
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("digests"), &damage).unwrap();
        assert!(!DigestTable::open_existing(dir.path()).is_shared());
        assert_eq!(bytes_of(dir.path()), damage);
        let table = DigestTable::open(dir.path());
        assert!(table.is_shared());
        assert_eq!(table.get(&seen(7, 1), Aspect::CONTENT), None);
        assert!(DigestTable::open_existing(dir.path()).is_shared());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}

#[test]
fn table_of_a_newer_version_is_left_alone_whatever_its_size() {
    let fixture = Fixture::new();
    let mut newer = fixture.bytes();
    newer[8..16].copy_from_slice(&version_word(2).to_ne_bytes());
    for size in [BYTES, 4096, 32] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("digests"), &newer[..size]).unwrap();
        assert!(!DigestTable::open(dir.path()).is_shared());
        assert!(bytes_of(dir.path()) == newer[..size]);
    }
}

#[test]
fn digests_of_another_boot_are_not_believed() {
    let fixture = Fixture::new();
    let boot = fixture.table.table.as_ref().unwrap().boot();
    for (seed, boot) in [(1, [boot[0], boot[1] ^ 1]), (2, [0, 0])] {
        let epoch = Epoch { boot, mount: 0 };
        let foreign = Subject::new(epoch, &seen(7, 1).stat, Aspect::CONTENT);
        let table = fixture.table.table.as_ref().unwrap();
        table.put(&foreign, &digest(seed));
        assert_eq!(table.get(&foreign), Some(digest(seed)));
        assert_eq!(fixture.get(&seen(7, 1)), None);
    }
}

#[test]
fn no_table_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "some").unwrap();
    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join("digests")).unwrap();
    let linked = dir.path().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink(&file, linked.join("digests")).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(
        Fixture::new().dir.path().join("digests"),
        linked.join("good"),
    )
    .unwrap();
    symlink(linked.join("good"), elsewhere.join("digests")).unwrap();
    for place in [
        file.join("below"),
        taken,
        linked,
        elsewhere,
        "".into(),
        "relative".into(),
        "/proc/sys".into(),
    ] {
        let table = DigestTable::open(&place);
        assert!(!table.is_shared(), "{place:?}");
        let (_, found) = table.digest_of(&file).unwrap();
        assert_eq!(found, Digest::from(Sha256::digest("some")));
    }
    assert_eq!(fs::read(&file).unwrap(), b"some");
}

#[test]
fn something_else_in_the_place_of_the_table_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("digests");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(!DigestTable::open_existing(dir.path()).is_shared());
    assert!(DigestTable::open(dir.path()).is_shared());
    assert!(path.symlink_metadata().unwrap().is_file());
}

#[test]
fn read_only_table_is_read_and_not_written() {
    let fixture = Fixture::new();
    fixture.put(&seen(7, 1), Aspect::CONTENT, &digest(1));
    let before = fixture.bytes();
    let reader = DigestTable::open_existing(fixture.dir.path());
    reader.put(
        &fixture.file,
        &seen(8, 1),
        Aspect::CONTENT,
        &digest(2),
        later(),
    );
    assert_eq!(reader.get(&seen(7, 1), Aspect::CONTENT), Some(digest(1)));
    assert_eq!(reader.get(&seen(8, 1), Aspect::CONTENT), None);
    assert!(before == fixture.bytes());
    let missing = fixture.dir.path().join("missing");
    assert!(!DigestTable::open_existing(&missing).is_shared());
    assert!(!missing.exists());
}

#[test]
fn only_settled_files_are_remembered() {
    let fixture = Fixture::new();
    let began = SystemTime::now();
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = since.as_nanos() as u64 / 10 * 10 + 1;
    let (second, day) = (1_000_000_000, 86_400_000_000_000);
    let old = now - 3 * second;
    let whole = old / second * second;
    for (mtime, ctime, expected) in [
        (old, old, true),
        (whole, old, true),
        (old, whole, true),
        (now - 1_900_000_000, old, false),
        (old, now - 1_900_000_000, false),
        (now + day, old, false),
        (old, now + day, false),
        (old, whole + 2 * second, false),
        // Of a clock that may count whole seconds, so that a later change may be dated back by one.
        (whole, whole, false),
        (whole - second, whole, false),
        (whole, whole - second, false),
        (whole - second, whole - second, true),
    ] {
        let seen = through(1, [2049, 7, 100, mtime, ctime]);
        let put = |aspect, digest: &Digest| {
            let table = &fixture.table;
            table.put(&fixture.file, &seen, aspect, digest, began);
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
    // One with a fraction counts through every mount.
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
        let epoch = super::epoch(table, seen).unwrap();
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
    // Just written, so not remembered; a table that is told otherwise is believed.
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
    for size in [0, 1, super::CHUNK, super::CHUNK + 1, 1_000_000] {
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
    // Its stat says nothing of its content; and no other process's words may count as it.
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
    Trust::in_file_system_of(File::open(dir).unwrap()) == Trust::All
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
    table.remember(&dir, &before, &digest(1), SystemTime::now());
    assert!(!table.is_known(&before, &digest(1)));
    for fact in 1..=100 {
        table.remember(&dir, &before, &digest(fact), later());
    }
    // On overlayfs, which a container's temporary directory may be on, none is remembered.
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
