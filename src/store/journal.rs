//! The journal's files: a ring to which any number of processes append records at once, without a lock. One record
//! is one write to a file opened for appending, so that it is whole, or torn by a full disk and skipped by readers.
//! The oldest file is removed when the newest is full. `docs/design/store.md#journal` draws a record.

use super::error::StoreError;
use super::file::FileStore;
use super::kind::Access;
use crate::files::{Directory, is_missing, is_strange};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

const DIRECTORY: &str = "journal";

/// Number of files in the ring; the next one to be written is kept absent.
const FILES: u64 = 8;

/// Size in bytes at which a file is full. The writer that reaches it ends the file's turn.
const FULL: u64 = 1024 * 1024;

/// How often a file is opened that others remove at that moment.
const ATTEMPTS: u32 = 10;

/// Size limit of a record in bytes; longer ones are not written, as they would push out all others.
const LONGEST: usize = 256 * 1024;

/// The record separator before each record (RFC 7464).
const START: u8 = 0x1e;
/// The start of the member that holds the checksum.
const CHECK: &str = "{\"check\":\"";
/// Hexadecimal digits of the checksum.
const DIGITS: usize = 16;

impl FileStore {
    /// Appends `record`, a JSON object with at least one member. Does nothing in a read-only store, or
    /// if the counters are not shared: they hold the number of the ring's current file.
    ///
    /// # Errors
    /// The file cannot be written. Only this record is lost then.
    pub fn note(&self, record: &str) -> Result<(), StoreError> {
        let own = self.own_records();
        own.map_or(Ok(()), |own| match own.access {
            Access::ReadOnly => Ok(()),
            Access::ReadWrite => own.note_here(record),
        })
    }

    fn note_here(&self, record: &str) -> Result<(), StoreError> {
        if !self.stats.is_shared() {
            return Ok(());
        }
        let Some(framed) = framed(record).filter(|framed| framed.len() <= LONGEST) else {
            return Ok(());
        };
        let turn = self.stats.journal_turn();
        let root = self.opened.held();
        root.map_or(Ok(()), |root| self.append(root, turn, &framed))
            .map_err(StoreError::io("write to", &self.root.join(DIRECTORY)))
    }

    /// Every whole record, oldest first; records of processes that ran at the same time are in the order
    /// in which the processes wrote them.
    ///
    /// # Errors
    /// A file exists and cannot be read.
    pub fn noted(&self) -> Result<Vec<String>, StoreError> {
        self.own_records()
            .map_or_else(|| Ok(Vec::new()), Self::noted_here)
    }

    fn noted_here(&self) -> Result<Vec<String>, StoreError> {
        let Some(root) = self.directory()? else {
            return Ok(Vec::new());
        };
        let turn = self.stats.journal_turn();
        let mut records = Vec::new();
        // Wraps, because the turn on a damaged page may be any number.
        for turn in (0..FILES).map(|at| turn.wrapping_add(at)) {
            let path = format!("{DIRECTORY}/{}", turn.wrapping_add(1) % FILES);
            let bytes =
                read(&root, &path).map_err(StoreError::io("read", &self.root.join(&path)))?;
            records.extend(bytes.split(|&byte| byte == START).filter_map(unframed));
        }
        Ok(records)
    }

    fn append(&self, root: &Directory, turn: u64, framed: &[u8]) -> io::Result<()> {
        let name = (turn % FILES).to_string();
        let mut file = opened(root, &name)?;
        // Not `write_all`: a second write could land behind another process's record.
        if file.write(framed)? < framed.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if file.stream_position()? >= FULL && self.stats.end_journal_turn(turn) {
            // Keeps the next file absent: the file of the turn that begins now was removed one turn earlier.
            let oldest = turn.wrapping_add(2) % FILES;
            let oldest = CString::new(oldest.to_string()).unwrap_or_default();
            match root.directory(DIRECTORY)?.remove(&oldest) {
                Err(error) if is_missing(&error) => {}
                removed => drop(removed?),
            }
        }
        Ok(())
    }
}

