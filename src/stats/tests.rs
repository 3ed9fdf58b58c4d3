//! Slots, damage, and what survives a reset.

use super::{Counter, SHARDS, ShardRow, StageKind, Stats, StoreSize};
use crate::files::version_word;
use crate::outcome::{BypassReason, FallbackReason, NvrtcReason};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

fn every_counter() -> Vec<Counter> {
    let mut all = vec![
        Counter::DirectHit,
        Counter::PreprocessedHit,
        Counter::Miss,
        Counter::Coalesced,
        Counter::Error,
        Counter::Uncacheable,
        Counter::SemanticHit,
        Counter::SavedMilliseconds,
        Counter::SpentMilliseconds,
        Counter::Distrusted,
        Counter::Evicted,
        Counter::PackedFrom,
        Counter::PackedTo,
        Counter::NvrtcHit,
        Counter::NvrtcMiss,
        Counter::NvrtcCoalesced,
        Counter::NvrtcUncacheable,
    ];
    all.extend(BypassReason::ALL.iter().map(|&r| Counter::Bypassed(r)));
    all.extend(FallbackReason::ALL.iter().map(|&r| Counter::Fallback(r)));
    all.extend(NvrtcReason::ALL.iter().map(|&r| Counter::NvrtcBypassed(r)));
    all.extend(StageKind::ALL.iter().map(|&k| Counter::StageHit(k)));
    all.extend(StageKind::ALL.iter().map(|&k| Counter::StageMiss(k)));
    all
}

fn page_of(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("counters")).expect("the page is a file")
}

#[test]
fn every_counter_has_its_own_slot() {
    let slots: HashSet<_> = every_counter().iter().map(|c| c.slot()).collect();
    assert_eq!(slots.len(), every_counter().len());
}

#[test]
fn slots_follow_the_order_of_the_enums() {
    for (at, &reason) in BypassReason::ALL.iter().enumerate() {
        assert_eq!(reason as usize, at);
    }
    for (at, &reason) in FallbackReason::ALL.iter().enumerate() {
        assert_eq!(reason as usize, at);
    }
    for (at, &kind) in StageKind::ALL.iter().enumerate() {
        assert_eq!(kind as usize, at);
    }
}

#[test]
fn counts_are_seen_by_another_opening() {
    let dir = tempfile::tempdir().unwrap();
    let first = Stats::open(dir.path());
    let second = Stats::open(dir.path());
    for (n, counter) in every_counter().into_iter().enumerate() {
        first.add(counter, n as u64);
        second.add(counter, 1);
    }
    for (n, counter) in every_counter().into_iter().enumerate() {
        assert_eq!(second.snapshot().get(counter), n as u64 + 1, "{counter:?}");
    }
    assert_eq!(page_of(dir.path()).len(), 4096);
}

#[test]
fn zero_keeps_what_the_store_holds() {
    let dir = tempfile::tempdir().unwrap();
    let stats = Stats::open(dir.path());
    let held = StoreSize {
        entries: 2,
        records: 1,
        bytes: 70,
    };
    let totals = stats.totals();
    for shard in 0..=(SHARDS - 1) as u8 {
        let found = if shard == 9 {
            held
        } else {
            StoreSize::default()
        };
        totals.finish_scan(totals.begin_scan(ShardRow::Shard(shard)), found);
    }
    for counter in every_counter() {
        stats.add(counter, 3);
    }
    stats.zero();
    for counter in every_counter() {
        assert_eq!(stats.snapshot().get(counter), 0, "{counter:?}");
    }
    assert_eq!(stats.store_size(), Some(held));
    assert!(Stats::open(dir.path()).is_shared());
}

#[test]
fn damaged_page_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    Stats::open(dir.path()).add(Counter::Miss, 7);
    let good = page_of(dir.path());
    let mut damages = vec![
        Vec::new(),
        vec![0; 4096],
        good[..4095].to_vec(),
        vec![1; 5000],
    ];
    for bit in 0..128 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        damages.push(flipped);
    }
    for damage in damages {
        fs::write(dir.path().join("counters"), &damage).unwrap();
        let stats = Stats::open(dir.path());
        assert!(stats.is_shared());
        assert_eq!(stats.snapshot().get(Counter::Miss), 0);
        stats.add(Counter::Miss, 1);
        assert_eq!(Stats::open(dir.path()).snapshot().get(Counter::Miss), 1);
    }
    let left = fs::read_dir(dir.path().join("tmp")).unwrap().count();
    assert_eq!(left, 0, "no temporary page is left");
}

#[test]
fn page_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Stats::open(dir.path());
    let mut newer = page_of(dir.path());
    newer[8..16].copy_from_slice(&version_word(2).to_ne_bytes());
    fs::write(dir.path().join("counters"), &newer).unwrap();
    let stats = Stats::open(dir.path());
    stats.add(Counter::Miss, 1);
    assert!(!stats.is_shared());
    assert_eq!(page_of(dir.path()), newer);
}

#[test]
fn no_page_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join("counters")).unwrap();
    let linked = dir.path().join("linked");
    fs::create_dir(&linked).unwrap();
    std::os::unix::fs::symlink(&file, linked.join("counters")).unwrap();
    for place in [
        file.join("below"),
        taken,
        linked,
        "".into(),
        "relative".into(),
    ] {
        let stats = Stats::open(&place);
        stats.add(Counter::Error, 2);
        assert!(!stats.is_shared(), "{place:?}");
        assert_eq!(stats.snapshot().get(Counter::Error), 2);
    }
}

#[test]
fn looking_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let stats = Stats::open_existing(&cache);
    assert!(!stats.is_shared());
    assert!(!cache.exists());
}
