//! The contract of the file-stream store in single steps.

use super::{PLENTY, errors};
use pcache_nvcc::stats::{Counter, Stats};
use pcache_nvcc::store::{Artefact, FileStore, StoreError};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where an entry lies, by the definition in `docs/design/store.md`.
fn entry_path(root: &Path, key: &[u8]) -> PathBuf {
    place(&root.join("entries"), key)
}

fn record_path(root: &Path, key: &[u8]) -> PathBuf {
    place(&root.join("manifests/results"), key)
}

fn place(dir: &Path, key: &[u8]) -> PathBuf {
    let name = hex::encode(Sha256::digest(key));
    dir.join(&name[..2]).join(&name[2..])
}

/// Sets the time of the last read, in seconds since 1970.
fn set_read_time(path: &Path, seconds: i64) {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        },
        last_modification: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
    };
    utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

fn set_written_time(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

fn evicted(store: &FileStore) -> u64 {
    store.stats().snapshot().get(Counter::Evicted)
}

#[test]
fn entry_is_a_file_of_raw_bytes_named_by_the_digest_of_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("made/cache");
    let store = FileStore::open(&root, PLENTY).unwrap();
    store.put(b"key", b"value").unwrap();
    assert_eq!(fs::read(entry_path(&root, b"key")).unwrap(), b"value");
    let artefact = store.put_artefact(b"cubin").unwrap();
    let key = format!("pcache-nvcc artefact v1 {}", artefact.hex());
    let path = entry_path(&root, key.as_bytes());
    assert_eq!(fs::read(path).unwrap(), b"cubin");
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    let mode = fs::metadata(&root).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn directory_that_exists_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o2770)).unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.put(b"key", b"value").unwrap();
    let mode = fs::metadata(dir.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o2770);
}

#[test]
fn least_recently_read_entry_is_evicted_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 100).unwrap();
    for key in [b"a", b"b", b"c"] {
        store.put(key, &[0; 30]).unwrap();
    }
    store
        .put_record(b"r", b"")
        .unwrap_or_else(|error| panic!("{error}"));
    // The record of 87 bytes has evicted all but itself; start over with known times.
    store.clear().unwrap();
    for (key, read) in [(b"a", 300), (b"b", 100), (b"c", 200)] {
        store.put(key, &[0; 30]).unwrap();
        set_read_time(&entry_path(dir.path(), key), read);
    }
    let before = evicted(&store);
    assert!(
        store.get(b"b").unwrap().is_some(),
        "reading b makes it the newest"
    );
    store.put(b"d", &[0; 30]).unwrap();
    assert_eq!(store.get(b"c").unwrap(), None);
    for key in [b"a", b"b", b"d"] {
        assert!(store.get(key).unwrap().is_some());
    }
    assert_eq!(evicted(&store) - before, 1);
    assert_eq!(store.bytes().unwrap(), 90);
}

#[test]
fn records_and_entries_share_the_cap() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 200).unwrap();
    store.put_record(b"old", b"0123456789").unwrap();
    set_read_time(&record_path(dir.path(), b"old"), 100);
    store.put(b"a", &[0; 60]).unwrap();
    store.put(b"b", &[0; 60]).unwrap();
    assert_eq!(store.get_record(b"old").unwrap(), None);
    assert_eq!(store.len().unwrap(), 2);
    let size = store.stats().store_size().unwrap();
    assert_eq!((size.entries, size.records, size.bytes), (2, 0, 120));
}

#[test]
fn reading_moves_the_access_time_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.put(b"key", b"value").unwrap();
    let path = entry_path(dir.path(), b"key");
    set_read_time(&path, 100);
    let before = fs::metadata(&path).unwrap();
    store.get(b"key").unwrap();
    let after = fs::metadata(&path).unwrap();
    assert!(after.atime() > 100);
    assert_eq!(after.mtime_nsec(), before.mtime_nsec());
    assert_eq!(after.mtime(), before.mtime());
    set_read_time(&path, 100);
    FileStore::open_read_only(dir.path(), PLENTY)
        .unwrap()
        .get(b"key")
        .unwrap();
    // `relatime` itself may have moved it once; a store that only reads asks for nothing.
    assert_eq!(store.stats().store_size().unwrap().entries, 1);
}

