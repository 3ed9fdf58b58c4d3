//! The queues of records that wait to be sent to other machines. A queue is a directory of small files, one for each
//! compile, which `docs/design/remote.md#the-helper` describes; what sends them does not concern the store.

use super::artefact::Artefact;
use super::backend::Name;
use super::kind::Worth;
use crate::key::Digest;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The directory of all queues' directories below that of a user's own files.
pub(crate) const QUEUES: &str = "remote";

/// The name of a queue in its directory.
pub(crate) const QUEUE: &str = "queue";

/// Begins the name of a file in a queue that is not complete yet.
pub(crate) const UNFINISHED: &str = "new-";

/// No compile makes so many records; more are no file of a queue.
const LONGEST: u64 = 1 << 20;

/// A record that a compile looks for, or has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordId {
    pub(crate) worth: Worth,
    pub(crate) key: Digest,
}

/// The length of a record's name in requests and in the queue.
pub(crate) const RECORD_LENGTH: usize = 33;

impl RecordId {
    pub(crate) fn bytes(&self) -> [u8; RECORD_LENGTH] {
        let mut bytes = [0; RECORD_LENGTH];
        bytes[0] = match self.worth {
            Worth::Result => b'r',
            Worth::Intermediate => b'i',
        };
        bytes[1..].copy_from_slice(&self.key);
        bytes
    }

    /// Reads what [`RecordId::bytes`] gave.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (worth, key) = bytes.split_first()?;
        let worth = match worth {
            b'r' => Worth::Result,
            b'i' => Worth::Intermediate,
            _ => return None,
        };
        let key = key.try_into().ok()?;
        Some(Self { worth, key })
    }
}

/// A record that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueuedRecord {
    /// One that a compile has made.
    Made(RecordId),
    /// One that lies in the local cache under this name, where names are digests of keys.
    Stored(Worth, Name),
}

impl QueuedRecord {
    pub(crate) fn bytes(&self) -> [u8; RECORD_LENGTH] {
        match self {
            Self::Made(id) => id.bytes(),
            Self::Stored(worth, name) => {
                let id = RecordId {
                    worth: *worth,
                    key: name.0,
                };
                let mut bytes = id.bytes();
                bytes[0].make_ascii_uppercase();
                bytes
            }
        }
    }

    /// Reads what [`QueuedRecord::bytes`] gave.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes: [u8; RECORD_LENGTH] = bytes.try_into().ok()?;
        let is_stored = bytes[0].is_ascii_uppercase();
        bytes[0].make_ascii_lowercase();
        let id = RecordId::read(&bytes)?;
        Some(if is_stored {
            Self::Stored(id.worth, Name(id.key))
        } else {
            Self::Made(id)
        })
    }
}

/// The records that a file of a queue names; none if it is not whole.
pub(crate) fn read_queued(path: &Path) -> io::Result<Vec<QueuedRecord>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    let records = bytes.chunks(RECORD_LENGTH).map(QueuedRecord::read);
    Ok(records.collect::<Option<_>>().unwrap_or_default())
}

/// What files of queues name in one store. Kept while the store is open, since each of them is read with all its records.
#[derive(Debug, Default)]
pub(super) struct QueuedNames(pub(super) Mutex<HashMap<PathBuf, Vec<NamedFile>>>);

/// A file of the store that is still to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedFile {
    /// Its possible names.
    pub(super) names: [Name; 2],
    pub(super) bytes: u64,
}

impl NamedFile {
    pub(super) fn of(artefact: &Artefact) -> Self {
        let names = [artefact.key(), artefact.packed_key()];
        Self {
            names: names.map(|key| Name::of(&key)),
            bytes: artefact.size,
        }
    }
}

/// The files of all queues below `directory`, newest first: their names begin with the time.
pub(super) fn queue_files(directory: &Path) -> Vec<PathBuf> {
    let children = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files = Vec::new();
    for queue in children(directory) {
        let waiting = children(&queue.path().join(QUEUE));
        files.extend(waiting.map(|file| (file.file_name(), file.path())));
    }
    files.retain(|(name, _)| !name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()));
    files.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
    files.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::{Name, QueuedRecord, RecordId, Worth};

    #[test]
    fn queued_records_are_read_back() {
        let key = [7; 32];
        for worth in [Worth::Result, Worth::Intermediate] {
            for record in [
                QueuedRecord::Made(RecordId { worth, key }),
                QueuedRecord::Stored(worth, Name(key)),
            ] {
                assert_eq!(QueuedRecord::read(&record.bytes()), Some(record));
            }
        }
        assert_eq!(QueuedRecord::read(b"r"), None);
        assert_eq!(QueuedRecord::read(&[b'x'; 33]), None);
    }
}
