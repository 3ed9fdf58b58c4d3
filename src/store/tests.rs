//! The file store by the rules of Windows, on any system: with errors that are planted where files
//! are opened, renamed and removed.

use super::{Artefact, FileStore, StoreError};
use crate::files::{Operation, faults};
use crate::stats::Counter;
use std::fs::{self, FileTimes};
use std::time::{Duration, UNIX_EPOCH};

const SHARING_VIOLATION: i32 = 32;
const WRITE_PROTECTED: i32 = 19;

fn store() -> (tempfile::TempDir, FileStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 1000).unwrap();
    store.put(b"key", b"value").unwrap();
    (dir, store)
}

#[test]
fn read_of_a_busy_file_waits_and_then_is_a_miss() {
    let (_dir, store) = store();
    let get = || store.get(b"key").unwrap();
    for (times, pauses) in [(1, 5), (3, 35), (5, 185)] {
        let (value, slept) = faults::with(Operation::Open, SHARING_VIOLATION, times, get);
        assert_eq!((value.as_deref(), slept), (Some(&b"value"[..]), pauses));
    }
    let (value, slept) = faults::with(Operation::Open, SHARING_VIOLATION, 6, get);
    assert_eq!((value, slept), (None, 185));
    assert_eq!(get().unwrap(), b"value", "nothing was removed");
}

#[test]
fn put_to_a_busy_place_waits_and_then_is_dropped() {
    let (dir, store) = store();
    let put = || store.put(b"key", b"new").unwrap();
    let ((), slept) = faults::with(Operation::Rename, SHARING_VIOLATION, 6, put);
    assert_eq!(slept, 185);
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(store.bytes().unwrap(), 5);
    let ((), slept) = faults::with(Operation::Rename, SHARING_VIOLATION, 2, put);
    assert_eq!(slept, 15);
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"new");
    assert_eq!(store.stats().snapshot().get(Counter::Error), 0);
}

#[test]
fn removal_of_a_busy_file_is_left_for_later() {
    let (_dir, store) = store();
    let remove = || store.remove(b"key").unwrap();
    let (removed, _) = faults::with(Operation::Remove, SHARING_VIOLATION, 6, remove);
    assert!(!removed);
    assert_eq!(store.len().unwrap(), 1);
    let clear = || store.clear().unwrap();
    let (cleared, _) = faults::with(Operation::Remove, SHARING_VIOLATION, 6, clear);
    assert_eq!((cleared.files, store.bytes().unwrap()), (0, 5));
    assert!(remove());
}

#[test]
fn eviction_passes_by_a_busy_file() {
    let (dir, store) = store();
    store.put(b"large", &[0; 600]).unwrap();
    for (key, seconds) in [(b"key".as_slice(), 100), (b"large", 200)] {
        let path = dir.path().join(format!("entries/{}", super::Name::of(key)));
        let read = UNIX_EPOCH + Duration::from_secs(seconds);
        let times = FileTimes::new().set_accessed(read);
        fs::File::open(path).unwrap().set_times(times).unwrap();
    }
    let put = || store.put(b"larger", &[0; 420]).unwrap();
    let ((), slept) = faults::with(Operation::Remove, SHARING_VIOLATION, 6, put);
    assert_eq!(slept, 185);
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
    assert_eq!(store.get(b"large").unwrap(), None);
    assert_eq!(store.stats().snapshot().get(Counter::Error), 0);
}

#[test]
fn other_errors_come_through() {
    let (_dir, store) = store();
    let said = |refused: Result<(), StoreError>| refused.unwrap_err().to_string();
    let get = || store.get(b"key").map(drop);
    let (refused, slept) = faults::with(Operation::Open, WRITE_PROTECTED, 1, get);
    assert!(said(refused).starts_with("cannot open"));
    assert_eq!(slept, 0);
    let put = || store.put(b"key", b"new");
    let (refused, _) = faults::with(Operation::Rename, WRITE_PROTECTED, 1, put);
    assert!(said(refused).starts_with("cannot place"));
    let remove = || store.remove(b"key").map(drop);
    let (refused, _) = faults::with(Operation::Remove, WRITE_PROTECTED, 1, remove);
    assert!(said(refused).starts_with("cannot remove"));
    assert_eq!(store.bytes().unwrap(), 5);
}

#[test]
fn busy_damaged_artefact_is_not_served() {
    let (dir, store) = store();
    let artefact = store.put_artefact(b"object").unwrap();
    let name = super::Name::of(&artefact.key());
    fs::write(dir.path().join(format!("entries/{name}")), b"objecu").unwrap();
    let get = || store.get_artefact(&artefact).unwrap();
    let (value, _) = faults::with(Operation::Remove, SHARING_VIOLATION, 6, get);
    assert_eq!(value, None);
    assert_eq!(
        store.put_artefact(b"object").unwrap(),
        Artefact::of(b"object")
    );
    assert_eq!(get().unwrap(), b"object");
}
