//! Usage log: how often each file was used (LFU), and its kind of content (TLRU). One log of checksummed lines
//! per shard, to which every process appends. A missing or damaged line counts as never used; kinds are found
//! again by reading the file. Under other policies no log is read or written. `docs/design/store.md#uses` draws a line.

use super::backend::Name;
use super::content_kind::ContentKind;
use super::error::StoreError;
use super::kind::EntryKind;
use crate::files::{Directory, RightsKind, is_missing};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const DIRECTORY: &str = "uses";

/// Bytes of a line.
const LINE: usize = 64;
const CHECKED: usize = 48;

/// Who makes a log so long, or longer by so much, folds it: 4096 lines.
const LONG: u64 = 4096 * LINE as u64;

/// What a line says of a file, and what all lines together say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) uses: u64,
    pub(super) class: Option<ContentKind>,
}

impl Usage {
    fn and(self, later: Self) -> Self {
        Self {
            uses: self.uses.saturating_add(later.uses),
            class: later.class.or(self.class),
        }
    }
}

/// All that is known of one shard's files.
pub(super) type UsageMap = HashMap<(EntryKind, Name), Usage>;

/// Adds a line to the log of the file's shard.
pub(super) fn note(
    root: &Directory,
    path: &Path,
    file: (EntryKind, Name),
    usage: Usage,
) -> Result<(), StoreError> {
    let noted = append(root, file, usage);
    noted.map_err(StoreError::io("append to a log in", &path.join(DIRECTORY)))
}

fn append(root: &Directory, (kind, name): (EntryKind, Name), usage: Usage) -> io::Result<()> {
    let log = name_of_log(name.0[0]);
    let directory = root.make(DIRECTORY)?;
    let mut file = match open_log(root, &directory, &log) {
        // A use that cannot be noted is one too few.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        opened => opened?,
    };
    file.write_all(&line((kind, name), usage))?;
    let length = file.metadata()?.len();
    if length / LONG > length.saturating_sub(LINE as u64) / LONG {
        drop(file);
        fold(root, name.0[0], |_| true)?;
    }
    Ok(())
}

/// Everything that the log of `shard` says. Lines that are torn or damaged say nothing.
pub(super) fn load(root: &Directory, shard: u8) -> UsageMap {
    let path = format!("{DIRECTORY}/{}", name_of_log(shard));
    let mut bytes = Vec::new();
    let read = root
        .open(&path)
        .and_then(|file| file.map_or(Ok(0), |file| file.take(4 * LONG).read_to_end(&mut bytes)));
    // Files of unknown use are what a new log would say of them.
    match read {
        Ok(_) => parse(&bytes),
        Err(_) => UsageMap::new(),
    }
}

