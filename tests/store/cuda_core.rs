//! The file-stream store beside `cuda.core`'s `FileStreamProgramCache`, on one directory: each sees
//! what the other one stores, removes and clears. Their differences are in `docs/design/store.md`.

use crate::oracles;
use pcache_nvcc::store::{Artefact, FileStore, Name};
use sha2::{Digest, Sha256};
use std::fs::{self, FileTimes};
use std::path::Path;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

const PLENTY: u64 = 1 << 30;

/// What the class answers to these lines after opening `root`.
#[track_caller]
fn python(root: &Path, max_bytes: u64, lines: &[String]) -> Vec<String> {
    let open = format!("open {} {max_bytes}", root.display());
    let lines: Vec<_> = [open].iter().chain(lines).cloned().collect();
    let answers = oracles::ask("file_stream.py", &(lines.join("\n") + "\n"));
    assert_eq!(answers.len(), lines.len());
    answers[1..].to_vec()
}

fn get(key: &[u8]) -> String {
    format!("get 0x{}", hex::encode(key))
}

fn put(key: &[u8], value: &[u8]) -> String {
    format!("put 0x{} 0x{}", hex::encode(key), hex::encode(value))
}

fn remove(key: &[u8]) -> String {
    format!("remove 0x{}", hex::encode(key))
}

fn value(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[test]
fn each_reads_counts_and_removes_what_the_other_stored() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = FileStore::open(root, PLENTY).unwrap();
    let keys: [&[u8]; 4] = [b"a", b"", &[0, 255, 10], &[b'k'; 5000]];
    for (n, key) in keys.iter().enumerate() {
        store.put(key, &vec![n as u8; n * 1000]).unwrap();
    }
    let artefact = store.put_artefact(b"cubin").unwrap();
    store
        .put_record(b"record", b"is no entry of the class")
        .unwrap();

    let lines = [
        "len".into(),
        get(keys[0]),
        get(keys[1]),
        get(keys[2]),
        get(keys[3]),
        get(&artefact.key()),
        get(b"missing"),
        put(b"from python", b"1"),
        put(keys[0], b"replaced"),
        remove(keys[1]),
        remove(b"missing"),
        "len".into(),
    ];
    let expected = [
        "5".into(),
        value(b""),
        value(&[1; 1000]),
        value(&[2; 2000]),
        value(&[3; 3000]),
        value(b"cubin"),
        "none".into(),
        "done".into(),
        "done".into(),
        "yes".into(),
        "no".into(),
        "5".into(),
    ];
    assert_eq!(python(root, 0, &lines), expected);

    assert_eq!(store.len().unwrap(), 5);
    assert_eq!(store.get(b"from python").unwrap().unwrap(), b"1");
    assert_eq!(store.get(keys[0]).unwrap().unwrap(), b"replaced");
    assert_eq!(store.get(keys[1]).unwrap(), None);
    assert!(store.remove(b"from python").unwrap());
    let said = python(root, 0, &["len".into(), get(b"from python")]);
    assert_eq!(said, ["4", "none"]);
    assert_eq!(store.get_record(b"record").unwrap().unwrap().len(), 24);
    // What the other one has changed is counted once it is listed.
    let found = store.recount().unwrap();
    assert_eq!((found.entries, found.records), (4, 1));
    assert_eq!(store.stats().store_size(), Some(found));
}

#[test]
fn what_the_class_stores_wrongly_under_a_key_of_ours_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), PLENTY).unwrap();
    let artefact = Artefact::of(b"object");
    python(dir.path(), 0, &[put(&artefact.key(), b"objecu")]);
    assert_eq!(store.get_artefact(&artefact).unwrap(), None);
    assert_eq!(python(dir.path(), 0, &[get(&artefact.key())]), ["none"]);
}

