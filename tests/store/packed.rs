//! Compressed artefacts and records: smaller on the disk, verified like others, and a miss where anything is wrong with
//! them.

use pcache_nvcc::config::Compression;
use pcache_nvcc::stats::Counter;
use pcache_nvcc::store::{Artefact, EntryKind, FileStore, Name, Proof, VisitAction};
use std::fs;
use std::path::{Path, PathBuf};

const PLENTY: u64 = 1 << 30;

/// zstd's magic number.
const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

fn text() -> Vec<u8> {
    b"template< class T> inline T twice(T t) { return t + t; } \n".repeat(2000)
}

fn open(root: &Path, compression: &str) -> FileStore {
    let compression: Compression = compression.parse().unwrap();
    let store = FileStore::open(root, PLENTY).unwrap();
    store.with_compression(compression)
}

fn path(root: &Path, key: &[u8]) -> PathBuf {
    root.join(format!("entries/{}", Name::of(key)))
}

/// The files of `artefact`: raw, and compressed.
fn files(root: &Path, artefact: &Artefact) -> [bool; 2] {
    [artefact.key(), artefact.packed_key()].map(|key| path(root, &key).exists())
}

#[test]
fn settings_say_what_is_compressed() {
    for (setting, internal, result) in [
        ("none", [true, false], [true, false]),
        ("internal", [false, true], [true, false]),
        ("all", [false, true], [false, true]),
        ("all:19", [false, true], [false, true]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), setting);
        let (text, other) = (text(), [text(), b"\n".to_vec()].concat());
        let put = store.put_internal(&text).unwrap();
        assert_eq!(files(dir.path(), &put), internal, "{setting}");
        assert_eq!(put, Artefact::of(&text));
        let put_result = store.put_artefact(&other).unwrap();
        assert_eq!(files(dir.path(), &put_result), result, "{setting}");
        // Whatever the setting is now, both forms are read.
        for reader in ["none", "internal", "all"] {
            let store = open(dir.path(), reader);
            assert_eq!(store.get_artefact(&put).unwrap().as_ref(), Some(&text));
            assert_eq!(
                store.get_artefact(&put_result).unwrap().as_ref(),
                Some(&other)
            );
        }
        assert_eq!(
            store.stats().store_size().unwrap(),
            store.recount().unwrap()
        );
    }
}

#[test]
fn bytes_that_are_there_are_not_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), "internal");
    let result = store.put_artefact(&text()).unwrap();
    assert_eq!(store.put_internal(&text()).unwrap(), result);
    assert_eq!(files(dir.path(), &result), [true, false]);
    let short = store.put_internal(b"short").unwrap();
    assert_eq!(files(dir.path(), &short), [true, false]);
}

#[test]
fn a_damaged_frame_is_a_miss_and_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), "internal");
    let artefact = store.put_internal(&text()).unwrap();
    let file = path(dir.path(), &artefact.packed_key());
    let good = fs::read(&file).unwrap();
    assert!(good.starts_with(MAGIC) && good.len() < text().len() / 20);
    let mut damages = vec![good[..good.len() / 2].to_vec(), Vec::new(), text()];
    damages.extend((0..good.len() * 8).map(|bit| {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        bad
    }));
    let mut errors = 0;
    for bad in damages {
        fs::write(&file, &bad).unwrap();
        let found = store.get_artefact(&artefact).unwrap();
        if found.is_some() {
            // Some bits of a frame mean nothing.
            assert_eq!(found, Some(text()));
            continue;
        }
        errors += 1;
        assert_eq!(store.stats().snapshot().get(Counter::Error), errors);
        assert!(!file.exists());
    }
    assert!(errors > 100);
    store.put_internal(&text()).unwrap();
    assert_eq!(store.get_artefact(&artefact).unwrap(), Some(text()));
}

#[test]
fn a_frame_cannot_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), "internal");
    let artefact = store.put_internal(&text()).unwrap();
    let bomb = store.put_internal(&vec![0; 256 << 20]).unwrap();
    let frame = fs::read(path(dir.path(), &bomb.packed_key())).unwrap();
    assert!(frame.len() < text().len());
    fs::write(path(dir.path(), &artefact.packed_key()), frame).unwrap();
    assert_eq!(store.get_artefact(&artefact).unwrap(), None);
    assert_eq!(store.stats().snapshot().get(Counter::Error), 1);
}

#[test]
fn long_records_are_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), "internal");
    let frame_like = [MAGIC, b"not a frame"].concat();
    let values = [
        (&b"long"[..], text()),
        (b"short", text()[..1000].to_vec()),
        (b"like a frame", frame_like),
    ];
    for (key, value) in &values {
        store.put_packed_record(key, value).unwrap();
        store.put_intermediate_record(key, value).unwrap();
        assert_eq!(store.get_record(key).unwrap().as_ref(), Some(value));
        let found = store.get_intermediate_record(key).unwrap();
        assert_eq!(found.as_ref(), Some(value));
    }
    let size = |key| {
        let file = dir
            .path()
            .join(format!("manifests/results/{}", Name::of(key)));
        fs::metadata(file).unwrap().len()
    };
    assert!(size(b"long") < text().len() as u64 / 20);
    assert!(size(b"short") > 1000);
    store.put_record(b"short", &text()).unwrap();
    assert!(size(b"short") > text().len() as u64);
    let too_long = vec![b'a'; 16 << 20];
    assert!(store.put_record(b"too long", &too_long).is_err());
    let raw = open(dir.path(), "none");
    raw.put_packed_record(b"long", &text()).unwrap();
    assert!(size(b"long") > text().len() as u64);
}

#[test]
fn what_compression_saves_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), "internal");
    let artefact = store.put_intermediate(&text()).unwrap();
    store.put_intermediate(&text()).unwrap();
    let frame = dir.path().join(format!(
        "intermediates/entries/{}",
        Name::of(&artefact.packed_key())
    ));
    let counted = store.stats().snapshot();
    assert_eq!(counted.get(Counter::PackedFrom), text().len() as u64);
    let size = fs::metadata(frame).unwrap().len();
    assert_eq!(counted.get(Counter::PackedTo), size);
}

#[test]
fn a_survey_proves_compressed_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), "internal");
    let artefact = store.put_internal(&text()).unwrap();
    let prove = || {
        let mut proofs = Vec::new();
        let surveyed = store.survey(EntryKind::Entry, |file| {
            proofs.push(file.prove().unwrap());
            VisitAction::Keep
        });
        surveyed.unwrap();
        proofs
    };
    assert_eq!(prove(), [Proof::Whole]);
    fs::write(path(dir.path(), &artefact.packed_key()), MAGIC).unwrap();
    assert_eq!(prove(), [Proof::Unproven]);
}
