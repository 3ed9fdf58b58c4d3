//! The file-stream store against a map in memory, under random operations; and its contract in
//! single steps.

mod contract;

use pcache_nvcc::stats::Counter;
use pcache_nvcc::store::{Artefact, FileStore};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::collections::HashMap;

const PLENTY: u64 = 1 << 30;

fn errors(store: &FileStore) -> u64 {
    store.stats().snapshot().get(Counter::Error)
}

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    Put(u8, Vec<u8>),
    Remove(u8),
    GetRecord(u8),
    PutRecord(u8, Vec<u8>),
    RemoveRecord(u8),
    Artefact(Vec<u8>),
    Recount,
    Reopen,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0u8..6;
    let value = || prop::collection::vec(any::<u8>(), 0..40);
    let step = prop_oneof![
        4 => key().prop_map(Step::Get),
        6 => (key(), value()).prop_map(|(k, v)| Step::Put(k, v)),
        2 => key().prop_map(Step::Remove),
        3 => key().prop_map(Step::GetRecord),
        4 => (key(), value()).prop_map(|(k, v)| Step::PutRecord(k, v)),
        1 => key().prop_map(Step::RemoveRecord),
        3 => prop::collection::vec(0u8..2, 0..4).prop_map(Step::Artefact),
        1 => (0u8..1).prop_map(|_| Step::Recount),
        1 => (0u8..1).prop_map(|_| Step::Reopen),
        1 => (0u8..1).prop_map(|_| Step::Clear),
    ];
    prop::collection::vec(step, 1..40)
}

/// The model: what a store without a limit would hold.
#[derive(Default)]
struct Model {
    entries: HashMap<Vec<u8>, Vec<u8>>,
    records: HashMap<Vec<u8>, Vec<u8>>,
}

impl Model {
    /// Record headers have 87 bytes.
    fn bytes(&self) -> u64 {
        let entries = self.entries.values().map(|value| value.len() as u64);
        let records = self.records.values().map(|value| value.len() as u64 + 87);
        entries.chain(records).sum()
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn store_without_pressure_is_a_map(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(dir.path(), PLENTY).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Get(key) => {
                    prop_assert_eq!(&store.get(&[key]).unwrap(), &model.entries.get(&vec![key]).cloned());
                }
                Step::Put(key, value) => {
                    store.put(&[key], &value).unwrap();
                    model.entries.insert(vec![key], value);
                }
                Step::Remove(key) => {
                    let was = model.entries.remove(&vec![key]).is_some();
                    prop_assert_eq!(store.remove(&[key]).unwrap(), was);
                }
                Step::GetRecord(key) => {
                    let expected = model.records.get(&vec![key]).cloned();
                    prop_assert_eq!(&store.get_record(&[key]).unwrap(), &expected);
                }
                Step::PutRecord(key, value) => {
                    store.put_record(&[key], &value).unwrap();
                    model.records.insert(vec![key], value);
                }
                Step::RemoveRecord(key) => {
                    let was = model.records.remove(&vec![key]).is_some();
                    prop_assert_eq!(store.remove_record(&[key]).unwrap(), was);
                }
                Step::Artefact(bytes) => {
                    let artefact = store.put_artefact(&bytes).unwrap();
                    prop_assert_eq!(artefact, Artefact::of(&bytes));
                    prop_assert_eq!(&store.get_artefact(&artefact).unwrap(), &Some(bytes.clone()));
                    model.entries.insert(artefact.key(), bytes);
                }
                Step::Recount => {
                    store.recount().unwrap();
                }
                Step::Reopen => store = FileStore::open(dir.path(), PLENTY).unwrap(),
                Step::Clear => {
                    let cleared = store.clear().unwrap();
                    prop_assert_eq!(cleared.bytes, model.bytes());
                    model = Model::default();
                }
            }
            prop_assert_eq!(store.bytes().unwrap(), model.bytes());
            prop_assert_eq!(store.len().unwrap(), model.entries.len() as u64);
        }
        prop_assert_eq!(errors(&store), 0);
    }

    #[test]
    fn store_under_pressure_stays_below_its_cap_and_serves_nothing_wrong(
        steps in steps(),
        cap in 40u64..300,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path(), cap).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Put(key, value) => {
                    store.put(&[key], &value).unwrap();
                    model.entries.insert(vec![key], value);
                }
                Step::Get(key) => {
                    if let Some(value) = store.get(&[key]).unwrap() {
                        prop_assert_eq!(Some(&value), model.entries.get(&vec![key]));
                    }
                }
                Step::PutRecord(key, value) => match store.put_record(&[key], &value) {
                    Ok(()) => {
                        model.records.insert(vec![key], value);
                    }
                    Err(error) => {
                        prop_assert!(value.len() as u64 + 87 > cap, "{}", error);
                    }
                },
                Step::GetRecord(key) => {
                    if let Some(value) = store.get_record(&[key]).unwrap() {
                        prop_assert_eq!(Some(&value), model.records.get(&vec![key]));
                    }
                }
                Step::Remove(key) => {
                    store.remove(&[key]).unwrap();
                    prop_assert_eq!(store.get(&[key]).unwrap(), None);
                }
                _ => {}
            }
            let counted = store.bytes().unwrap();
            prop_assert!(counted <= cap);
            prop_assert_eq!(counted, store.recount().unwrap().bytes);
        }
        prop_assert_eq!(errors(&store), 0);
    }
}