#[test]
fn same_artefact_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    let artefact = store.put_artefact(b"object").unwrap();
    let path = entry_path(dir.path(), &artefact.key());
    let first = fs::metadata(&path).unwrap().ino();
    store.put_artefact(b"object").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), first);
    assert_eq!(store.bytes().unwrap(), 6);
}

#[test]
fn damaged_artefact_is_removed_counted_and_can_be_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    let artefact = store.put_artefact(b"object").unwrap();
    let path = entry_path(dir.path(), &artefact.key());
    for (n, damage) in [&b""[..], b"objecu", b"objec", b"objects"]
        .into_iter()
        .enumerate()
    {
        fs::write(&path, damage).unwrap();
        assert_eq!(store.get_artefact(&artefact).unwrap(), None, "{damage:?}");
        assert!(!path.exists());
        assert_eq!(errors(&store), n as u64 + 1);
        store.put_artefact(b"object").unwrap();
        assert_eq!(store.get_artefact(&artefact).unwrap().unwrap(), b"object");
    }
    fs::write(&path, b"objecu").unwrap();
    store.put_artefact(b"object").unwrap();
    assert_eq!(
        fs::read(&path).unwrap(),
        b"object",
        "a put mends what is there"
    );
}

#[test]
fn damaged_record_is_removed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.put_record(b"key", b"value").unwrap();
    let path = record_path(dir.path(), b"key");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(store.get_record(b"key").unwrap(), None);
    assert!(!path.exists());
    assert_eq!(errors(&store), 1);
    let size = store.stats().store_size().unwrap();
    assert_eq!((size.records, size.bytes), (0, 0));
}

#[test]
fn record_under_another_name_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.put_record(b"key", b"value").unwrap();
    store.put_record(b"other", b"other").unwrap();
    let (from, to) = (
        record_path(dir.path(), b"key"),
        record_path(dir.path(), b"other"),
    );
    fs::rename(from, to).unwrap();
    assert_eq!(store.get_record(b"other").unwrap(), None);
    assert_eq!(errors(&store), 1);
}

#[test]
fn size_is_found_again_when_the_page_of_totals_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 100).unwrap();
    store.put(b"a", &[0; 50]).unwrap();
    drop(store);
    fs::write(dir.path().join("shards"), "damaged").unwrap();
    let store = FileStore::open(dir.path(), 100).unwrap();
    assert_eq!(store.bytes().unwrap(), 50);
    fs::remove_file(dir.path().join("shards")).unwrap();
    let store = FileStore::open(dir.path(), 100).unwrap();
    store.put(b"b", &[0; 40]).unwrap();
    assert_eq!(store.stats().store_size().unwrap().bytes, 90);
}

#[test]
fn cap_holds_without_pages_to_count_in() {
    let dir = tempfile::tempdir().unwrap();
    for page in ["counters", "shards"] {
        fs::create_dir(dir.path().join(page)).unwrap();
    }
    for key in [b"a", b"b", b"c", b"d"] {
        // Each opening is as good as a new process.
        let store = FileStore::open(dir.path(), 100).unwrap();
        assert!(!store.stats().is_shared() && !store.stats().totals().is_shared());
        store.put(key, &[0; 40]).unwrap();
        assert!(store.bytes().unwrap() <= 100);
    }
}

#[test]
fn only_temporary_files_of_dead_writers_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.put(b"a", b"1").unwrap();
    let (old, young) = (dir.path().join("tmp/old"), dir.path().join("tmp/young"));
    fs::write(&old, [0; 10]).unwrap();
    fs::write(&young, [0; 20]).unwrap();
    set_written_time(&old, 1000);
    assert_eq!(store.recount().unwrap().bytes, 31);
    let cleared = store.clear().unwrap();
    assert_eq!((cleared.files, cleared.bytes), (1, 11));
    assert!(!old.exists() && young.exists());
    assert_eq!(store.bytes().unwrap(), 20);
}

