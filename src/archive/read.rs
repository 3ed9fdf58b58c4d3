//! Reads an archive, which may be hostile: member by member, in little memory, and nothing of it is taken for a path.

use super::member::file_at;
use crate::store::{AdoptError, Name, StoreError, Tree};
use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use tar::{Archive, Entry, EntryType};
use zstd::stream::read::Decoder;

/// Length of a header, and of the units that members are padded to.
const BLOCK: u64 = 512;

/// At most so many zeros may follow the end: some programs fill a last record of 20 blocks.
const LONGEST_END: u64 = 1 << 20;

/// Why the rest of an archive was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It does not even begin as one.
    #[error("it is no archive of pcache export: {0}")]
    NoArchive(io::Error),
    /// A member that no archive of ours has.
    #[error("member {member:?} is refused: {why}")]
    Refused {
        /// The member's path.
        member: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is damaged or cut off.
    #[error("it is damaged or cut off {place}: {error}")]
    Stopped {
        /// Where.
        place: String,
        /// How that was noticed.
        error: io::Error,
    },
    /// The store did not take a member.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A member of an archive.
pub(crate) struct Member<'a> {
    pub tree: Tree,
    pub name: Name,
    /// How long it says it is.
    pub size: u64,
    pub content: &'a mut dyn Read,
    /// How many bytes of the archive were read so far.
    pub position: u64,
}

/// Calls `each` for every member of the archive that `from` yields, in the order in which they stand there.
///
/// # Errors
/// The first fault. All members before it were passed on.
pub(crate) fn read_archive(
    from: impl Read,
    each: &mut dyn FnMut(Member<'_>) -> Result<(), AdoptError>,
) -> Result<(), ArchiveError> {
    let (taken, unpacked) = (Cell::new(0), Cell::new(0));
    let packed = CountingReader {
        from,
        count: &taken,
    };
    let decoder = Decoder::new(packed).map_err(ArchiveError::NoArchive)?;
    let mut archive = Archive::new(CountingReader {
        from: decoder,
        count: &unpacked,
    });
    let mut last = None;
    let mut end = 0;
    let entries = archive.entries().map_err(ArchiveError::NoArchive)?;
    // Raw, because other members with long names or attributes would be read into memory, however long they are.
    for entry in entries.raw(true) {
        let mut entry = entry.map_err(|error| stopped_after(last.as_deref(), error))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (tree, name) = examined(&entry, &path)?;
        let size = entry.size();
        end = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|length| length.checked_add(entry.raw_file_position()))
            .ok_or_else(|| stopped_at(&path, ErrorKind::FileTooLarge.into()))?;
        let member = Member {
            tree,
            name,
            size,
            content: &mut entry,
            position: taken.get(),
        };
        each(member).map_err(|error| match error {
            AdoptError::Content(error) => stopped_at(&path, error),
            AdoptError::Store(error) => ArchiveError::Store(error),
        })?;
        last = Some(path);
    }
    let rest = check_end(&mut archive.into_inner(), &unpacked, end);
    rest.map_err(|error| stopped_after(last.as_deref(), error))
}

/// What a member is, if it is one that [`super::ArchiveWriter`] could have written.
fn examined<R: Read>(entry: &Entry<'_, R>, path: &str) -> Result<(Tree, Name), ArchiveError> {
    let refused = |why| ArchiveError::Refused {
        member: path.to_owned(),
        why,
    };
    if entry.header().entry_type() != EntryType::Regular {
        return Err(refused("it is not a regular file"));
    }
    file_at(&entry.path_bytes()).ok_or_else(|| refused("a cache has no file of that name"))
}

/// Reads what is behind the last member: nothing but zeros, of which there must be two blocks. Only the end of the frame
/// has its checksum, so it must be reached.
fn check_end(from: &mut impl Read, unpacked: &Cell<u64>, end: u64) -> io::Result<()> {
    let mut block = [0; 4096];
    loop {
        let length = match from.read(&mut block) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let is_zero = block[..length].iter().all(|byte| *byte == 0);
        if !is_zero || unpacked.get() > end.saturating_add(LONGEST_END) {
            let text = "more follows the end";
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        if length == 0 {
            break;
        }
    }
    if unpacked.get() < end.saturating_add(2 * BLOCK) {
        let text = "the end is missing";
        return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
    }
    Ok(())
}

fn stopped_at(member: &str, error: io::Error) -> ArchiveError {
    ArchiveError::Stopped {
        place: format!("at member {member:?}"),
        error,
    }
}

/// The fault lies between members, or before the first.
fn stopped_after(member: Option<&str>, error: io::Error) -> ArchiveError {
    match member {
        None => ArchiveError::NoArchive(error),
        Some(member) => ArchiveError::Stopped {
            place: format!("after member {member:?}"),
            error,
        },
    }
}

/// Counts what is read.
struct CountingReader<'a, R> {
    from: R,
    count: &'a Cell<u64>,
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(into)?;
        let count = self.count.get().saturating_add(length as u64);
        self.count.set(count);
        Ok(length)
    }
}
