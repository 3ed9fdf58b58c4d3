//! Digests of files, remembered in one table that all processes of a cache share, so that a header
//! is read once per boot of a machine and not once per compile. `docs/design/store.md#digests` draws it.
//!
//! | module        | part                                               |
//! |---------------|----------------------------------------------------|
//! | `table`       | the file                                           |
//! | `guard`       | what lets it be mapped                             |
//! | `aspect`      | what of a file a digest is of                      |
//! | `slot`        | one slot of it, and where it lies                  |
//! | `sighting`    | one look at a file                                 |
//! | `file_system` | where an unchanged `stat` proves unchanged content |
//!
//! What is remembered may be forgotten at any time, and is never wrong: a slot is believed if its checksum fits and
//! the whole `stat` of the file is in it, and a digest is remembered only of a file that was last changed well
//! before it was read. A change time of whole seconds is believed through one mount only (`epoch`).

mod aspect;
mod file_system;
mod guard;
mod sighting;
mod slot;
mod table;

use crate::files::Root;
use crate::key::Digest;
use crate::stat::CoarseTime;
use file_system::StatTrust;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use slot::{Epoch, Subject};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use table::{MissingTable, SlotTable};

pub use aspect::Aspect;
pub use guard::MappingGuard;
pub use sighting::Sighting;
pub use slot::Boot;

/// How often a file is read that changes while it is being read.
const ATTEMPTS: u32 = 3;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Why there is no digest of a file.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// It could not be read.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is a directory, a pipe, a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Another process kept writing to it.
    #[error("{} changes while it is being read; wait for its writer", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
}

impl DigestError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.into(),
            source,
        }
    }
}

/// The digest table of one cache directory, or none: then nothing is remembered.
#[derive(Debug)]
pub struct DigestTable {
    table: Option<SlotTable>,
}

impl DigestTable {
    /// Opens the table of the cache in `dir`, making directory and table where they are missing.
    /// Never fails; without a usable table it remembers nothing.
    pub fn open(dir: &Path) -> Self {
        Self::with(SlotTable::open(&Root::at(dir), MissingTable::Create, None).ok())
    }

    /// Like [`DigestTable::open`] for a cache that is only read: makes and changes nothing.
    pub fn open_existing(dir: &Path) -> Self {
        Self::with(SlotTable::open(&Root::at(dir), MissingTable::Leave, None).ok())
    }

    /// The table of the cache in `root`, mapped: faster, and for programs that own their process. It is made where
    /// it is missing unless it `is_read_only`.
    pub fn open_mapped(root: &Root, is_read_only: bool, guard: Option<MappingGuard>) -> Self {
        let missing = if is_read_only {
            MissingTable::Leave
        } else {
            MissingTable::Create
        };
        Self::with(SlotTable::open(root, missing, guard).ok())
    }

    /// Removes the table of the cache in `dir`; how many bytes that frees. A process that has it open goes on
    /// with it, and the next one makes a new one.
    ///
    /// # Errors
    /// There is a table, and it cannot be removed.
    pub fn remove(dir: &Path) -> io::Result<u64> {
        table::remove(dir)
    }

    /// A table that remembers nothing.
    pub fn nowhere() -> Self {
        Self::with(None)
    }

    fn with(table: Option<SlotTable>) -> Self {
        Self { table }
    }

    /// The boot in which the numbers of devices and mounts mean what they mean now. Costs nothing where there is
    /// a table. `None` where the kernel does not tell.
    pub fn boot(&self) -> Option<Boot> {
        let known = self.table.as_ref().map(SlotTable::boot);
        known.or_else(|| table::read_boot().ok())
    }

    /// Whether digests of other processes are seen here.
    pub fn is_shared(&self) -> bool {
        self.table.is_some()
    }

    /// The digest of an aspect of the file that was `seen`. No system call.
    pub fn get(&self, seen: &Sighting, aspect: Aspect) -> Option<Digest> {
        let table = self.table.as_ref()?;
        table.get(&Subject::new(epoch(table, seen)?, &seen.stat, aspect))
    }

    /// Remembers that the open `file`, which was `seen` so before and after it was read, has this
    /// `digest`. `began` is a time before the first of these looks. Does nothing where a later change
    /// might not show in the file's stat.
    pub fn put(
        &self,
        file: impl AsFd,
        seen: &Sighting,
        aspect: Aspect,
        digest: &Digest,
        started: CoarseTime,
    ) {
        if self.may_remember(seen, started)
            && StatTrust::in_file_system_of(file) != StatTrust::Nothing
        {
            self.write(seen, aspect, digest);
        }
    }

