//! The table against a map, damaged bit by bit, filled up.

mod files;

use super::slot::{Epoch, Subject};
use super::table::BYTES;
use super::{Aspect, DigestTable, Sighting};
use crate::files::version_word;
use crate::key::Digest;
use crate::stat::{CoarseTime, Stat};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, proptest};
use proptest::test_runner::Config;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::num::NonZero;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

const HEADER_BYTES: usize = 65_536;
const SLOT_BYTES: usize = 128;

/// A time at which every file of a test has long been stable.
fn later() -> CoarseTime {
    CoarseTime::now().plus(Duration::from_secs(3600))
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
