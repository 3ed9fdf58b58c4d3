//! Many threads and processes on one store: no count is lost, and nothing torn is served. The
//! processes are this test program again, told apart by an environment variable.

use crate::again::{name_of, role, start};
use pcache_nvcc::stats::{Counter, StageKind, Stats};
use pcache_nvcc::store::{Artefact, FileStore};
use std::fs;
use std::process::Child;
use std::thread;

const PLENTY: u64 = 1 << 30;

fn all_succeed(children: Vec<Child>) {
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn counts_of_threads_and_processes_add_up() {
    if let Some((root, _)) = role() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        let stats = Stats::open(&root);
                        assert!(stats.is_shared());
                        stats.add(Counter::Miss, 1);
                        stats.add(Counter::StageHit(StageKind::Ptxas), 2);
                    }
                });
            }
        });
        return;
    }
    // All of them race to make a page that is missing, and to replace one that is damaged.
    for page in [None, Some("damaged")] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("cache");
        if let Some(page) = page {
            fs::create_dir(&root).unwrap();
            fs::write(root.join("counters"), page).unwrap();
        }
        let name = name_of(counts_of_threads_and_processes_add_up);
        all_succeed((0..6).map(|n| start(name, &root, n)).collect());
        let snapshot = Stats::open_existing(&root).snapshot();
        assert_eq!(snapshot.get(Counter::Miss), 6 * 4 * 250, "{page:?}");
        let hits = snapshot.get(Counter::StageHit(StageKind::Ptxas));
        assert_eq!(hits, 6 * 4 * 500);
    }
}

/// A value that tells when it is torn or mixed: one byte, repeated.
fn value(writer: usize, round: usize) -> Vec<u8> {
    [writer as u8, round as u8].repeat(1 + (writer * 37 + round * 101) % 2000)
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.chunks(2).all(|pair| pair == &bytes[..2])
}

#[test]
fn puts_of_processes_to_their_own_keys_are_all_there_and_counted() {
    if let Some((root, writer)) = role() {
        let store = FileStore::open(&root, PLENTY).unwrap();
        for round in 0..20 {
            let key = format!("{writer} {round}");
            store.put(key.as_bytes(), &value(writer, round)).unwrap();
            store
                .put_record(key.as_bytes(), &value(writer, round))
                .unwrap();
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache");
    let name = name_of(puts_of_processes_to_their_own_keys_are_all_there_and_counted);
    all_succeed((0..4).map(|n| start(name, &root, n)).collect());
    let store = FileStore::open(&root, PLENTY).unwrap();
    for (writer, round) in (0..4).flat_map(|w| (0..20).map(move |r| (w, r))) {
        let key = format!("{writer} {round}");
        let expected = Some(value(writer, round));
        assert_eq!(store.get(key.as_bytes()).unwrap(), expected);
        assert_eq!(store.get_record(key.as_bytes()).unwrap(), expected);
    }
    let counted = store.stats().store_size().unwrap();
    assert_eq!((counted.entries, counted.records), (80, 80));
    assert_eq!(counted, store.recount().unwrap());
    assert_eq!(store.stats().snapshot().get(Counter::Error), 0);
}

#[test]
fn contended_keys_are_never_torn_under_eviction() {
    const CAP: u64 = 40_000;
    if let Some((root, writer)) = role() {
        let store = FileStore::open(&root, CAP).unwrap();
        for round in 0..60 {
            let key = [(round % 7) as u8];
            store.put(&key, &value(writer, round)).unwrap();
            store.put_record(&key, &value(writer, round)).unwrap();
            let artefact = store.put_artefact(&value(0, round)).unwrap();
            for at in 0..7 {
                let read = store.get(&[at]).unwrap();
                assert!(read.is_none_or(|bytes| is_whole(&bytes)));
                let read = store.get_record(&[at]).unwrap();
                assert!(read.is_none_or(|bytes| is_whole(&bytes)));
            }
            let read = store.get_artefact(&artefact).unwrap();
            assert!(read.is_none_or(|bytes| Artefact::of(&bytes) == artefact));
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let name = name_of(contended_keys_are_never_torn_under_eviction);
    all_succeed((0..4).map(|n| start(name, dir.path(), n)).collect());
    let store = FileStore::open(dir.path(), CAP).unwrap();
    let snapshot = store.stats().snapshot();
    assert_eq!(snapshot.get(Counter::Error), 0, "nothing was damaged");
    assert!(snapshot.get(Counter::Evicted) > 0);
    let found = store.recount().unwrap();
    assert_eq!(store.stats().store_size(), Some(found));
}