/// Rewrites the log of `shard` with one line for each file that `is_there`. Skipped where another process
/// is appending at this moment.
pub(super) fn fold(
    root: &Directory,
    shard: u8,
    is_there: impl Fn(&(EntryKind, Name)) -> bool,
) -> io::Result<()> {
    let directory = match root.directory(DIRECTORY) {
        Ok(directory) => directory,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let log = name_of_log(shard);
    let held = directory.open_shared(&log, root.rights()?)?;
    let locked = flock(&held, FlockOperation::NonBlockingLockExclusive);
    // Busy, or folded by another process meanwhile.
    if locked.is_err() || rustix::fs::fstat(&held)?.st_nlink == 0 {
        return Ok(());
    }
    let mut known = load(root, shard);
    known.retain(|file, _| is_there(file));
    let new = format!("{log}.new");
    let name = std::ffi::CString::new(new.as_str()).unwrap_or_default();
    // Left by a process that died: no other one is here, by the lock.
    let _ = directory.remove(&name);
    let mut folded = directory.create(&new, root.rights()?, RightsKind::Shared)?;
    let mut lines: Vec<_> = known.into_iter().collect();
    lines.sort_by_key(|((kind, name), _)| (*kind as u8, *name));
    let lines: Vec<u8> = lines
        .into_iter()
        .flat_map(|(file, usage)| line(file, usage))
        .collect();
    folded.write_all(&lines)?;
    directory.rename(&new, &directory, &log)?;
    Ok(())
}

/// Removes all logs. Who is appending to one adds to a file without a name, and has been counted for
/// nothing.
pub(super) fn forget(root: &Directory) -> io::Result<()> {
    let directory = match root.directory(DIRECTORY) {
        Ok(directory) => directory,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for child in directory.list()? {
        match directory.remove(&child.name) {
            Err(error) if !is_missing(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Opens a log to append to; the lock keeps it from being folded away meanwhile.
fn open_log(root: &Directory, directory: &Directory, log: &str) -> io::Result<File> {
    let rights = root.rights()?;
    loop {
        let file = directory.open_shared(log, rights)?;
        // A lock that a stopped process or a stranger holds is not waited for.
        flock(&file, FlockOperation::NonBlockingLockShared)?;
        // Folded between the two: the name is another file's now.
        if rustix::fs::fstat(&file)?.st_nlink > 0 {
            return Ok(file);
        }
    }
}

fn name_of_log(shard: u8) -> String {
    format!("{shard:02x}")
}

fn line((kind, name): (EntryKind, Name), usage: Usage) -> [u8; LINE] {
    let mut line = [0; LINE];
    line[..32].copy_from_slice(&name.0);
    line[32] = match kind {
        EntryKind::Entry => 1,
        EntryKind::Record => 2,
    };
    line[33] = match usage.class {
        None => 0,
        Some(ContentKind::Object) => 1,
        Some(ContentKind::Device) => 2,
    };
    line[40..CHECKED].copy_from_slice(&usage.uses.to_le_bytes());
    let check = checksum(&line[..CHECKED]);
    line[CHECKED..].copy_from_slice(&check);
    line
}

fn checksum(bytes: &[u8]) -> [u8; LINE - CHECKED] {
    let mut digest = Sha256::new();
    digest.update("pcache-nvcc use v1 ");
    digest.update(bytes);
    let digest = digest.finalize();
    std::array::from_fn(|at| digest[at])
}

fn parse(mut bytes: &[u8]) -> UsageMap {
    let mut known = UsageMap::new();
    while let Some((line, rest)) = bytes.split_at_checked(LINE) {
        match parse_line(line) {
            Some((file, usage)) => {
                let entry = known.entry(file).or_default();
                *entry = entry.and(usage);
                bytes = rest;
            }
            // A line that was cut short by a full disk moves all that follow.
            None => bytes = &bytes[1..],
        }
    }
    known
}

fn parse_line(line: &[u8]) -> Option<((EntryKind, Name), Usage)> {
    if checksum(&line[..CHECKED]) != line[CHECKED..] {
        return None;
    }
    let kind = match line[32] {
        1 => EntryKind::Entry,
        2 => EntryKind::Record,
        _ => return None,
    };
    let class = match line[33] {
        1 => Some(ContentKind::Object),
        2 => Some(ContentKind::Device),
        _ => None,
    };
    let name = Name(line[..32].try_into().ok()?);
    let uses = u64::from_le_bytes(line[40..CHECKED].try_into().ok()?);
    Some(((kind, name), Usage { uses, class }))
}

#[cfg(test)]
mod tests {
    use super::{LINE, LONG, Usage, UsageMap, append, line, load, name_of_log, parse};
    use crate::files::Directory;
    use crate::store::kind::EntryKind;
    use crate::store::{ContentKind, Name};
    use std::fs;

    const ONE: (EntryKind, Name) = (EntryKind::Entry, Name([7; 32]));
    const TWO: (EntryKind, Name) = (EntryKind::Record, Name([7; 32]));

    fn used(uses: u64) -> Usage {
        Usage { uses, class: None }
    }

    #[test]
    fn lines_of_one_file_add_up() {
        let device = Usage {
            uses: 0,
            class: Some(ContentKind::Device),
        };
        let log = [line(ONE, device), line(TWO, used(5)), line(ONE, used(2))].concat();
        let both = Usage { uses: 2, ..device };
        assert_eq!(parse(&log), UsageMap::from([(ONE, both), (TWO, used(5))]));
    }

    #[test]
    fn damage_costs_one_line() {
        let good = [line(ONE, used(1)), line(TWO, used(2))].concat();
        for bit in 0..LINE * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bad), UsageMap::from([(TWO, used(2))]), "bit {bit}");
        }
        for length in 0..LINE {
            let torn = [&good[..length], &good[LINE..]].concat();
            assert_eq!(parse(&torn), UsageMap::from([(TWO, used(2))]), "{length}");
        }
    }

    #[test]
    fn long_log_is_folded_and_says_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let root = Directory::root(dir.path()).unwrap();
        for _ in 0..LONG / LINE as u64 + 3 {
            append(&root, ONE, used(1)).unwrap();
        }
        append(&root, TWO, used(1)).unwrap();
        let known = load(&root, 7);
        assert_eq!(known[&ONE].uses, LONG / LINE as u64 + 3);
        assert_eq!(known[&TWO].uses, 1);
        let log = dir.path().join("uses").join(name_of_log(7));
        assert!(fs::metadata(log).unwrap().len() < LONG / 10);
        assert_eq!(fs::read_dir(dir.path().join("uses")).unwrap().count(), 1);
    }
}