    /// The SHA-256 of a file's content, and what the file looked like with this content. One system
    /// call if it is remembered; otherwise the file is read, and remembered if possible.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular one, or does not keep still.
    pub fn digest_of(&self, path: &Path) -> Result<(Sighting, Digest), DigestError> {
        let seen = Sighting::at(path).map_err(DigestError::io("examine", path))?;
        if let Some(digest) = self.get(&seen, Aspect::CONTENT) {
            return Ok((seen, digest));
        }
        for _ in 0..ATTEMPTS {
            let started = CoarseTime::now();
            let mut file = open_for_reading(path)?;
            let found = file.metadata().map_err(DigestError::io("examine", path))?;
            if !found.is_file() {
                return Err(DigestError::NotAFile { path: path.into() });
            }
            let seen = Sighting::of(&file).map_err(DigestError::io("examine", path))?;
            let digest = hash(&mut file).map_err(DigestError::io("read", path))?;
            let after = Sighting::of(&file).map_err(DigestError::io("examine", path))?;
            if seen == after {
                self.put(&file, &seen, Aspect::CONTENT, &digest, started);
                return Ok((seen, digest));
            }
        }
        Err(DigestError::Changing { path: path.into() })
    }

    /// Whether `fact` was remembered of the directory that was `seen`: say, the digest of a list of
    /// names that it did not hold.
    pub fn is_known(&self, seen: &Sighting, fact: &Digest) -> bool {
        self.get(seen, Aspect::fact(fact)).as_ref() == Some(fact)
    }

    /// Remembers `fact` of the directory at `path`, which was `seen` before the fact was found out
    /// and must look the same still. The fact must depend on nothing but the names in this directory
    /// itself: neither on what is in them nor on where its links lead. `began` is a time before the
    /// first look. Does nothing where a later change might not show in the directory's stat.
    pub fn remember(&self, path: &Path, seen: &Sighting, fact: &Digest, started: CoarseTime) {
        if !self.may_remember(seen, started) {
            return;
        }
        if shows_changes(path, seen) {
            self.write(seen, Aspect::fact(fact), fact);
        }
    }

    /// Whether the directory at `path`, which was `seen`, has none of `names`, each with a NUL behind it.
    /// Once looked up, the answer holds for as long as the directory's stat does. `began` is a time
    /// before the first look.
    pub fn lacks_all(
        &self,
        path: &Path,
        seen: &Sighting,
        names: &[u8],
        started: CoarseTime,
    ) -> bool {
        let fact = Sha256::digest(names).into();
        if self.is_known(seen, &fact) {
            return true;
        }
        let names = names.strip_suffix(b"\0").unwrap_or(names);
        let lacks = names.split(|&byte| byte == 0).all(|name| {
            let found = fs::symlink_metadata(path.join(OsStr::from_bytes(name)));
            found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        });
        if lacks {
            self.remember(path, seen, &fact, started);
        }
        lacks
    }

    /// Whether there is a place to remember it, and the file was last changed well before `began`.
    fn may_remember(&self, seen: &Sighting, started: CoarseTime) -> bool {
        self.table.as_ref().is_some_and(SlotTable::is_writable) && seen.stat.is_stable(started)
    }

    fn write(&self, seen: &Sighting, aspect: Aspect, digest: &Digest) {
        if let Some(table) = &self.table
            && let Some(epoch) = epoch(table, seen)
        {
            table.put(&Subject::new(epoch, &seen.stat, aspect), digest);
        }
    }
}

/// Whether the directory at `path`, which was `seen`, lies in a file system that shows in a directory's stat
/// whatever happens to its names.
pub fn shows_changes(path: &Path, seen: &Sighting) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
        return false;
    };
    let is_same = Sighting::of(&directory).is_ok_and(|now| now == *seen);
    is_same && StatTrust::in_file_system_of(&directory) == StatTrust::All
}

/// For how long the stat means what it means. `None` where the kernel cannot tell.
fn epoch(table: &SlotTable, seen: &Sighting) -> Option<Epoch> {
    Some(Epoch {
        boot: table.boot(),
        mount: seen.believed_through()?,
    })
}

/// Opens without waiting for a writer, should it be a named pipe.
fn open_for_reading(path: &Path) -> Result<File, DigestError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened
        .map(File::from)
        .map_err(|error| DigestError::io("open", path)(error.into()))
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut chunk = [0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => hasher.update(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
