//! Digests of files, in a table that all processes of one user and cache share, so that a header
//! is read once per boot of the machine and not once per compile. `docs/design/store.md#digests` draws it.
//!
//! | module        | part                                               |
//! |---------------|----------------------------------------------------|
//! | `table`       | the file                                           |
//! | `guard`       | the signal handler that lets it be mapped          |
//! | `aspect`      | the aspect of a file that a digest covers          |
//! | `slot`        | one slot of it, and where it lies                  |
//! | `sighting`    | one look at a file                                 |
//! | `file_system` | where an unchanged `stat` proves unchanged content |
//!
//! An entry may vanish at any time, but is never wrong: a slot is believed only if its checksum fits and it holds
//! the file's whole `stat`, and a digest is stored only for a file whose last change was well before it was read.
//! A change time of whole seconds is believed through one mount only (`epoch`).

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
pub use sighting::{Sighting, Viewer};
pub use slot::Boot;

/// How often a file is read again because it changed while it was read.
const ATTEMPTS: u32 = 3;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Why there is no digest of a file.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// It could not be read.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// The operation that failed, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is a directory, a pipe, or a device.
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

/// The digest table of one cache directory. Without a usable table, nothing is remembered.
#[derive(Debug)]
pub struct DigestTable {
    table: Option<SlotTable>,
}

impl DigestTable {
    /// Opens the table of the cache in `dir`, and creates directory and table if they are missing.
    /// Never fails; without a usable table it remembers nothing.
    pub fn open(dir: &Path) -> Self {
        Self::with(SlotTable::open(&Root::at(dir), MissingTable::Create, None).ok())
    }

    /// Opens the table of a cache that is only read: creates and changes nothing.
    pub fn open_existing(dir: &Path) -> Self {
        Self::with(SlotTable::open(&Root::at(dir), MissingTable::Leave, None).ok())
    }

    /// Opens the table of the cache in `root`, and maps it if there is a `guard`, which makes lookups faster. Creates
    /// it if it is missing, unless it `is_read_only`.
    pub fn open_mapped(root: &Root, is_read_only: bool, guard: Option<MappingGuard>) -> Self {
        let missing = if is_read_only {
            MissingTable::Leave
        } else {
            MissingTable::Create
        };
        Self::with(SlotTable::open(root, missing, guard).ok())
    }

    /// Removes the table of the cache in `dir`. Returns how many bytes that frees. A process that has it open
    /// continues with it, and the next one creates a new table.
    ///
    /// # Errors
    /// The table exists and cannot be removed.
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

    /// The current boot, in which device and mount numbers keep their meaning. Costs nothing if there is a
    /// table. `None` if the kernel does not report it.
    pub fn boot(&self) -> Option<Boot> {
        let boot = self.table.as_ref().map(SlotTable::boot);
        boot.or_else(|| table::read_boot().ok())
    }

    /// Whether the table has the digests of other processes.
    pub fn is_shared(&self) -> bool {
        self.table.is_some()
    }

    /// The stored digest of an aspect of the file that was `seen`. Makes no system call if the table is mapped.
    pub fn get(&self, seen: &Sighting, aspect: Aspect) -> Option<Digest> {
        let table = self.table.as_ref()?;
        table.get(&Subject::new(epoch(table, seen)?, &seen.stat, aspect))
    }

    /// Stores the `digest` of the open `file`, which looked as `seen` both before and after it was read.
    /// `started` is a time before the first of these looks. Does nothing if a later change might not show in
    /// the file's stat.
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

    /// The SHA-256 of a file's content, and the look at the file with this content. Takes one system
    /// call if the digest is in the table; otherwise reads the file, and stores the digest if possible.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular file, or changes all the time.
    pub fn digest_of(&self, path: &Path) -> Result<(Sighting, Digest), DigestError> {
        self.digest_of_seen(path, Sighting::at(path))
    }

    /// [`DigestTable::digest_of`] the file at `path`, which looks as `seen`.
    ///
    /// # Errors
    /// Those of `digest_of`.
    pub fn digest_of_seen(
        &self,
        path: &Path,
        seen: io::Result<Sighting>,
    ) -> Result<(Sighting, Digest), DigestError> {
        self.digest_of_at_most(path, seen, u64::MAX)
    }

