//! Many processes on one digest table, some of them killed: what is read is right or absent. The
//! processes are this test program again, told apart by an environment variable.

use crate::again::{name_of, role, start};
use pcache_nvcc::includes::digests::{Aspect, DigestTable, Sighting};
use pcache_nvcc::stat::{CoarseTime, Stat};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::num::NonZero;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;

/// Inodes whose slots are close together in the table, so that writers meet in them.
const INODES: u64 = 24;
const VERSIONS: u64 = 5;

/// A look at a made-up file. Every other one's change time is a whole second, which counts through
/// the mount only.
fn seen(ino: u64, version: u64) -> Sighting {
    let ctime = 1_000_000_000 + ino % 2;
    Sighting {
        stat: Stat::from_words([2049, 1_000_000 + ino, version, 5, ctime]),
        mount: NonZero::new(7),
    }
}

/// The one right digest of a state.
fn digest(ino: u64, version: u64) -> [u8; 32] {
    Sha256::digest([ino.to_le_bytes(), version.to_le_bytes()].concat()).into()
}

fn put(table: &DigestTable, root: &File, ino: u64, version: u64) {
    let later = CoarseTime::now().plus(Duration::from_secs(3600));
    let (seen, digest) = (seen(ino, version), digest(ino, version));
    table.put(root, &seen, Aspect::CONTENT, &digest, later);
}

/// Asserts that every state is right or absent, and gives the number of those that are there.
fn check(table: &DigestTable) -> usize {
    let states = (0..INODES).flat_map(|ino| (0..VERSIONS).map(move |version| (ino, version)));
    let found = states.filter_map(|(ino, version)| {
        let found = table.get(&seen(ino, version), Aspect::CONTENT)?;
        assert_eq!(found, digest(ino, version));
        Some(())
    });
    found.count()
}

/// Puts and checks `rounds` times, in an order of its own.
fn work(root: &Path, writer: u64, rounds: u64) {
    let file = File::open(root).unwrap();
    let mut state = writer + 1;
    for _ in 0..rounds {
        let table = DigestTable::open(root);
        assert!(table.is_shared());
        for _ in 0..50 {
            state = state.wrapping_mul(6_364_136_223_846_793_005) + 1;
            let pick = state >> 33;
            put(&table, &file, pick % INODES, pick / INODES % VERSIONS);
        }
        check(&table);
    }
}

#[test]
fn writers_in_the_same_slots_never_make_a_wrong_digest() {
    let name = name_of(writers_in_the_same_slots_never_make_a_wrong_digest);
    if let Some((root, writer)) = role() {
        scope(|scope| {
            for thread in 0..2 {
                let root = &root;
                scope.spawn(move || work(root, writer as u64 * 2 + thread, 100));
            }
        });
        return;
    }
    // All of them race to make a table that is missing, and to replace one that is damaged.
    for damage in [None, Some("damaged")] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("cache");
        fs::create_dir(&root).unwrap();
        if let Some(damage) = damage {
            fs::write(root.join("digests"), damage).unwrap();
        }
        let children: Vec<_> = (0..4).map(|n| start(name, &root, n)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let table = DigestTable::open(&root);
        put(&table, &File::open(&root).unwrap(), 3, 4);
        assert!(check(&table) > 0);
        assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    }
}

#[test]
fn killed_writers_leave_nothing_wrong_behind() {
    let name = name_of(killed_writers_leave_nothing_wrong_behind);
    if let Some((root, writer)) = role() {
        work(&root, writer as u64, u64::MAX);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let file = File::open(root).unwrap();
    for round in 0..12 {
        // Every other round they are killed while they make the table.
        if round % 2 == 0 {
            let _ = fs::remove_file(root.join("digests"));
        }
        let children: Vec<_> = (0..3).map(|n| start(name, root, round * 3 + n)).collect();
        let table = DigestTable::open(root);
        sleep(Duration::from_millis(2 + 17 * round as u64));
        check(&table);
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        check(&table);
        let table = DigestTable::open(root);
        check(&table);
        put(&table, &file, 1, 1);
        let found = table.get(&seen(1, 1), Aspect::CONTENT);
        assert_eq!(found, Some(digest(1, 1)));
    }
}
