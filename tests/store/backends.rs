//! What `Backend` promises, held by the store on the disk and by the one in memory alike: the same
//! random operations on both and on a map, without pressure and with it; and single steps.

use pcache_nvcc::store::policy::{Limits, Policy};
use pcache_nvcc::store::{Backend, FileStore, MemoryStore, Name, StoreError};
use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tempfile::TempDir;

const PLENTY: u64 = 1 << 20;

/// One of each, for the same cap and policy; the directory lives as long as they do.
struct Both {
    file: FileStore,
    memory: MemoryStore,
    _dir: TempDir,
}

impl Both {
    fn new(max_bytes: u64, policy: Policy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = FileStore::open(dir.path(), max_bytes).unwrap();
        let memory = MemoryStore::new(Limits::below(max_bytes)).unwrap();
        Self {
            file: file.with_policy(policy),
            memory: memory.with_policy(policy),
            _dir: dir,
        }
    }

    fn each(&self) -> [(&'static str, &dyn Backend); 2] {
        [("file", &self.file), ("memory", &self.memory)]
    }
}

/// Policies under which nothing expires while a test runs.
fn policies() -> [Policy; 6] {
    let lifetime = 1 << 60;
    [
        Policy::Lru,
        Policy::Fifo,
        Policy::Lfu,
        Policy::Random { seed: 4 },
        Policy::Ttl { lifetime },
        Policy::Tlru {
            objects: lifetime,
            device: lifetime,
        },
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    Put(u8, Vec<u8>),
    Remove(u8),
    List,
    Expire,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0u8..8;
    let value = prop::collection::vec(0u8..4, 0..40);
    let step = prop_oneof![
        6 => key().prop_map(Step::Get),
        8 => (key(), value).prop_map(|(key, value)| Step::Put(key, value)),
        2 => key().prop_map(Step::Remove),
        2 => prop::strategy::Just(Step::List),
        1 => prop::strategy::Just(Step::Expire),
        1 => prop::strategy::Just(Step::Clear),
    ];
    prop::collection::vec(step, 1..30)
}

type Model = BTreeMap<u8, Vec<u8>>;

/// The names and sizes of all that is held.
fn listed(store: &dyn Backend) -> BTreeMap<Name, u64> {
    let entries = store.entries().unwrap();
    entries
        .iter()
        .map(|entry| (entry.name, entry.size))
        .collect()
}

fn bytes(model: &Model) -> u64 {
    model.values().map(|value| value.len() as u64).sum()
}

fn names(model: &Model) -> BTreeMap<Name, u64> {
    let entry = |(key, value): (&u8, &Vec<u8>)| (Name::of(&[*key]), value.len() as u64);
    model.iter().map(entry).collect()
}

/// Does `step` to a store that never evicts and to its model; both do the same.
fn follow(store: &dyn Backend, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    match step {
        Step::Get(key) => {
            let before = store.info().unwrap();
            let found = store.get(&[*key]).unwrap();
            let after = store.info().unwrap();
            let counted = (after.hits - before.hits, after.misses - before.misses);
            let expected = if found.is_some() { (1, 0) } else { (0, 1) };
            prop_assert_eq!(counted, expected);
            prop_assert_eq!(found.as_ref(), model.get(key));
        }
        Step::Put(key, value) => {
            store.put(&[*key], value).unwrap();
            model.insert(*key, value.clone());
        }
        Step::Remove(key) => {
            let held = model.remove(key).is_some();
            prop_assert_eq!(store.remove(&[*key]).unwrap(), held);
        }
        Step::List => prop_assert_eq!(listed(store), names(model)),
        Step::Expire => prop_assert!(store.expire().unwrap().is_empty()),
        Step::Clear => {
            let cleared = store.clear().unwrap();
            let expected = (model.len() as u64, bytes(model));
            prop_assert_eq!((cleared.files, cleared.bytes), expected);
            model.clear();
        }
    }
    prop_assert_eq!(store.len().unwrap(), model.len() as u64);
    prop_assert_eq!(store.is_empty().unwrap(), model.is_empty());
    prop_assert_eq!(store.info().unwrap().bytes, bytes(model));
    Ok(())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    #[test]
    fn without_pressure_both_are_maps(steps in steps(), policy in 0..policies().len()) {
        let both = Both::new(PLENTY, policies()[policy]);
        for (_, store) in both.each() {
            let mut model = Model::new();
            for step in &steps {
                follow(store, &mut model, step)?;
            }
        }
    }

    #[test]
    fn under_pressure_both_keep_the_cap_and_only_what_was_put(
        steps in steps(),
        policy in 0..policies().len(),
        max_bytes in 40u64..120,
    ) {
        let both = Both::new(max_bytes, policies()[policy]);
        for (_, store) in both.each() {
            let mut model = Model::new();
            for step in &steps {
                match step {
                    Step::Get(key) => {
                        let found = store.get(&[*key]).unwrap();
                        prop_assert!(found.is_none() || found.as_ref() == model.get(key));
                    }
                    Step::Put(key, value) => {
                        let fits = bytes(&model) + value.len() as u64 <= max_bytes;
                        store.put(&[*key], value).unwrap();
                        model.insert(*key, value.clone());
                        prop_assert!(!fits || listed(store) == names(&model));
                    }
                    Step::Remove(key) => {
                        store.remove(&[*key]).unwrap();
                    }
                    Step::Clear => drop(store.clear().unwrap()),
                    Step::List | Step::Expire => {}
                }
                if matches!(step, Step::Get(_)) {
                    continue;
                }
                let held = listed(store);
                model.retain(|key, value| held.get(&Name::of(&[*key])) == Some(&(value.len() as u64)));
                prop_assert_eq!(held.len(), model.len());
                let size: u64 = held.values().sum();
                prop_assert!(size <= max_bytes);
                prop_assert_eq!(store.info().unwrap().bytes, size);
            }
        }
    }
}

#[test]
fn both_refuse_what_cannot_be_and_keep_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let none = FileStore::open(dir.path(), 0).unwrap_err();
    assert!(matches!(none, StoreError::NoRoom));
    let none = MemoryStore::new(Limits::below(0)).unwrap_err();
    assert!(matches!(none, StoreError::NoRoom));
    for (which, store) in Both::new(10, Policy::Lru).each() {
        store.put(b"a", &[1; 9]).unwrap();
        let refused = store.put(b"a", &[2; 11]).unwrap_err();
        let large = StoreError::TooLarge {
            size: 11,
            max_bytes: 10,
        };
        assert_eq!(refused.to_string(), large.to_string(), "{which}");
        assert_eq!(store.get(b"a").unwrap().unwrap(), [1; 9], "{which}");
        assert_eq!(store.info().unwrap().max_bytes, 10, "{which}");
    }
}

#[test]
fn expired_values_are_gone_from_both() {
    for (which, store) in Both::new(100, Policy::Ttl { lifetime: 1 }).each() {
        store.put(b"a", &[1; 20]).unwrap();
        thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(store.get(b"a").unwrap(), None, "{which}");
        assert_eq!(store.len().unwrap(), 0, "{which}");
        store.put(b"b", &[1; 20]).unwrap();
        thread::sleep(std::time::Duration::from_millis(20));
        let gone = store.expire().unwrap();
        let b = gone.iter().filter(|entry| entry.name == Name::of(b"b"));
        assert_eq!(b.count(), 1, "{which}");
        assert_eq!(store.info().unwrap().bytes, 0, "{which}");
    }
}

/// Asks for one key from several threads; how often it was made.
fn made(store: &impl Backend, ask: impl Fn(&AtomicU64) + Sync) -> u64 {
    let calls = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| ask(&calls));
        }
    });
    assert_eq!(store.len().unwrap(), 1);
    calls.into_inner()
}

/// Makes `key` with a first maker that fails and others that do not.
fn stampede(store: &impl Backend) {
    let made = made(store, |calls| {
        let value = store.get_or_insert_with(b"key", || {
            let before = calls.fetch_add(1, Ordering::SeqCst);
            thread::yield_now();
            match before {
                0 => Err("no"),
                _ => Ok(b"value".to_vec()),
            }
        });
        assert!(value == Err("no") || value == Ok(b"value".to_vec()));
    });
    assert_eq!(made, 2, "one that failed, and one that did not");
    // Those who waited looked before, too; the stores differ in what they count that as.
    let info = store.info().unwrap();
    assert_eq!(info.hits + info.misses, 6);
    assert!(info.misses >= 2);
}

#[test]
fn both_make_what_many_want_once() {
    let both = Both::new(PLENTY, Policy::Lru);
    stampede(&both.file);
    stampede(&both.memory);
}
