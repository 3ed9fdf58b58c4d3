//! The store in memory: its contract in single steps, and what many threads see of it. What its
//! policies do is in `policies.rs`.

use pcache_nvcc::store::policy::{Limits, Nanos, Policy};
use pcache_nvcc::store::{Backend, Entry, Info, MemoryStore, Name, StoreError};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

fn store(max_bytes: u64) -> MemoryStore {
    MemoryStore::new(Limits::exactly(max_bytes)).unwrap()
}

/// A store with a clock that the test turns, at 1000.
fn timed(max_bytes: u64, policy: Policy) -> (MemoryStore, Arc<AtomicI64>) {
    let time = Arc::new(AtomicI64::new(1000));
    let clock = Arc::clone(&time);
    let clock = move || Nanos::from(clock.load(Ordering::Relaxed));
    (store(max_bytes).with_policy(policy).with_clock(clock), time)
}

fn names(entries: &[Entry]) -> Vec<Name> {
    entries.iter().map(|entry| entry.name).collect()
}

fn held(store: &MemoryStore, key: &str) -> Option<Vec<u8>> {
    store.get(key.as_bytes()).unwrap()
}

fn made<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

#[test]
fn stored_values_come_back_until_they_are_removed() {
    let store = store(100);
    assert!(store.is_empty().unwrap());
    assert_eq!(held(&store, "a"), None);
    store.put(b"a", b"1").unwrap();
    store.put(b"b", b"22").unwrap();
    store.put(b"a", b"333").unwrap();
    assert_eq!(held(&store, "a").unwrap(), b"333");
    assert_eq!(store.len().unwrap(), 2);
    assert!(store.remove(b"a").unwrap() && !store.remove(b"a").unwrap());
    assert_eq!(held(&store, "a"), None);
    let info = Info {
        hits: 1,
        misses: 2,
        bytes: 2,
        max_bytes: 100,
    };
    assert_eq!(store.info().unwrap(), info);
    let cleared = store.clear().unwrap();
    assert_eq!((cleared.files, cleared.bytes), (1, 2));
    assert!(store.is_empty().unwrap());
    assert_eq!(store.info().unwrap().bytes, 0);
}

#[test]
fn listing_names_entries_by_the_digest_of_their_keys_and_marks_nothing() {
    let (store, time) = timed(100, Policy::Lru);
    store.put(b"abc", b"1234").unwrap();
    time.store(2000, Ordering::Relaxed);
    store.get(b"abc").unwrap();
    time.store(3000, Ordering::Relaxed);
    let entry = Entry {
        name: Name::of(b"abc"),
        size: 4,
        read: 2000,
        written: 1000,
    };
    assert_eq!(store.entries().unwrap(), [entry]);
    assert_eq!(store.entries().unwrap(), [entry]);
    let path = "ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(entry.name.to_string(), path);
}

#[test]
fn stores_and_values_that_cannot_be_are_refused() {
    let refused = MemoryStore::new(Limits::below(0)).unwrap_err();
    assert!(matches!(refused, StoreError::NoRoom));
    let store = store(3);
    store.put(b"a", b"123").unwrap();
    let refused = store.put(b"a", b"1234").unwrap_err();
    assert!(matches!(
        refused,
        StoreError::TooLarge {
            size: 4,
            max_bytes: 3
        }
    ));
    assert_eq!(held(&store, "a").unwrap(), b"123");
}

#[test]
fn low_water_mark_makes_room_for_several() {
    let store = MemoryStore::new(Limits::below(100)).unwrap();
    for number in 0..10u8 {
        assert_eq!(store.insert(&[number], vec![0; 10]).unwrap(), []);
    }
    let gone = store.insert(&[10], vec![0; 10]).unwrap();
    assert_eq!(names(&gone), [Name::of(&[0]), Name::of(&[1])]);
    assert_eq!(store.info().unwrap().bytes, 90);
    assert_eq!(store.insert(&[11], vec![0; 10]).unwrap(), []);
}

#[test]
fn value_just_stored_is_no_victim_of_its_own_put() {
    let store = store(10).with_policy(Policy::Lfu);
    store.put(b"often", &[0; 6]).unwrap();
    store.get(b"often").unwrap();
    store.put(b"new", &[0; 6]).unwrap();
    assert!(held(&store, "new").is_some() && held(&store, "often").is_none());
}

#[test]
fn value_above_the_low_water_mark_stays() {
    for policy in [
        Policy::Lru,
        Policy::Fifo,
        Policy::Lfu,
        Policy::Random { seed: 1 },
    ] {
        let store = MemoryStore::new(Limits::below(100)).unwrap();
        let store = store.with_policy(policy);
        store.put(b"small", &[1; 20]).unwrap();
        store.put(b"large", &[2; 95]).unwrap();
        assert!(held(&store, "large").is_some() && held(&store, "small").is_none());
    }
}

