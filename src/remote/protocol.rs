//! What a compile and the helper say to each other: the helper greets with one byte; a request is one byte with what
//! follows it, an answer is one byte for each record that was asked for. Both are the same build of the same program, so there is no negotiation: the
//! socket's directory is named after the version too.

use crate::key::Digest;
use crate::store::{Name, Worth};
use std::io::{self, ErrorKind, Read, Write};

/// Schemes of servers that only the helper with the clients of clouds talks to.
pub(super) const CLOUD_SCHEMES: [&str; 5] = ["s3", "gcs", "azblob", "grpc", "grpcs"];

/// What the helper says first.
pub(super) const GREETING: &[u8; 1] = b"h";

/// Most records that one request names.
pub(super) const MOST_WANTED: usize = 64;

/// A record that a compile looks for, or has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RecordId {
    pub(super) worth: Worth,
    pub(super) key: Digest,
}

/// The length of a record's name in requests and in the queue.
pub(super) const LENGTH: usize = 33;

impl RecordId {
    pub(super) fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = match self.worth {
            Worth::Result => b'r',
            Worth::Intermediate => b'i',
        };
        bytes[1..].copy_from_slice(&self.key);
        bytes
    }

    /// Reads what [`RecordId::bytes`] gave.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
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
pub(super) enum QueuedRecord {
    /// One that a compile has made.
    Made(RecordId),
    /// One that lies in the local cache under this name, where names are digests of keys.
    Stored(Worth, Name),
}

impl QueuedRecord {
    pub(super) fn bytes(&self) -> [u8; LENGTH] {
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
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes: [u8; LENGTH] = bytes.try_into().ok()?;
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

/// What the helper is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// To bring these records, and what they name, into the local cache.
    Fetch(Vec<RecordId>),
    /// To look into the queue.
    Queued,
    /// To say how it is, as a JSON text.
    Status,
    /// To end.
    Stop,
}

impl Request {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Fetch(wanted) => {
                let mut bytes = vec![b'f', wanted.len() as u8];
                wanted.iter().for_each(|one| bytes.extend(one.bytes()));
                to.write_all(&bytes)
            }
            Self::Queued => to.write_all(b"q"),
            Self::Status => to.write_all(b"s"),
            Self::Stop => to.write_all(b"x"),
        }
    }

    /// `None` if the other side has closed the connection.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        if from.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let bad = || io::Error::from(ErrorKind::InvalidData);
        Ok(Some(match kind {
            [b'f'] => {
                let mut count = [0];
                from.read_exact(&mut count)?;
                let count = usize::from(count[0]);
                let mut names = vec![0; count.min(MOST_WANTED) * LENGTH];
                from.read_exact(&mut names)?;
                let wanted = names.chunks(LENGTH).map(RecordId::read);
                Self::Fetch(wanted.collect::<Option<_>>().ok_or_else(bad)?)
            }
            [b'q'] => Self::Queued,
            [b's'] => Self::Status,
            [b'x'] => Self::Stop,
            _ => return Err(bad()),
        }))
    }
}

/// What became of a record that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchAnswer {
    /// It is in the local cache now.
    Imported,
    /// A server has it, and the local cache has all that is in it.
    Known,
    /// No server has it.
    Absent,
    /// No server could be asked, or what it sent was not believed.
    Failed,
}

impl FetchAnswer {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Imported => b'y',
            Self::Known => b'k',
            Self::Absent => b'n',
            Self::Failed => b'!',
        }
    }

    pub(super) fn of(byte: u8) -> Option<Self> {
        let all = [Self::Imported, Self::Known, Self::Absent, Self::Failed];
        all.into_iter().find(|answer| answer.byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::{FetchAnswer, Name, QueuedRecord, RecordId, Request, Worth};

    #[test]
    fn requests_are_read_back() {
        let id = |worth, byte| RecordId {
            worth,
            key: [byte; 32],
        };
        let wanted = vec![id(Worth::Result, 1), id(Worth::Intermediate, 2)];
        for request in [
            Request::Fetch(wanted),
            Request::Queued,
            Request::Status,
            Request::Stop,
        ] {
            let mut bytes = Vec::new();
            request.write(&mut bytes).unwrap();
            let read = Request::read(&mut bytes.as_slice()).unwrap();
            assert_eq!(read, Some(request));
        }
        assert_eq!(Request::read(&mut [].as_slice()).unwrap(), None);
    }

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

    #[test]
    fn other_bytes_are_no_request() {
        let long = [&b"f\x01z"[..], &[0; 32]].concat();
        for bytes in [&b"z"[..], b"f", b"f\x02r", &long] {
            assert!(Request::read(&mut &*bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(FetchAnswer::of(b'?'), None);
        assert_eq!(FetchAnswer::of(b'y'), Some(FetchAnswer::Imported));
    }
}
