//! What waits to be sent to other machines is not evicted, unless it is more than a part of what the store may hold.

use crate::noise::noise;
use pcache_nvcc::store::{Artefact, Bounds, FileStore, Policy};
use serde_json::json;
use std::fs;
use std::path::Path;

const KIB: usize = 1024;
const MAX: usize = 400 * KIB;

fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key
}

/// Stores a result with two artefacts, and queues it.
fn queue(store: &FileStore, number: u64, size: usize) -> [Artefact; 2] {
    let object = store.put_artefact(&noise(2 * number, size)).unwrap();
    let text = vec![b'a' + number as u8; size];
    let parts = [object, store.put_internal(&text).unwrap()];
    let record = json!({ "outputs": [{ "artefact": parts[0] }], "stderr": parts[1] });
    let record = serde_json::to_vec(&record).unwrap();
    store.put_record(&key(number), &record).unwrap();
    let directory = store.own_root().unwrap().path.join("remote/0123/queue");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join(format!("{number:020}-1"));
    fs::write(file, [b"r".as_slice(), &key(number)].concat()).unwrap();
    parts
}

fn is_whole(store: &FileStore, number: u64, parts: &[Artefact]) -> bool {
    let holds = |part| store.get_artefact(part).unwrap().is_some();
    store.get_record(&key(number)).unwrap().is_some() && parts.iter().all(holds)
}

fn open(root: &Path, policy: Policy) -> FileStore {
    let store = FileStore::open(root, MAX as u64).unwrap();
    store.with_policy(policy).with_max_files(300)
}

fn fill(store: &FileStore, kib: usize) {
    for seed in 0..kib as u64 / 2 {
        store.put_artefact(&noise(1000 + seed, 2 * KIB)).unwrap();
    }
}

#[test]
fn what_waits_to_be_sent_outlives_what_came_after_it() {
    for policy in [Policy::Lru, Policy::Fifo, Policy::Random { seed: 3 }] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), policy);
        let parts: Vec<_> = (0..5).map(|number| queue(&store, number, KIB)).collect();
        fill(&store, 1200);
        // As another process, which has read nothing of the queue yet.
        let store = open(dir.path(), policy);
        fill(&store, 600);
        let bounds = Bounds::exactly(Some(i64::MAX), Some(MAX as u64 / 2));
        store.collect_to(&bounds, &mut |_, _, _| {}).unwrap();
        for (number, parts) in (0..).zip(&parts) {
            assert!(is_whole(&store, number, parts), "{policy:?}: {number}");
        }
        // Once it is sent, it is as all the rest.
        fs::remove_dir_all(dir.path().join("remote")).unwrap();
        store.collect_to(&bounds, &mut |_, _, _| {}).unwrap();
        assert!(store.recount().unwrap().files() == 0);
    }
}

#[test]
fn a_long_queue_does_not_exceed_the_limit_and_loses_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Policy::Lru);
    let mut parts = Vec::new();
    for number in 0..100 {
        parts.push(queue(&store, number, 6 * KIB));
        assert!(store.recount().unwrap().bytes <= MAX as u64);
    }
    fill(&store, 800);
    assert!(store.recount().unwrap().bytes <= MAX as u64);
    let is_left = |number: &u64| is_whole(&store, *number, &parts[*number as usize]);
    let left: Vec<_> = (0..100).filter(is_left).collect();
    assert!(left.contains(&99) && !left.contains(&0), "{left:?}");
    let first = left[0];
    assert!(left.iter().copied().eq(first..100), "{left:?}");
    assert!(left.len() * 12 * KIB <= MAX / 4, "{left:?}");
}
