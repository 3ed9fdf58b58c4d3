//! Usage log: how often each file was used (LFU), and its kind of content (TLRU). One log of checksummed lines
//! per shard, to which every process appends. Without its line, a file has one use, and its kind is found again
//! by reading the file. Under other policies no log is read or written. `docs/design/store.md#uses` draws a line.

use super::backend::Name;
use super::content_kind::ContentKind;
use super::error::StoreError;
use super::kind::Tree;
use crate::files::{Directory, RightsKind, is_missing};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const DIRECTORY: &str = "uses";

/// Length of a line in bytes.
const LINE: usize = 64;
/// The checksum covers this many bytes of a line and fills the rest.
const CHECKED: usize = 48;

/// The process whose line makes a log reach a multiple of this length folds it: 4096 lines.
const LONG: u64 = 4096 * LINE as u64;

/// Use count and content kind of a file: those of one line, or the sum of several.
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

/// The usage of each file of one shard.
pub(super) type UsageMap = HashMap<(Tree, Name), Usage>;

/// Adds a line to the log of the file's shard.
pub(super) fn note(
    root: &Directory,
    path: &Path,
    file: (Tree, Name),
    usage: Usage,
) -> Result<(), StoreError> {
    append(root, file, usage).map_err(StoreError::io("append to a log in", &path.join(DIRECTORY)))
}

fn append(root: &Directory, (tree, name): (Tree, Name), usage: Usage) -> io::Result<()> {
    let log = name_of_log(name.0[0]);
    let directory = root.make(DIRECTORY)?;
    let mut file = match open_log(root, &directory, &log) {
        // Another process holds the lock: the use is not counted.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        opened => opened?,
    };
    file.write_all(&line((tree, name), usage))?;
    let length = file.metadata()?.len();
    if length / LONG > length.saturating_sub(LINE as u64) / LONG {
        drop(file);
        fold(root, name.0[0], |_| true)?;
    }
    Ok(())
}

/// Reads the log of `shard`. Torn and damaged lines are skipped.
pub(super) fn load(root: &Directory, shard: u8) -> UsageMap {
    let path = format!("{DIRECTORY}/{}", name_of_log(shard));
    let mut bytes = Vec::new();
    let read = root
        .open(&path)
        .and_then(|file| file.map_or(Ok(0), |file| file.take(4 * LONG).read_to_end(&mut bytes)));
    // An unreadable log is the same as a new one.
    match read {
        Ok(_) => parse(&bytes),
        Err(_) => UsageMap::new(),
    }
}

/// Rewrites the log of `shard` with one line for each file that `is_there`. Does nothing if another process
/// is appending at this moment.
pub(super) fn fold(
    root: &Directory,
    shard: u8,
    is_there: impl Fn(&(Tree, Name)) -> bool,
) -> io::Result<()> {
    let directory = match root.directory(DIRECTORY) {
        Ok(directory) => directory,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let log = name_of_log(shard);
    let old_log = directory.open_shared(&log, root.rights()?)?;
    let locked = flock(&old_log, FlockOperation::NonBlockingLockExclusive);
    // Another process is appending, or has folded the log meanwhile.
    if locked.is_err() || rustix::fs::fstat(&old_log)?.st_nlink == 0 {
        return Ok(());
    }
    let mut usage = load(root, shard);
    usage.retain(|file, _| is_there(file));
    let new = format!("{log}.new");
    let name = std::ffi::CString::new(new.as_str()).unwrap_or_default();
    // A file of this name was left by a process that died: the lock keeps live ones out.
    let _ = directory.remove(&name);
    let mut new_log = directory.create(&new, root.rights()?, RightsKind::Shared)?;
    let mut lines: Vec<_> = usage.into_iter().collect();
    lines.sort_by_key(|((tree, name), _)| (tree.number(), *name));
    let lines: Vec<u8> = lines
        .into_iter()
        .flat_map(|(file, usage)| line(file, usage))
        .collect();
    new_log.write_all(&lines)?;
    directory.rename(&new, &directory, &log)?;
    Ok(())
}

/// Removes all logs. A line that another process appends at this moment goes to a file without a name and
/// is lost.
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

/// Opens a log to append to, with a shared lock that keeps other processes from folding it meanwhile.
fn open_log(root: &Directory, directory: &Directory, log: &str) -> io::Result<File> {
    let rights = root.rights()?;
    loop {
        let file = directory.open_shared(log, rights)?;
        // Does not wait: a stopped process or a stranger may hold the lock.
        flock(&file, FlockOperation::NonBlockingLockShared)?;
        // No link left: another process folded the log between opening and locking, and the name is a new file's.
        if rustix::fs::fstat(&file)?.st_nlink > 0 {
            return Ok(file);
        }
    }
}

fn name_of_log(shard: u8) -> String {
    format!("{shard:02x}")
}

fn line((tree, name): (Tree, Name), usage: Usage) -> [u8; LINE] {
    let mut line = [0; LINE];
    line[..32].copy_from_slice(&name.0);
    line[32] = tree.number();
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
    let mut usages = UsageMap::new();
    while let Some((line, rest)) = bytes.split_at_checked(LINE) {
        match parse_line(line) {
            Some((file, usage)) => {
                let sum = usages.entry(file).or_default();
                *sum = sum.and(usage);
                bytes = rest;
            }
            // A line that a full disk cut short shifts all that follow, so the next may start at any byte.
            None => bytes = &bytes[1..],
        }
    }
    usages
}

fn parse_line(line: &[u8]) -> Option<((Tree, Name), Usage)> {
    if checksum(&line[..CHECKED]) != line[CHECKED..] {
        return None;
    }
    let tree = Tree::ALL
        .into_iter()
        .find(|tree| tree.number() == line[32])?;
    let class = match line[33] {
        1 => Some(ContentKind::Object),
        2 => Some(ContentKind::Device),
        _ => None,
    };
    let name = Name(line[..32].try_into().ok()?);
    let uses = u64::from_le_bytes(line[40..CHECKED].try_into().ok()?);
    Some(((tree, name), Usage { uses, class }))
}

#[cfg(test)]
mod tests {
    use super::{LINE, LONG, Usage, UsageMap, append, line, load, name_of_log, parse};
    use crate::files::Directory;
    use crate::store::kind::Tree;
    use crate::store::{ContentKind, Name};
    use std::fs;

    const ONE: (Tree, Name) = (Tree::ENTRIES, Name([7; 32]));
    const TWO: (Tree, Name) = (Tree::RECORDS, Name([7; 32]));

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