#[test]
fn counter_page_being_made_is_swept_and_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    store.put(b"a", b"1").unwrap();
    let page = dir.path().join("tmp/counters-dead");
    fs::write(&page, [0; 4096]).unwrap();
    set_written_time(&page, 1000);
    assert_eq!(store.recount().unwrap().bytes, 1);
    store.clear().unwrap();
    assert!(!page.exists());
    assert_eq!(store.bytes().unwrap(), 0);
}

#[test]
fn directories_that_were_removed_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache");
    let store = FileStore::open(&root, PLENTY).unwrap();
    store.put(b"a", b"1").unwrap();
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(store.get(b"a").unwrap(), None);
    store.put(b"a", b"2").unwrap();
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"2");
}

#[test]
fn read_only_store_answers_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache");
    let nothing = FileStore::open_read_only(&root, PLENTY).unwrap();
    assert_eq!(nothing.get(b"a").unwrap(), None);
    nothing.put(b"a", b"1").unwrap();
    assert!(!root.exists());
    let store = FileStore::open(&root, PLENTY).unwrap();
    store.put(b"a", b"1").unwrap();
    let artefact = store.put_artefact(b"object").unwrap();
    fs::write(entry_path(&root, &artefact.key()), b"objecu").unwrap();
    let reader = FileStore::open_read_only(&root, PLENTY).unwrap();
    assert_eq!(reader.get(b"a").unwrap().unwrap(), b"1");
    reader.put(b"a", b"2").unwrap();
    reader.put_record(b"r", b"2").unwrap();
    assert!(!reader.remove(b"a").unwrap());
    assert_eq!(reader.clear().unwrap(), Default::default());
    assert_eq!(reader.get_artefact(&artefact).unwrap(), None);
    assert_eq!(errors(&reader), 1);
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"1");
    assert_eq!(store.len().unwrap(), 2);
}

#[test]
fn symlinks_in_the_place_of_directories_are_refused() {
    for planted in ["entries", "manifests", "intermediates", "tmp"] {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), dir.path().join(planted)).unwrap();
        let refused = FileStore::open(dir.path(), PLENTY).unwrap_err();
        assert!(
            matches!(refused, StoreError::NotADirectory { .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains(planted), "{refused}");
    }
}

#[test]
fn strange_files_in_the_place_of_an_entry_do_not_hang_or_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    let artefact = Artefact::of(b"object");
    let path = entry_path(dir.path(), &artefact.key());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    rustix::fs::mkfifoat(CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    assert_eq!(store.get_artefact(&artefact).unwrap(), None);
    fs::create_dir(&path).unwrap();
    assert!(store.get_artefact(&artefact).is_err());
    store.put_artefact(b"object").unwrap();
    assert_eq!(store.get_artefact(&artefact).unwrap().unwrap(), b"object");
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert!(store.get_artefact(&artefact).is_err());
    store.put_artefact(b"object").unwrap();
    assert_eq!(store.get_artefact(&artefact).unwrap().unwrap(), b"object");
}

#[test]
fn impossible_stores_and_values_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let said = |refused: StoreError| refused.to_string();
    let none = FileStore::open(dir.path(), 0).unwrap_err();
    assert!(said(none).contains("PCACHE_MAX_SIZE"));
    let store = FileStore::open(dir.path(), 10).unwrap();
    store.put(b"a", &[0; 9]).unwrap();
    let large = store.put(b"b", &[0; 11]).unwrap_err();
    assert_eq!(
        said(large),
        "11 bytes do not fit into a store of 10; raise PCACHE_MAX_SIZE"
    );
    assert!(
        store.get(b"a").unwrap().is_some(),
        "nothing was evicted in vain"
    );
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below = FileStore::open(&file.join("cache"), 10).unwrap_err();
    assert!(said(below).starts_with("cannot make directory"));
    assert!(FileStore::open(Path::new(""), 10).is_err());
}

#[test]
fn stats_can_be_opened_before_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache");
    Stats::open(&root).add(Counter::Miss, 1);
    let store = FileStore::open(&root, PLENTY).unwrap();
    assert_eq!(store.stats().snapshot().get(Counter::Miss), 1);
    let mode = fs::metadata(&root).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
