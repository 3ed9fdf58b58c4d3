//! `tmp/`: files that are being written. Makes them, lists them, and sweeps those of writers that died.

use super::error::StoreError;
use super::policy::Nanos;
use super::unchanged::remove_unchanged;
use crate::files::{Directory, FRESH_PREFIX, FileMeta, RightsKind, is_missing, now};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A temporary file that is older belongs to a writer that died: one hour, in nanoseconds.
const STALE: Nanos = 3600 * 1_000_000_000;

/// Tries for a name that is free. One is enough unless two hosts write at the same nanosecond.
const ATTEMPTS: u32 = 100;

const DIRECTORY: &str = "tmp";

/// How the names begin of what was in the way, in `tmp/`.
pub const STRANGE_PREFIX: &str = "strange-";

/// Whether a file must be on the disk before it is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Readers notice a torn one: a power cut costs a compile.
    Verified,
    /// No reader verifies it.
    Synced,
}

/// A file that is being written; removed when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    directory: Directory,
    name: String,
    file: File,
    is_placed: bool,
}

impl Temporary {
    /// Makes one in the store in `root`, and `tmp/` where it is missing.
    pub(super) fn new(root: &Directory, path: &Path, kind: RightsKind) -> Result<Self, StoreError> {
        let made = Self::make(root, kind);
        made.map_err(StoreError::io("make a file in", &path.join(DIRECTORY)))
    }

    fn make(root: &Directory, kind: RightsKind) -> io::Result<Self> {
        /// Tells the threads of a process apart.
        static TURN: AtomicU64 = AtomicU64::new(0);
        let rights = root.rights()?;
        let mut last = ErrorKind::AlreadyExists.into();
        for _ in 0..ATTEMPTS {
            // On first use, or removed by a process that tidied up.
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
                    ErrorKind::AlreadyExists | ErrorKind::NotFound => last = error,
                    _ => return Err(error),
                },
            }
        }
        Err(last)
    }

    /// Writes `parts` in a row.
    pub(super) fn write(&mut self, parts: &[&[u8]], durability: Durability) -> io::Result<()> {
        for part in parts {
            self.file.write_all(part)?;
        }
        match durability {
            Durability::Verified => Ok(()),
            Durability::Synced => self.file.sync_all(),
        }
    }

    /// Moves it to `new` in `to`. `None` = another process holds that place.
    pub(super) fn rename(&self, to: &Directory, new: &str) -> io::Result<Option<()>> {
        self.directory.rename(&self.name, to, new)
    }

    /// To be called when it has been moved: there is nothing left to remove.
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
            // What stays is swept in an hour.
            let _ = self.directory.remove(&name);
        }
    }
}

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Bytes of dead writers' files that were removed.
    pub(super) freed: u64,
    /// Bytes of files that stay and count.
    pub(super) left: u64,
}

/// Removes temporary files of dead writers. One that cannot be removed is left for another time.
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
        // What was in the way of the store's files is not the store's to remove.
        if child.name.to_bytes().starts_with(STRANGE_PREFIX.as_bytes()) {
            continue;
        }
        let facts = directory.look(&child.name).map_err(&failed)?;
        let Some(facts) = facts.filter(|facts| facts.is_file) else {
            continue;
        };
        let is_gone = is_stale(&facts)
            && matches!(remove_unchanged(&directory, &child.name, &facts), Ok(true));
        // No process adds or takes off the bytes of a counter page that is being made, so a listing must
        // not see them either.
        let is_page = child.name.to_bytes().starts_with(FRESH_PREFIX.as_bytes());
        match (is_gone, is_page) {
            (true, _) => swept.freed += facts.size,
            (false, true) => {}
            (false, false) => swept.left += facts.size,
        }
    }
    Ok(swept)
}