    /// [`DigestTable::digest_of_seen`] a file of which at most `most` bytes are read. Opens only what is a regular
    /// file, as opening a device may do anything.
    ///
    /// # Errors
    /// Those of `digest_of`. A file with more bytes whose digest is not in the table is no file.
    pub fn digest_of_at_most(
        &self,
        path: &Path,
        seen: io::Result<Sighting>,
        most: u64,
    ) -> Result<(Sighting, Digest), DigestError> {
        let seen = seen.map_err(DigestError::io("examine", path))?;
        if let Some(digest) = self.get(&seen, Aspect::CONTENT) {
            return Ok((seen, digest));
        }
        let is_wanted = |metadata: &fs::Metadata| metadata.is_file() && metadata.len() <= most;
        let metadata = fs::metadata(path).map_err(DigestError::io("examine", path))?;
        if !is_wanted(&metadata) {
            return Err(DigestError::NotAFile { path: path.into() });
        }
        for _ in 0..ATTEMPTS {
            let started = CoarseTime::now();
            let file = open_for_reading(path)?;
            let metadata = file.metadata().map_err(DigestError::io("examine", path))?;
            if !is_wanted(&metadata) {
                return Err(DigestError::NotAFile { path: path.into() });
            }
            let seen = Sighting::of(&file).map_err(DigestError::io("examine", path))?;
            let digest = hash(&file, most).map_err(DigestError::io("read", path))?;
            let after = Sighting::of(&file).map_err(DigestError::io("examine", path))?;
            if seen == after {
                self.put(&file, &seen, Aspect::CONTENT, &digest, started);
                return Ok((seen, digest));
            }
        }
        Err(DigestError::Changing { path: path.into() })
    }

    /// Whether `fact` is stored for the directory that was `seen`: say, the digest of a list of names that
    /// it did not hold.
    pub fn is_known(&self, seen: &Sighting, fact: &Digest) -> bool {
        self.get(seen, Aspect::fact(fact)).as_ref() == Some(fact)
    }

    /// Stores `fact` for the directory at `path`, which was `seen` before the fact was determined and
    /// must still look the same. The fact must depend only on the names in this directory: neither on
    /// their content nor on where its links lead. `started` is a time before the first look. Does nothing
    /// if a later change might not show in the directory's stat.
    pub fn remember(&self, path: &Path, seen: &Sighting, fact: &Digest, started: CoarseTime) {
        if !self.may_remember(seen, started) {
            return;
        }
        if shows_changes(path, seen) {
            self.write(seen, Aspect::fact(fact), fact);
        }
    }

    /// Whether the directory at `path`, which was `seen`, has none of `names`, each of which ends with a NUL.
    /// The answer is stored and holds as long as the directory's stat stays the same. `started` is a time
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
            let metadata = fs::symlink_metadata(path.join(OsStr::from_bytes(name)));
            metadata.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        });
        if lacks {
            self.remember(path, seen, &fact, started);
        }
        lacks
    }

    /// Whether the table is writable and the last change of the file was well before `started`.
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

/// Whether the directory at `path`, which was `seen`, still looks the same and lies in a file system in which every
/// change of a directory's names changes its stat.
pub fn shows_changes(path: &Path, seen: &Sighting) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
        return false;
    };
    let is_same = Sighting::of(&directory).is_ok_and(|now| now == *seen);
    is_same && StatTrust::in_file_system_of(&directory) == StatTrust::All
}

/// Whether an open directory lies in a file system that no other host changes.
pub(super) fn is_local(directory: &File) -> bool {
    StatTrust::in_file_system_of(directory) != StatTrust::Nothing
}

/// The period in which the stat is believed. `None` if the kernel does not report the mount that would limit it.
fn epoch(table: &SlotTable, seen: &Sighting) -> Option<Epoch> {
    Some(Epoch {
        boot: table.boot(),
        mount: seen.believed_through()?,
    })
}

/// Opens a file, without waiting for a writer if it is a named pipe.
fn open_for_reading(path: &Path) -> Result<File, DigestError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| DigestError::io("open", path)(error.into()))
}

/// Fails for more than `most` bytes: files of the kernel go on, whatever their size is.
fn hash(mut file: &File, most: u64) -> io::Result<Digest> {
    let mut left = most;
    let mut hasher = Sha256::new();
    let mut chunk = [0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) if count as u64 > left => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(count) => {
                left -= count as u64;
                hasher.update(&chunk[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
