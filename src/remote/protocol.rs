//! What a compile and the helper say to each other: the helper greets with one byte; a request is one byte with what
//! follows it, an answer is one byte for each record that was asked for. Both are the same build of the same program, so there is no negotiation: the
//! socket's directory is named after the version too.

use crate::store::{Name, RECORD_LENGTH, RecordId, Worth};
use std::io::{self, ErrorKind, Read, Write};

/// Schemes of servers that only the helper with the clients of clouds talks to.
pub(super) const CLOUD_SCHEMES: [&str; 5] = ["s3", "gcs", "azblob", "grpc", "grpcs"];

/// What the helper says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// Of the last lists of path sets and direct results that compiles asked for, a server had one.
    Hopeful,
    /// Servers had none of them.
    Doubtful,
    /// Too many compiles are connected: it hangs up.
    Busy,
}

impl Greeting {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Hopeful => b'h',
            Self::Doubtful => b'd',
            Self::Busy => b'b',
        }
    }

    pub(super) fn of(byte: u8) -> Option<Self> {
        let all = [Self::Hopeful, Self::Doubtful, Self::Busy];
        all.into_iter().find(|greeting| greeting.byte() == byte)
    }
}

/// The compile that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// It waits for the answer. If it gives up, that tells against the servers.
    Waits,
    /// It runs the tools that the answer may make unnecessary. If it ends before, that says nothing of the servers.
    Works,
}

/// Most records that one request names.
pub(super) const MOST_WANTED: usize = 64;

/// More bytes than the paths of a command line have, which the system limits to 2 MiB.
const LONGEST_NAMES: u32 = 8 << 20;

/// What the helper is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// To bring these records, and what they name, into the local cache.
    Fetch(Asker, Vec<RecordId>),
    /// To bring a direct result.
    FetchDirect(Asker, RecordId),
    /// To bring a list of path sets, without those that lead elsewhere than the compile that asks: its working directory,
    /// and the other paths that it names.
    FetchList(Asker, RecordId, Vec<Vec<u8>>),
    /// To bring records that a list names, and what they name; of path sets only those that lead to system directories,
    /// roots, or files below this directory.
    FetchNamed(Vec<(Worth, Name)>, Vec<u8>),
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
            Self::Fetch(asker, wanted) => {
                let mut bytes = vec![by(*asker, b"fF"), wanted.len() as u8];
                wanted.iter().for_each(|one| bytes.extend(one.bytes()));
                to.write_all(&bytes)
            }
            Self::FetchDirect(asker, id) => {
                let mut bytes = vec![by(*asker, b"dD")];
                bytes.extend(id.bytes());
                to.write_all(&bytes)
            }
            Self::FetchList(asker, id, named) => {
                let mut bytes = vec![by(*asker, b"lL")];
                bytes.extend(id.bytes());
                add_text(&mut bytes, &named.join(&0))?;
                to.write_all(&bytes)
            }
            Self::FetchNamed(wanted, directory) => {
                let mut bytes = vec![b'n', wanted.len() as u8];
                for (worth, name) in wanted {
                    let (worth, key) = (*worth, name.0);
                    bytes.extend(RecordId { worth, key }.bytes());
                }
                add_text(&mut bytes, directory)?;
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
        let asker = if kind[0].is_ascii_lowercase() {
            Asker::Waits
        } else {
            Asker::Works
        };
        Ok(Some(match kind {
            [b'f' | b'F'] => Self::Fetch(asker, read_ids(from)?),
            [b'n'] => {
                let ids = read_ids(from)?.into_iter();
                let wanted = ids.map(|id| (id.worth, Name(id.key))).collect();
                Self::FetchNamed(wanted, read_text(from)?)
            }
            [b'd' | b'D'] => Self::FetchDirect(asker, read_id(from)?),
            [b'l' | b'L'] => {
                let id = read_id(from)?;
                let named = read_text(from)?;
                let named = named.split(|byte| *byte == 0).map(<[u8]>::to_vec);
                Self::FetchList(asker, id, named.collect())
            }
            [b'q'] => Self::Queued,
            [b's'] => Self::Status,
            [b'x'] => Self::Stop,
            _ => return Err(bad()),
        }))
    }
}

fn add_text(bytes: &mut Vec<u8>, text: &[u8]) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(|_| ErrorKind::InvalidInput)?;
    bytes.extend(length.to_le_bytes());
    bytes.extend(text);
    Ok(())
}

fn read_text(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    let mut text = Vec::new();
    from.take(length.into()).read_to_end(&mut text)?;
    if length > LONGEST_NAMES || text.len() as u64 != u64::from(length) {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(text)
}

fn read_id(from: &mut impl Read) -> io::Result<RecordId> {
    let mut id = [0; RECORD_LENGTH];
    from.read_exact(&mut id)?;
    RecordId::read(&id).ok_or_else(|| ErrorKind::InvalidData.into())
}

fn read_ids(from: &mut impl Read) -> io::Result<Vec<RecordId>> {
    let mut count = [0];
    from.read_exact(&mut count)?;
    let count = usize::from(count[0]);
    let mut names = vec![0; count.min(MOST_WANTED) * RECORD_LENGTH];
    from.read_exact(&mut names)?;
    let wanted = names.chunks(RECORD_LENGTH).map(RecordId::read);
    let wanted: Option<_> = wanted.collect();
    wanted.ok_or_else(|| ErrorKind::InvalidData.into())
}

/// The byte of a request: the first one of a compile that waits.
fn by(asker: Asker, bytes: &[u8; 2]) -> u8 {
    match asker {
        Asker::Waits => bytes[0],
        Asker::Works => bytes[1],
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
    use super::{Asker, FetchAnswer, Greeting, RecordId, Request};
    use crate::store::{Name, Worth};

    #[test]
    fn requests_are_read_back() {
        let id = |worth, byte| RecordId {
            worth,
            key: [byte; 32],
        };
        let wanted = vec![id(Worth::Result, 1), id(Worth::Intermediate, 2)];
        for request in [
            Request::Fetch(Asker::Waits, wanted.clone()),
            Request::Fetch(Asker::Works, wanted),
            Request::FetchDirect(Asker::Waits, id(Worth::Result, 5)),
            Request::FetchDirect(Asker::Works, id(Worth::Result, 5)),
            Request::FetchList(Asker::Waits, id(Worth::Result, 3), vec![b"/a".to_vec()]),
            Request::FetchList(
                Asker::Works,
                id(Worth::Result, 3),
                vec![b"/a".to_vec(), b"../b".to_vec()],
            ),
            Request::FetchNamed(vec![(Worth::Result, Name([4; 32]))], b"/a".to_vec()),
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
    fn other_bytes_are_no_request() {
        let long = [&b"f\x01z"[..], &[0; 32]].concat();
        for bytes in [&b"z"[..], b"f", b"f\x02r", &long] {
            assert!(Request::read(&mut &*bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(FetchAnswer::of(b'?'), None);
        assert_eq!(Greeting::of(b'?'), None);
        assert_eq!(Greeting::of(b'd'), Some(Greeting::Doubtful));
        assert_eq!(FetchAnswer::of(b'y'), Some(FetchAnswer::Imported));
    }
}