#[test]
fn expired_values_are_not_served_listed_or_counted() {
    let (store, time) = timed(100, Policy::Ttl { lifetime: 50 });
    store.put(b"a", b"1").unwrap();
    time.store(1020, Ordering::Relaxed);
    store.put(b"b", b"2").unwrap();
    time.store(1049, Ordering::Relaxed);
    assert_eq!(held(&store, "a").unwrap(), b"1");
    assert_eq!(store.expire().unwrap(), []);
    time.store(1050, Ordering::Relaxed);
    assert_eq!(held(&store, "a"), None, "reading does not prolong a life");
    assert_eq!(store.len().unwrap(), 1);
    assert_eq!(names(&store.entries().unwrap()), [Name::of(b"b")]);
    assert!(!store.remove(b"a").unwrap());
    time.store(2000, Ordering::Relaxed);
    store.put(b"c", b"3").unwrap();
    assert_eq!(store.expire().unwrap(), [], "the put has done it");
    assert_eq!(store.info().unwrap().bytes, 1);
    time.store(3000, Ordering::Relaxed);
    assert_eq!(names(&store.expire().unwrap()), [Name::of(b"c")]);
}

#[test]
fn device_code_has_a_lifetime_of_its_own() {
    let policy = Policy::Tlru {
        objects: 10,
        device: 100,
    };
    let (store, time) = timed(1000, policy);
    let ptx = b"//\n// Generated by NVIDIA NVVM Compiler\n//\n";
    store.put(b"ptx", ptx).unwrap();
    store.put(b"text", b"text").unwrap();
    let never = store.insert_until(b"never", b"x".as_slice(), None);
    assert_eq!(never.unwrap(), []);
    time.store(1010, Ordering::Relaxed);
    assert_eq!(names(&store.expire().unwrap()), [Name::of(b"text")]);
    time.store(1100, Ordering::Relaxed);
    assert_eq!(names(&store.expire().unwrap()), [Name::of(b"ptx")]);
    time.store(i64::MAX, Ordering::Relaxed);
    assert!(held(&store, "never").is_some());
    let past = store.insert_until(b"never", b"y".as_slice(), Some(1));
    assert_eq!(past.unwrap(), []);
    assert!(store.is_empty().unwrap());
}

#[test]
fn clock_that_stands_or_goes_back_keeps_the_order_of_uses() {
    let (store, time) = timed(3, Policy::Lru);
    for key in ["a", "b", "c"] {
        store.put(key.as_bytes(), b"1").unwrap();
    }
    time.store(500, Ordering::Relaxed);
    store.get(b"a").unwrap();
    let gone = store.insert(b"d", b"2".as_slice()).unwrap();
    assert_eq!(names(&gone), [Name::of(b"b")]);
}

#[test]
fn without_a_clock_times_are_those_of_the_system() {
    let store = store(10);
    let system = || {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        since.as_nanos() as Nanos
    };
    // The two clocks may be adjusted against each other meanwhile.
    let minute = 60_000_000_000;
    let before = system() - minute;
    store.put(b"a", b"1").unwrap();
    let written = store.entries().unwrap()[0].written;
    assert!(before < written && written < system() + minute);
}

#[test]
fn shared_values_are_not_copied() {
    let store = store(100);
    let value: Arc<[u8]> = Arc::from(b"value".as_slice());
    store.insert(b"a", Arc::clone(&value)).unwrap();
    assert!(Arc::ptr_eq(&store.get_shared(b"a").unwrap(), &value));
    let found = store.get_shared_or_insert_with(b"a", || Err(()));
    assert!(Arc::ptr_eq(&found.unwrap(), &value));
    store.remove(b"a").unwrap();
    assert_eq!(&*value, b"value", "readers keep what they have");
}

#[test]
fn store_can_be_any_backend() {
    let store: Box<dyn Backend> = Box::new(store(10));
    store.put(b"a", b"1").unwrap();
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"1");
}

#[test]
fn missing_value_is_made_once_and_found_then() {
    let store = store(10);
    let first = store.get_or_insert_with(b"a", || made(b"1".to_vec()));
    let second = store.get_or_insert_with(b"a", || made(b"2".to_vec()));
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (b"1".to_vec(), b"1".to_vec())
    );
    let info = store.info().unwrap();
    assert_eq!((info.hits, info.misses), (1, 1));
}

#[test]
fn value_that_does_not_fit_is_given_and_not_stored() {
    let store = store(2);
    let value = store.get_or_insert_with(b"a", || made(b"123".to_vec()));
    assert_eq!(value.unwrap(), b"123");
    assert!(store.is_empty().unwrap());
}

/// How many threads wait for one key in the tests below.
const WAITERS: usize = 7;

