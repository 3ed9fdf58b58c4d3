//! The directory `tmp/` of files that are being written. Creates such files, lists them, and sweeps those of writers
//! that died.

use super::error::StoreError;
use super::policy::Nanos;
use super::unchanged::remove_unchanged;
use crate::files::{Directory, FRESH_PREFIX, FileMeta, RightsKind, is_missing, now};
use rustix::fs::OFlags;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Age in nanoseconds from which on a temporary file is taken to belong to a writer that died: one hour.
const STALE: Nanos = 3600 * 1_000_000_000;

/// Attempts to find a free name. One is enough unless two hosts write at the same nanosecond.
const ATTEMPTS: u32 = 100;

const DIRECTORY: &str = "tmp";

/// Prefix of the names in `tmp/` of files that were moved aside because they had the name of a store file.
pub const STRANGE_PREFIX: &str = "strange-";

/// Whether a file must be on the disk before it is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// No: readers verify it and notice a torn file, so a power cut costs a compile.
    Verified,
    /// Yes: no reader verifies it.
    Synced,
}

/// A file that is being written. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Temporary {
    directory: Directory,
    name: String,
    file: File,
    is_placed: bool,
}

impl Temporary {
    /// Creates a file in `tmp/` of the store in `root`, and `tmp/` itself if it is missing.
    pub(super) fn new(root: &Directory, path: &Path, kind: RightsKind) -> Result<Self, StoreError> {
        Self::make(root, kind).map_err(StoreError::io("make a file in", &path.join(DIRECTORY)))
    }

    fn make(root: &Directory, kind: RightsKind) -> io::Result<Self> {
        /// Part of the name, which must differ between the threads of a process.
        static TURN: AtomicU64 = AtomicU64::new(0);
        let rights = root.rights()?;
        let mut last_error = ErrorKind::AlreadyExists.into();
        for _ in 0..ATTEMPTS {
            // In each attempt, because another process may remove the directory.
            let directory = root.make(DIRECTORY)?;
            let turn = TURN.fetch_add(1, Ordering::Relaxed);
            let name = format!("entry-{}-{turn}-{:x}", std::process::id(), now());
            match directory.create(&name, rights, kind) {
                Ok(file) => {
                    return Ok(Self {
                        directory,
                        name,
                        file,
                        is_placed: false,
                    });
                }
                Err(error) => match error.kind() {
                    ErrorKind::AlreadyExists | ErrorKind::NotFound => last_error = error,
                    _ => return Err(error),
                },
            }
        }
        Err(last_error)
    }

    /// Writes `parts` one after the other.
    pub(super) fn write(&mut self, parts: &[&[u8]], durability: Durability) -> io::Result<()> {
        for part in parts {
            self.file.write_all(part)?;
        }
        match durability {
            Durability::Verified => Ok(()),
            Durability::Synced => self.file.sync_all(),
        }
    }

    /// Opens what was written, for reading. Another user who can write in the directory could have put a file of
    /// theirs there, so readers of the placed file verify it too.
    pub(super) fn reopen(&self) -> io::Result<File> {
        self.directory.open_regular(&self.name, OFlags::RDONLY)
    }

    /// Renames the file to `new` in `to`. `None` if another process keeps a file of that name busy.
    pub(super) fn rename(&self, to: &Directory, new: &str) -> io::Result<Option<()>> {
        self.directory.rename(&self.name, to, new)
    }

    /// Call after a successful rename: there is nothing left to remove.
    pub(super) fn forget(mut self) {
        self.is_placed = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_placed {
            return;
        }
        if let Ok(name) = CString::new(self.name.as_str()) {
            // If it cannot be removed, it is swept in an hour.
            let _ = self.directory.remove(&name);
        }
    }
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Bytes of dead writers' files that were removed.
    pub(super) freed: u64,
    /// Bytes of the remaining files, as far as they are part of the totals.
    pub(super) left: u64,
}

/// Removes temporary files of dead writers. A file that cannot be removed is left for the next sweep.
pub(super) fn sweep(root: &Directory, path: &Path) -> Result<Swept, StoreError> {
    let oldest = now() - STALE;
    remove_unfinished(root, path, |facts| facts.written < oldest)
}

/// The bytes of files being written.
pub(super) fn measure(root: &Directory, path: &Path) -> Result<u64, StoreError> {
    Ok(remove_unfinished(root, path, |_| false)?.left)
}

fn remove_unfinished(
    root: &Directory,
    path: &Path,
    is_stale: impl Fn(&FileMeta) -> bool,
) -> Result<Swept, StoreError> {
    let path: PathBuf = path.join(DIRECTORY);
    let failed = StoreError::io("list", &path);
    let directory = match root.directory(DIRECTORY) {
        Ok(directory) => directory,
        Err(error) if is_missing(&error) => return Ok(Swept::default()),
        Err(error) => return Err(failed(error)),
    };
    let mut swept = Swept::default();
    for child in directory.list().map_err(&failed)? {
        // Files that were moved aside are not the store's own, so it does not remove them.
        if child.name.to_bytes().starts_with(STRANGE_PREFIX.as_bytes()) {
            continue;
        }
        let facts = directory.look(&child.name).map_err(&failed)?;
        let Some(facts) = facts.filter(|facts| facts.is_file) else {
            continue;
        };
        let is_gone = is_stale(&facts)
            && matches!(remove_unchanged(&directory, &child.name, &facts), Ok(true));
        // A counter page that is being created is never added to the totals, so it must not be counted here either.
        let is_page = child.name.to_bytes().starts_with(FRESH_PREFIX.as_bytes());
        match (is_gone, is_page) {
            (true, _) => swept.freed += facts.size,
            (false, true) => {}
            (false, false) => swept.left += facts.size,
        }
    }
    Ok(swept)
}
