//! Values as they lie in a shared directory, taken apart and put together by hand (`docs/design/remote.md`), and what a
//! machine makes of such that were forged.

use std::fs;
use std::path::{Path, PathBuf};

use pcache_nvcc::store::Artefact;
use serde_json::json;

/// The first bytes of a sealed pack.
const MAGIC: &[u8] = b"pcache remote 1\n";

/// The first bytes of a list of path sets.
const TITLE: &[u8] = b"pcache-nvcc path sets 3\n";

/// The files of the values of a namespace.
pub(super) fn values(share: &Path, namespace: &str) -> Vec<PathBuf> {
    let folder = share.join(namespace).join("ac");
    let mut values: Vec<_> = fs::read_dir(folder)
        .expect("values")
        .map(|entry| entry.expect("a value").path())
        .collect();
    values.sort();
    values
}

/// Changes every value of a namespace.
pub(super) fn change(share: &Path, namespace: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    for path in values(share, namespace) {
        let value = fs::read(&path).expect("a value");
        fs::write(path, change(value)).expect("a value");
    }
}

/// Copies all values of one share into another.
pub(super) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// The zstd frame in a value.
pub(super) fn frame(value: &[u8]) -> Vec<u8> {
    let at = value.windows(MAGIC.len()).position(|part| part == MAGIC);
    let rest = &value[at.expect("a pack") + MAGIC.len()..];
    let skipped = 2 + usize::from(rest[0]) + usize::from(rest[1]);
    rest[skipped..].to_vec()
}

/// A value with this frame and no signature.
pub(super) fn unsigned(frame: &[u8]) -> Vec<u8> {
    let body = [MAGIC, &[0, 0], frame].concat();
    let mut value = vec![0x2a];
    let mut length = body.len();
    while length >= 0x80 {
        value.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    value.push(length as u8);
    value.extend(body);
    value
}

/// The record in a value, if it is a list of path sets.
pub(super) fn list(value: &[u8]) -> Option<Vec<u8>> {
    let plain = zstd::stream::decode_all(frame(value).as_slice()).expect("a frame");
    let at = plain.windows(TITLE.len()).position(|part| part == TITLE)?;
    Some(plain[at..].to_vec())
}

/// An unsigned value that holds a list of path sets.
pub(super) fn of_list(list: &[u8]) -> Vec<u8> {
    let record = Artefact::of(list);
    let manifest = json!({"schema": 1, "worth": "result", "record": record, "artefacts": []});
    let manifest = manifest.to_string();
    let length = u32::try_from(manifest.len()).expect("a length");
    let plain = [&length.to_le_bytes()[..], manifest.as_bytes(), list].concat();
    unsigned(&zstd::stream::encode_all(plain.as_slice(), 3).expect("a frame"))
}