/// Has one thread make the value of `key` by `make` while others ask for it, too; what each got.
/// `make` is told how many have begun to make it before.
fn stampede(
    store: &MemoryStore,
    make: impl Fn(u64) -> Result<Vec<u8>, String> + Sync,
) -> Vec<Result<Vec<u8>, String>> {
    let begun = AtomicU64::new(0);
    let waiting = AtomicU64::new(0);
    let (start, started) = mpsc::channel();
    let ask = |first: Option<mpsc::Sender<()>>| {
        let asked = catch_unwind(AssertUnwindSafe(|| {
            waiting.fetch_add(1, Ordering::SeqCst);
            store.get_or_insert_with(b"key", || {
                let before = begun.fetch_add(1, Ordering::SeqCst);
                if let Some(start) = first {
                    start.send(()).unwrap();
                    // Until the others are about to ask. Those that are late find what was stored.
                    while waiting.load(Ordering::SeqCst) <= WAITERS as u64 {
                        thread::yield_now();
                    }
                }
                make(before)
            })
        }));
        asked.unwrap_or_else(|_| Err("panic".into()))
    };
    thread::scope(|scope| {
        let ask = &ask;
        let first = scope.spawn(move || ask(Some(start)));
        started.recv().unwrap();
        let others: Vec<_> = (0..WAITERS)
            .map(|_| scope.spawn(move || ask(None)))
            .collect();
        let threads = std::iter::once(first).chain(others);
        threads.map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn many_that_want_one_key_make_it_once() {
    let store = store(100);
    let got = stampede(&store, |before| Ok(before.to_string().into_bytes()));
    assert!(got.iter().all(|got| *got == Ok(b"0".to_vec())), "{got:?}");
    let info = store.info().unwrap();
    assert_eq!((info.hits, info.misses), (WAITERS as u64, 1));
}

#[test]
fn another_waiter_makes_it_when_the_first_fails() {
    let store = store(100);
    let got = stampede(&store, |before| match before {
        0 => Err("no".into()),
        _ => Ok(before.to_string().into_bytes()),
    });
    assert_eq!(got[0], Err("no".to_owned()));
    assert!(
        got[1..].iter().all(|got| *got == Ok(b"1".to_vec())),
        "{got:?}"
    );
}

#[test]
fn another_waiter_makes_it_when_the_first_panics() {
    let store = store(100);
    let got = stampede(&store, |before| match before {
        0 => std::panic::panic_any("on purpose"),
        _ => Ok(before.to_string().into_bytes()),
    });
    assert_eq!(got[0], Err("panic".to_owned()));
    assert!(
        got[1..].iter().all(|got| *got == Ok(b"1".to_vec())),
        "{got:?}"
    );
    assert_eq!(held(&store, "key").unwrap(), b"1");
}

#[test]
fn making_one_key_holds_up_no_other() {
    let store = store(100);
    let outer = store.get_or_insert_with(b"a", || {
        store.put(b"b", b"2").unwrap();
        let inner = store.get_or_insert_with(b"c", || made(b"3".to_vec()))?;
        assert_eq!(store.len().unwrap(), 2);
        made([inner, held(&store, "b").unwrap()].concat())
    });
    assert_eq!(outer.unwrap(), b"32");
    assert_eq!(store.len().unwrap(), 3);
}

/// Every value tells its key, so that a mixed-up or torn one would be seen.
#[test]
fn threads_see_whole_values_of_their_keys_and_the_cap_holds() {
    let policies = [
        Policy::Lru,
        Policy::Fifo,
        Policy::Lfu,
        Policy::Random { seed: 1 },
        Policy::Ttl { lifetime: 20_000 },
    ];
    for policy in policies {
        let store = MemoryStore::new(Limits::below(300))
            .unwrap()
            .with_policy(policy);
        let value = |key: u64| key.to_string().repeat(1 + key as usize % 20).into_bytes();
        let over = AtomicBool::new(false);
        let start = Barrier::new(4);
        let work = |seed: u64| {
            start.wait();
            let mut state = seed;
            for _ in 0..3000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let key = (state >> 33) % 50 + 10;
                let bytes = key.to_le_bytes();
                match (state >> 48) % 8 {
                    0 => store.put(&bytes, &value(key)).unwrap(),
                    1 => drop(store.remove(&bytes).unwrap()),
                    2 if key == 10 => drop(store.clear().unwrap()),
                    3 => drop(store.expire().unwrap()),
                    4 => {
                        let found = store.get(&bytes).unwrap();
                        assert!(found.is_none_or(|found| found == value(key)));
                    }
                    5 => over.store(store.info().unwrap().bytes > 300, Ordering::Relaxed),
                    _ => {
                        let found = store.get_or_insert_with(&bytes, || made(value(key)));
                        assert_eq!(found.unwrap(), value(key));
                    }
                }
                assert!(!over.load(Ordering::Relaxed));
            }
        };
        thread::scope(|scope| {
            for seed in 1..=4 {
                scope.spawn(move || work(seed));
            }
        });
        if policy.knows_expiry() {
            continue;
        }
        let left: u64 = store.entries().unwrap().iter().map(|e| e.size).sum();
        assert_eq!(store.info().unwrap().bytes, left, "{policy:?}");
    }
}
