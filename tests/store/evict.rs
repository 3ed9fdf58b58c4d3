//! What goes from the file-stream store, when, and how much of the store one put looks at.

use pcache_nvcc::stats::{Counter, SHARDS, ShardRow};
use pcache_nvcc::store::{Backend, FileStore, Name, Policy};
use std::convert::Infallible;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PLENTY: u64 = 1 << 40;
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

/// The beginning of a cubin: ELF for machine 190.
const CUBIN: &[u8] = b"\x7fELF\x02\x01\x01\x33\x07\0\0\0\0\0\0\0\x02\0\xbe\0";

fn entry_path(root: &Path, key: &[u8]) -> PathBuf {
    root.join(format!("entries/{}", Name::of(key)))
}

fn set_times(path: &Path, read: SystemTime, written: SystemTime) {
    let times = FileTimes::new().set_accessed(read).set_modified(written);
    File::open(path).unwrap().set_times(times).unwrap();
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn evicted(store: &FileStore) -> u64 {
    store.stats().snapshot().get(Counter::Evicted)
}

/// Makes `count` entries of 10 bytes without a store. The later half was read last.
fn fill(root: &Path, count: u64) {
    for shard in 0..=255u8 {
        fs::create_dir_all(root.join(format!("entries/{shard:02x}"))).unwrap();
    }
    for n in 0..count {
        let path = entry_path(root, &n.to_le_bytes());
        fs::write(&path, [1; 10]).unwrap();
        set_times(&path, at(1000 + n), at(1));
    }
}

#[test]
fn first_put_on_a_new_page_samples_a_large_store_and_later_ones_complete_it() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 9_000);
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.put(b"first", &[1; 10]).unwrap();
    let totals = store.stats().totals();
    assert!(totals.unknown().is_some(), "not everything was listed");
    let scans = totals.scans();
    let guess = store.stats().store_size().unwrap();
    assert!(guess.entries.abs_diff(9_000) < 900, "{guess:?}");
    store.put(b"second", &[1; 10]).unwrap();
    assert_eq!(totals.scans(), scans + 1, "one more shard");
    for n in 0..SHARDS as u64 {
        store.put_record(&n.to_be_bytes(), b"").unwrap();
    }
    assert_eq!(totals.unknown(), None);
    let exact = store.stats().store_size().unwrap();
    assert_eq!((exact.entries, exact.records), (9_002, SHARDS as u64));
    assert_eq!(exact, store.recount().unwrap());
}

#[test]
fn eviction_in_a_large_store_lists_a_part_and_removes_what_was_read_longest_ago() {
    let dir = tempfile::tempdir().unwrap();
    let count = 12_000;
    fill(dir.path(), count);
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.recount().unwrap();
    drop(store);
    let store = FileStore::open(dir.path(), count * 10).unwrap();
    let totals = store.stats().totals();
    let scans = totals.scans();
    store.put(b"one more", &[1; 20]).unwrap();
    let listed = totals.scans() - scans;
    assert!(listed < 120, "{listed} of 256 shards");
    assert!(
        (100..=256).contains(&evicted(&store)),
        "{}",
        evicted(&store)
    );
    assert!(store.bytes().unwrap() <= count * 10);
    // A tenth goes. Every shard is a sample of some hundred, so that the border differs a little.
    let is_there = |n: u64| entry_path(dir.path(), &n.to_le_bytes()).exists();
    assert!(
        (count / 5..count).all(is_there),
        "the later four fifths stay"
    );
    // All shards have their turn.
    for n in 0..300u64 {
        store.put_record(&n.to_be_bytes(), b"").unwrap();
    }
    assert!((count / 2..count).all(is_there), "the later half stays");
    let left = (0..count / 2).filter(|&n| is_there(n)).count();
    assert!(left < 4_000, "{left}");
    assert!(store.bytes().unwrap() <= count * 10);
    assert_eq!(store.bytes().unwrap(), store.recount().unwrap().bytes);
}

#[test]
fn lowered_cap_is_reached_by_several_puts_and_never_exceeded_more() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 9_000);
    FileStore::open(dir.path(), PLENTY)
        .unwrap()
        .recount()
        .unwrap();
    let store = FileStore::open(dir.path(), 20_000).unwrap();
    let mut before = store.bytes().unwrap();
    let mut puts = 0u64;
    while before > 20_000 {
        store.put_record(&puts.to_be_bytes(), &[1; 400]).unwrap();
        let after = store.bytes().unwrap();
        assert!(after < before, "each put makes up for itself");
        before = after;
        puts += 1;
    }
    assert!(puts > 5, "no single put paid for all");
}

#[test]
fn who_cannot_have_the_lock_goes_on_without_evicting() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 100).unwrap();
    store.put(b"a", &[0; 60]).unwrap();
    fs::create_dir_all(dir.path().join("locks")).unwrap();
    let lock = File::create(dir.path().join("locks/evict")).unwrap();
    lock.lock().unwrap();
    store.put(b"b", &[0; 60]).unwrap();
    assert_eq!((evicted(&store), store.bytes().unwrap()), (0, 120));
    drop(lock);
    store.put(b"c", &[0; 60]).unwrap();
    assert!(store.bytes().unwrap() <= 100);
}

#[test]
fn hit_under_lru_or_fifo_reads_no_totals_and_writes_no_log() {
    for policy in [Policy::Lru, Policy::Fifo] {
        let dir = tempfile::tempdir().unwrap();
        FileStore::open(dir.path(), 100)
            .unwrap()
            .put(b"a", b"1")
            .unwrap();
        fs::remove_file(dir.path().join("shards")).unwrap();
        let store = FileStore::open(dir.path(), 100)
            .unwrap()
            .with_policy(policy);
        assert_eq!(store.get(b"a").unwrap().unwrap(), b"1");
        assert!(!dir.path().join("shards").exists() && !dir.path().join("uses").exists());
    }
}

