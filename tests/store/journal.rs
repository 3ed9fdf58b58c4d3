//! The journal and the counters under 64 processes, half of them killed in the middle of what they do:
//! nothing of the survivors is missing, nothing is torn, and no process waits for another.

use crate::again::{name_of, role, start};
use pcache_nvcc::stats::{Counter, Stats};
use pcache_nvcc::store::FileStore;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;

const PLENTY: u64 = 1 << 30;
const PROCESSES: usize = 64;
const RECORDS: usize = 50;

fn record(writer: usize, number: usize, filling: &str) -> String {
    format!(r#"{{"writer":{writer},"number":{number},"filling":"{filling}"}}"#)
}

/// Counts and notes; what is to be killed never ends by itself.
fn work(root: &Path, writer: usize, filling: &str) {
    let store = FileStore::open(root, PLENTY).unwrap();
    for number in 0..RECORDS {
        store.stats().add(Counter::Miss, 1);
        store.note(&record(writer, number, filling)).unwrap();
    }
    if is_doomed(writer) {
        for number in RECORDS.. {
            store.stats().add(Counter::Miss, 1);
            store.note(&record(writer, number, filling)).unwrap();
            if number > 20 * RECORDS {
                std::thread::park();
            }
        }
    }
}

fn is_doomed(writer: usize) -> bool {
    writer % 2 == 1
}

/// The numbers of each writer's records, in the journal's order.
fn noted(store: &FileStore) -> BTreeMap<usize, Vec<usize>> {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for text in store.noted().unwrap() {
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        let number = |name: &str| record[name].as_u64().unwrap() as usize;
        found
            .entry(number("writer"))
            .or_default()
            .push(number("number"));
    }
    found
}

/// Starts all, kills the doomed ones while all are at work, and waits for the others.
fn storm(test: &str, root: &Path) {
    let mut children: Vec<Child> = (0..PROCESSES).map(|n| start(test, root, n)).collect();
    // Until a good part of the work is done.
    while Stats::open_existing(root).snapshot().get(Counter::Miss)
        < (PROCESSES * RECORDS / 2) as u64
    {
        std::thread::yield_now();
    }
    for (_, child) in children
        .iter_mut()
        .enumerate()
        .filter(|(n, _)| is_doomed(*n))
    {
        // Whatever it is doing: SIGKILL.
        child.kill().unwrap();
    }
    for (n, child) in children.iter_mut().enumerate() {
        let ended = child.wait().unwrap();
        assert_eq!(ended.success(), !is_doomed(n), "{n}: {ended}");
    }
}

#[test]
fn journal_and_counters_survive_kills_and_sixty_four_processes() {
    if let Some((root, writer)) = role() {
        return work(&root, writer, "");
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache");
    storm(
        name_of(journal_and_counters_survive_kills_and_sixty_four_processes),
        &root,
    );
    let store = FileStore::open(&root, PLENTY).unwrap();
    let found = noted(&store);
    for writer in 0..PROCESSES {
        let numbers = found.get(&writer).cloned().unwrap_or_default();
        // Each writer's own records are in order, without a gap, and each is there once.
        assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>(), "{writer}");
        if !is_doomed(writer) {
            assert_eq!(numbers.len(), RECORDS, "{writer}");
        }
    }
    // Who was killed may have counted a compile that it did not note any more: one at most.
    let all: usize = found.values().map(Vec::len).sum();
    let counted = store.stats().snapshot().get(Counter::Miss) as usize;
    assert!(
        (all..=all + PROCESSES / 2).contains(&counted),
        "{all} and {counted}"
    );
    store.note(&record(99, 0, "")).unwrap();
    assert_eq!(noted(&store)[&99], [0]);
}

#[test]
fn a_ring_that_turns_under_many_stays_bounded_and_whole() {
    let filling = "x".repeat(20_000);
    if let Some((root, writer)) = role() {
        return work(&root, writer, &filling);
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache");
    storm(
        name_of(a_ring_that_turns_under_many_stays_bounded_and_whole),
        &root,
    );
    let files = fs::read_dir(root.join("journal")).unwrap();
    let sizes: Vec<_> = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .collect();
    // Seven files of a mebibyte; each may be passed by what was on its way when it was full.
    assert!(sizes.len() <= 8, "{sizes:?}");
    let most = (1 << 20) + PROCESSES as u64 * 21_000;
    assert!(sizes.iter().all(|size| *size <= most), "{sizes:?}");
    let store = FileStore::open(&root, PLENTY).unwrap();
    let found = noted(&store);
    let kept: usize = found.values().map(Vec::len).sum();
    assert!(kept >= 5 * (1 << 20) / 21_000, "{kept}");
    // What was noted last is there, however much came before.
    store.note(&record(99, 0, "")).unwrap();
    assert_eq!(noted(&store)[&99], [0]);
}