/// Opens the file `name` of the ring, and makes it if it is not there. Others may have written so much meanwhile that
/// they remove it again before it is open.
fn opened(root: &Directory, name: &str) -> io::Result<File> {
    let rights = root.rights()?;
    let access = OFlags::WRONLY | OFlags::APPEND;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let made = match root.open_own(&format!("{DIRECTORY}/{name}"), access) {
            Err(error) if is_missing(&error) || is_strange(&error) => {
                root.make(DIRECTORY)?.make_own(name, access, rights)
            }
            opened => opened,
        };
        match made {
            Err(error) if is_missing(&error) => last = Some(error),
            made => return made,
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

fn read(root: &Directory, path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match root.open_own(path, OFlags::RDONLY) {
        Ok(file) => file.take(4 * FULL).read_to_end(&mut bytes)?,
        // A file that is not this user's own is not believed.
        Err(error) if is_missing(&error) || is_strange(&error) => 0,
        Err(error) => return Err(error),
    };
    Ok(bytes)
}

/// The record with its checksum as the first member, between a record separator and a line's end.
fn framed(record: &str) -> Option<Vec<u8>> {
    let members = record.strip_prefix('{')?;
    let check = check(members.as_bytes());
    let mut framed = vec![START];
    framed.extend(format!("{CHECK}{check}\",{members}\n").into_bytes());
    Some(framed)
}

/// The record in what [`framed`] wrote; `None` for anything else.
fn unframed(framed: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(framed).ok()?.strip_suffix('\n')?;
    let (digits, members) = text.strip_prefix(CHECK)?.split_at_checked(DIGITS)?;
    let members = members.strip_prefix("\",")?;
    (digits == check(members.as_bytes())).then(|| format!("{{{members}"))
}

fn check(members: &[u8]) -> String {
    hex::encode(&Sha256::digest(members)[..DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use super::{FILES, FULL, START, framed, unframed};
    use crate::store::FileStore;
    use std::fs;
    use std::path::Path;

    fn open(root: &Path) -> FileStore {
        FileStore::open(root, 1 << 20).unwrap()
    }

    fn size(root: &Path) -> u64 {
        let files = fs::read_dir(root.join("journal")).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }

    #[test]
    fn a_record_is_one_line_of_a_json_text_sequence() {
        let line = framed(r#"{"n":1}"#).unwrap();
        assert_eq!(line[0], START);
        insta::assert_snapshot!(
            String::from_utf8_lossy(&line[1..]),
            @r#"{"check":"78d03e61a2d603d6","n":1}"#
        );
        assert_eq!(unframed(&line[1..]), Some(r#"{"n":1}"#.to_owned()));
    }

    #[test]
    fn torn_and_foreign_records_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.note(r#"{"n":1}"#).unwrap();
        let file = dir.path().join("journal/0");
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() - 1 {
            assert_eq!(unframed(whole[1..].get(..length).unwrap_or_default()), None);
        }
        let foreign = b"\x1e{\"check\":\"0000000000000000\",\"n\":7}\n\x1e\xff\n\x1enoise";
        fs::write(&file, [&whole[..9], foreign, &whole].concat()).unwrap();
        store.note(r#"{"n":2}"#).unwrap();
        assert_eq!(store.noted().unwrap(), [r#"{"n":1}"#, r#"{"n":2}"#]);
    }

    #[test]
    fn the_ring_is_bounded_and_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let filling = "x".repeat(100_000);
        for n in 0..200 {
            store
                .note(&format!(r#"{{"n":{n},"x":"{filling}"}}"#))
                .unwrap();
            assert!(size(dir.path()) < FILES * (FULL + 200_000), "{n}");
        }
        let kept = store.noted().unwrap();
        let numbers = kept.iter().map(|text| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            value["n"].as_u64().unwrap()
        });
        let numbers: Vec<_> = numbers.collect();
        assert!(numbers.len() >= 6 * 10, "{}", numbers.len());
        let newest: Vec<_> = (200 - numbers.len() as u64..200).collect();
        assert_eq!(numbers, newest);
        assert!(
            store
                .note(&format!(r#"{{"x":"{}"}}"#, "x".repeat(300_000)))
                .is_ok()
        );
        assert_eq!(store.noted().unwrap().len(), numbers.len());
    }

    #[test]
    fn zeroed_counters_leave_the_ring_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let filling = "x".repeat(200_000);
        (0..7).for_each(|_| store.note(&format!(r#"{{"x":"{filling}"}}"#)).unwrap());
        store.stats().zero();
        store.note(r#"{"n":1}"#).unwrap();
        assert_eq!(store.noted().unwrap().last().unwrap(), r#"{"n":1}"#);
        assert_eq!(store.stats().journal_turn(), 1);
    }

    #[test]
    fn a_reader_of_a_store_notes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path());
        let store = FileStore::open_read_only(dir.path(), 1 << 20).unwrap();
        store.note(r#"{"n":1}"#).unwrap();
        assert!(store.noted().unwrap().is_empty());
        assert!(!dir.path().join("journal").exists());
    }
}