#[test]
fn each_clears_for_both_and_spares_young_temporary_files() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = FileStore::open(root, PLENTY).unwrap();
    store.put(b"a", b"1").unwrap();
    store.put_record(b"r", b"1").unwrap();
    let (old, young) = (root.join("tmp/entry-old"), root.join("tmp/entry-young"));
    for path in [&old, &young] {
        fs::write(path, b"unfinished").unwrap();
    }
    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(9));
    fs::File::open(&old).unwrap().set_times(times).unwrap();
    let said = python(root, 0, &[put(b"b", b"2"), "clear".into(), "len".into()]);
    assert_eq!(said, ["done", "done", "0"]);
    assert!(store.is_empty().unwrap());
    assert!(!old.exists() && young.exists());
    assert!(
        store.get_record(b"r").unwrap().is_some(),
        "it does not know records"
    );

    // It has taken the empty shards away, too.
    store.put(b"c", b"3").unwrap();
    assert_eq!(python(root, 0, &["len".into(), get(b"c")]), ["1", "0x33"]);
    store.clear().unwrap();
    assert_eq!(
        python(root, 0, &["len".into(), put(b"d", b"4")]),
        ["0", "done"]
    );
    assert_eq!(store.get(b"d").unwrap().unwrap(), b"4");
}

#[test]
fn each_evicts_by_the_other_ones_reads() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = FileStore::open(root, 100).unwrap();
    let read_at = |key: &[u8], seconds| {
        let path = root.join(format!("entries/{}", Name::of(key)));
        let times = FileTimes::new().set_accessed(UNIX_EPOCH + Duration::from_secs(seconds));
        fs::File::open(path).unwrap().set_times(times).unwrap();
    };
    for (key, seconds) in [(b"a", 100), (b"b", 200), (b"c", 300)] {
        store.put(key, &[0; 30]).unwrap();
        read_at(key, seconds);
    }
    // It reads the oldest of ours, and evicts the next one.
    let lines = [get(b"a"), put(b"d", &[0; 30]), get(b"b"), "len".into()];
    let said = python(root, 100, &lines);
    assert_eq!(said[2..], ["none", "3"]);
    // Ours is now the only one that is old.
    read_at(b"c", 150);
    read_at(b"d", 100);
    python(root, 0, &[get(b"d")]);
    store.put(b"e", &[0; 30]).unwrap();
    assert_eq!(store.get(b"c").unwrap(), None);
    assert!(store.get(b"a").unwrap().is_some() && store.get(b"d").unwrap().is_some());
}

#[test]
fn both_at_once_serve_nothing_torn() {
    const KEYS: u64 = 40;
    let sealed = |key: u8, body: &[u8]| {
        let digest = Sha256::new().chain_update([key]).chain_update(body);
        [body, &digest.finalize()].concat()
    };
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path(), 150_000).unwrap();
    thread::scope(|scope| {
        let run = |seed: u64| {
            let root = dir.path();
            scope.spawn(move || python(root, 150_000, &[format!("check {KEYS} {seed} 500")]))
        };
        let others = [run(1), run(2)];
        let (mut dice, mut read) = (7u64, 0);
        while !others.iter().all(|other| other.is_finished()) {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, what) = ((dice >> 33) % KEYS, (dice >> 40) % 20);
            let name = [key as u8];
            match what {
                0 => drop(store.remove(&name).unwrap()),
                1 if read % 5 == 0 => drop(store.clear().unwrap()),
                2..8 => {
                    let body = vec![what as u8; (dice >> 45) as usize % 20_000];
                    store.put(&name, &sealed(key as u8, &body)).unwrap();
                }
                _ => {
                    if let Some(value) = store.get(&name).unwrap() {
                        let body = value.len().checked_sub(32).expect("whole");
                        assert_eq!(sealed(key as u8, &value[..body]), value, "torn or wrong");
                        read += 1;
                    }
                }
            }
        }
        for other in others {
            let said = other.join().expect("it ends well");
            assert!(said[0].parse::<u64>().unwrap() > 0, "{said:?}");
        }
        assert!(read > 0);
    });
    assert_eq!(store.len().unwrap(), store.recount().unwrap().entries);
    let expected = store.len().unwrap().to_string();
    assert_eq!(python(dir.path(), 0, &["len".into()]), [expected]);
}