#[test]
fn fifo_evicts_the_first_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 100).unwrap();
    let store = store.with_policy(Policy::Fifo);
    for (key, written) in [(b"a", 300), (b"b", 100), (b"c", 200)] {
        store.put(key, &[0; 30]).unwrap();
        set_times(&entry_path(dir.path(), key), at(1000), at(written));
    }
    store.get(b"b").unwrap();
    store.put(b"d", &[0; 30]).unwrap();
    let left = [b"a", b"b", b"c", b"d"].map(|key| store.get(key).unwrap().is_some());
    assert_eq!(left, [true, false, true, true]);
}

#[test]
fn lfu_evicts_the_least_used_and_outlives_the_loss_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        FileStore::open(dir.path(), 100)
            .unwrap()
            .with_policy(Policy::Lfu)
    };
    for key in [b"a", b"b", b"c"] {
        open().put(key, &[0; 30]).unwrap();
    }
    for (key, reads) in [(b"a", 3), (b"b", 1), (b"c", 2)] {
        for _ in 0..reads {
            open().get(key).unwrap().unwrap();
        }
    }
    let peek = |key: &[u8]| entry_path(dir.path(), key).exists();
    open().put(b"d", &[0; 30]).unwrap();
    assert!(peek(b"a") && peek(b"c") && (peek(b"b") != peek(b"d")));
    fs::remove_dir_all(dir.path().join("uses")).unwrap();
    open().put(b"e", &[0; 30]).unwrap();
    assert!(open().bytes().unwrap() <= 100);
}

#[test]
fn entries_expire_under_ttl_and_are_neither_served_nor_counted() {
    let dir = tempfile::tempdir().unwrap();
    let ttl = Policy::Ttl { lifetime: HOUR };
    let store = FileStore::open(dir.path(), 1000).unwrap().with_policy(ttl);
    let now = SystemTime::now();
    let hours = |n: u64| now - Duration::from_secs(n * 3600);
    for (key, written) in [(b"old", 2), (b"new", 0), (b"own", 3)] {
        store.put(key, &[0; 30]).unwrap();
        set_times(&entry_path(dir.path(), key), now, hours(written));
    }
    assert_eq!(store.len().unwrap(), 1);
    assert_eq!(store.get(b"own").unwrap(), None);
    assert!(!entry_path(dir.path(), b"own").exists());
    assert_eq!(Backend::entries(&store).unwrap()[0].name, Name::of(b"new"));
    let gone = store.expire().unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!((gone[0].name, gone[0].size), (Name::of(b"old"), 30));
    assert_eq!(store.bytes().unwrap(), 30);
    assert!(
        FileStore::open(dir.path(), 1000)
            .unwrap()
            .expire()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn device_code_has_a_lifetime_of_its_own_with_or_without_a_log() {
    let policy = Policy::Tlru {
        objects: HOUR,
        device: 100 * HOUR,
    };
    for keeps_log in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path(), 1000)
            .unwrap()
            .with_policy(policy);
        store.put(b"device", CUBIN).unwrap();
        store.put(b"object", b"object").unwrap();
        let written = SystemTime::now() - Duration::from_secs(2 * 3600);
        for key in [&b"device"[..], b"object"] {
            set_times(&entry_path(dir.path(), key), written, written);
        }
        let log = dir.path().join("uses");
        assert!(log.exists());
        if !keeps_log {
            fs::remove_dir_all(log).unwrap();
        }
        assert_eq!(store.len().unwrap(), 1);
        let gone: Vec<_> = store
            .expire()
            .unwrap()
            .iter()
            .map(|gone| gone.name)
            .collect();
        assert_eq!(gone, [Name::of(b"object")]);
        assert_eq!(store.get(b"device").unwrap().unwrap(), CUBIN);
    }
}

#[test]
fn info_counts_lookups_of_this_handle_and_everybodys_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 1000).unwrap();
    FileStore::open(dir.path(), 1000)
        .unwrap()
        .put(b"a", b"12345")
        .unwrap();
    store.get(b"a").unwrap();
    store.get(b"b").unwrap();
    store.get(b"b").unwrap();
    let info = store.info().unwrap();
    assert_eq!((info.hits, info.misses), (1, 2));
    assert_eq!((info.bytes, info.max_bytes), (5, 1000));
}

#[test]
fn of_threads_that_want_the_same_key_one_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 1000).unwrap();
    let made = std::sync::atomic::AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let value = store.get_or_insert_with(b"key", || {
                    made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(20));
                    Ok::<_, Infallible>(b"value".to_vec())
                });
                assert_eq!(value.unwrap(), b"value");
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
    assert_eq!(store.get_or_insert_with(b"bad", || Err("no")), Err("no"));
    let large = vec![0; 2000];
    let given = store.get_or_insert_with(b"large", || Ok::<_, Infallible>(large.clone()));
    assert_eq!(
        given.unwrap(),
        large,
        "what cannot be stored is given all the same"
    );
}

#[test]
fn opening_sweeps_once_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tmp")).unwrap();
    let dead = dir.path().join("tmp/entry-dead");
    let leave = || {
        fs::write(&dead, b"unfinished").unwrap();
        set_times(&dead, at(1), at(1));
    };
    leave();
    let store = FileStore::open(dir.path(), 1000).unwrap();
    assert!(!dead.exists());
    assert_eq!(store.stats().totals().row(ShardRow::Unfinished).bytes, 0);
    leave();
    FileStore::open(dir.path(), 1000).unwrap();
    assert!(dead.exists(), "no listing at every opening");
}
