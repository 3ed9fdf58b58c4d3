//! Caches whose files say whatever bytes can say: each command of `pcache` ends as it should, and none by a panic,
//! whatever numbers it finds. Tests are built with checks of overflows.

use crate::home::Home;
use pcache_nvcc::store::FileStore;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const MOST: u64 = u64::MAX;

const COMMANDS: [&str; 24] = [
    "stats",
    "stats --json",
    "stats --prometheus",
    "stats --since 2000-01-01",
    "stats --since 2000-01-01 --json",
    "stats --last-build",
    "explain --last 99",
    "explain --last 99 --json",
    "trace",
    "trace --last-build",
    "report",
    "report --last-build",
    "report --since 2000-01-01",
    "list",
    "list --json",
    "list --matching a.o",
    "doctor",
    "verify --keep",
    "verify",
    "gc",
    "export -",
    "trim --keep-used-since last-build",
    "trim --keep-used-since 2h --max-size 1K",
    "clear",
];

/// Runs everything that `pcache` can do with the cache that `make` makes, anew for each command.
#[track_caller]
fn survives(make: impl Fn(&Path)) {
    for line in COMMANDS {
        let home = Home::new();
        drop(home.store());
        make(&home.cache());
        let arguments: Vec<_> = line.split(' ').collect();
        let output = home.run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let status = output.status.code();
        assert!(
            status.is_some_and(|status| status < 5),
            "{line}: {status:?} {said}"
        );
        assert!(!said.contains("panicked"), "{line}: {said}");
    }
}

/// A compile of which every number is as large as it can be, or one of these.
fn compile(start: u64, wall: u64, level: &str) -> Value {
    let stage = json!({ "unit": MOST, "name": "cicc", "arch": "compute_80", "begin": MOST, "wait": MOST, "run": MOST,
        "hit": false });
    json!({ "v": 1, "start": start, "wall": wall, "pid": u32::MAX, "directory": "/src", "output": "a.o",
        "sources": ["a.cu"], "level": level, "stored": MOST, "semantic": true,
        "units": [{ "source": "a.cu", "level": level, "key": "00", "unstored": "why" }],
        "flights": [{ "unit": MOST, "begin": MOST, "wait": MOST }, { "begin": 0, "wait": MOST }],
        "stages": [stage, { "unit": 0, "name": "ptxas", "begin": 0, "wait": 1, "run": MOST, "hit": true }] })
}

#[test]
fn journal_may_hold_any_numbers() {
    survives(|cache| {
        let store = FileStore::open(cache, 1 << 30).unwrap();
        for start in [0, 1, MOST / 2, MOST - 1, MOST] {
            for wall in [0, MOST / 2, MOST] {
                for level in ["miss", "direct_hit", "preprocessed_hit", "bypass"] {
                    store
                        .note(&compile(start, wall, level).to_string())
                        .unwrap();
                }
            }
        }
        for start in [0, MOST] {
            let removal = json!({ "v": 1, "start": start, "cleared": MOST });
            store.note(&removal.to_string()).unwrap();
        }
    });
}

/// Fills a page of words behind its header, which is `header` words long.
fn fill(file: &Path, header: usize, word: u64) {
    let mut bytes = fs::read(file).unwrap();
    for place in bytes.chunks_exact_mut(8).skip(header) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn pages_may_hold_any_numbers() {
    for word in [MOST, MOST - 4, MOST / 2, 1 << 63] {
        survives(|cache| {
            let store = FileStore::open(cache, 1 << 30).unwrap();
            store.put_record(b"key", b"value").unwrap();
            store.note(&compile(1, 2, "miss").to_string()).unwrap();
            drop(store);
            fill(&cache.join("counters"), 2, word);
            fill(&cache.join("shards"), 2, word);
        });
    }
}

#[test]
fn store_with_pages_of_any_numbers_takes_and_gives() {
    for word in [MOST, MOST - 4, MOST / 2, 1 << 63, 1] {
        let home = Home::new();
        home.store().put_record(b"key", b"value").unwrap();
        fill(&home.cache().join("counters"), 2, word);
        fill(&home.cache().join("shards"), 2, word);
        let store = FileStore::open(&home.cache(), 1 << 20).unwrap();
        for n in 0..40_u8 {
            store
                .note(&json!({ "v": 1, "n": n, "filling": "x".repeat(60_000) }).to_string())
                .unwrap();
            store.put_record(&[n], &[n; 100]).unwrap();
            store.put(&[n], &[n; 100]).unwrap();
        }
        assert!(store.noted().is_ok());
        assert_eq!(store.get(&[39]).unwrap(), Some(vec![39; 100]));
        store.recount().unwrap();
        assert!(store.bytes().unwrap() < 1 << 20);
    }
}
