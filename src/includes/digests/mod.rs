//! Digests of files, remembered in one table that all processes of a cache share, so that a header
//! is read once per boot of a machine and not once per compile. `docs/store.md#digests` draws it.
//!
//! | module        | part                                                    |
//! |---------------|---------------------------------------------------------|
//! | `table`       | the mapped file                                         |
//! | `slot`        | one slot of it, and where it lies                       |
//! | `file_system` | where an unchanged `stat` proves unchanged content      |
//!
//! What is remembered may be forgotten at any time, and is never wrong: a slot is believed if its
//! checksum fits and the whole `stat` of the file is in it, and a digest is remembered only of a file
//! that was last changed well before it was read. Does not know what the files are to a compile.

mod file_system;
mod slot;
mod table;

use crate::key::Digest;
use crate::stat::Stat;
use file_system::Trust;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use slot::{Boot, Subject};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;
use table::{Missing, Table};

/// How often a file is read that changes while it is being read.
const ATTEMPTS: u32 = 3;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// What of a file a digest is of. Numbers are never reused for another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aspect(u64);

impl Aspect {
    /// Its bytes.
    pub const CONTENT: Self = Self(0);
    /// Its tokens, without comments and layout.
    pub const TOKENS: Self = Self(1);

    /// A fact, told from others by the start of its digest. The upper half of the numbers is for
    /// facts.
    fn fact(digest: &Digest) -> Self {
        let start = u64::from_le_bytes(std::array::from_fn(|at| digest[at]));
        Self(start | 1 << 63)
    }
}

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
    #[error("{} is no regular file, whose content would stay", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Somebody kept writing to it.
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
    table: Option<Table>,
    /// What is known of each device met so far.
    devices: Mutex<Vec<(u64, Trust)>>,
    /// The mount of each device on which a change time without a fraction was met.
    mounts: Mutex<Vec<(u64, Option<u64>)>>,
}

impl DigestTable {
    /// Opens the table of the cache in `dir`, making directory and table where they are missing.
    /// Never fails; without a usable table it remembers nothing.
    pub fn open(dir: &Path) -> Self {
        Self::with(Table::open(dir, Missing::Create).ok())
    }

    /// Like [`DigestTable::open`] for a cache that is only read: makes and changes nothing.
    pub fn open_existing(dir: &Path) -> Self {
        Self::with(Table::open(dir, Missing::Leave).ok())
    }

    /// A table that remembers nothing.
    pub fn nowhere() -> Self {
        Self::with(None)
    }

    fn with(table: Option<Table>) -> Self {
        Self {
            table,
            devices: Mutex::default(),
            mounts: Mutex::default(),
        }
    }

    /// Whether digests of other processes are seen here.
    pub fn is_shared(&self) -> bool {
        self.table.is_some()
    }

    /// The digest of an aspect of the file at `path` that has this `stat`. No system call (but for one
    /// for a device on which change times have no fraction).
    pub fn get(&self, path: &Path, stat: &Stat, aspect: Aspect) -> Option<Digest> {
        let table = self.table.as_ref()?;
        table.get(&Subject::new(self.epoch(table, path, stat)?, stat, aspect))
    }

    /// Remembers that the open `file` at `path`, which had this `stat` before and after it was read, has this
    /// `digest`. `began` is a time before the first of these looks. Does nothing where a later change
    /// might not show in the file's stat.
    pub fn put(
        &self,
        path: &Path,
        file: impl AsFd,
        stat: &Stat,
        aspect: Aspect,
        digest: &Digest,
        began: SystemTime,
    ) {
        if self.trust(file, stat) != Trust::Nothing {
            self.put_if_settled(path, stat, aspect, digest, began);
        }
    }

    /// The SHA-256 of a file's content, and the stat that it had with this content. One system call
    /// if it is remembered; otherwise the file is read, and remembered if possible.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular one, or does not keep still.
    pub fn digest_of(&self, path: &Path) -> Result<(Stat, Digest), DigestError> {
        let found = std::fs::metadata(path).map_err(DigestError::io("examine", path))?;
        let stat = Stat::from(&found);
        if let Some(digest) = self.get(path, &stat, Aspect::CONTENT) {
            return Ok((stat, digest));
        }
        for _ in 0..ATTEMPTS {
            let began = SystemTime::now();
            let mut file = open_for_reading(path)?;
            let before = file.metadata().map_err(DigestError::io("examine", path))?;
            if !before.is_file() {
                return Err(DigestError::NotAFile { path: path.into() });
            }
            let stat = Stat::from(&before);
            let digest = hash(&mut file).map_err(DigestError::io("read", path))?;
            let after = file.metadata().map_err(DigestError::io("examine", path))?;
            if stat == Stat::from(&after) {
                self.put(path, &file, &stat, Aspect::CONTENT, &digest, began);
                return Ok((stat, digest));
            }
        }
        Err(DigestError::Changing { path: path.into() })
    }

    /// Whether `fact` was remembered of the directory at `path` that has this `stat`: say, the digest of a list
    /// of names that it did not hold.
    pub fn is_known(&self, path: &Path, directory: &Stat, fact: &Digest) -> bool {
        self.get(path, directory, Aspect::fact(fact)).as_ref() == Some(fact)
    }

    /// Remembers `fact` of the directory at `path`, which had the stat `seen` before the fact was
    /// found out and must have it still. The fact must depend on nothing but the names in this
    /// directory itself: neither on what is in them nor on where its links lead. `began` is a time
    /// before the first look. Does nothing where a later change might not show in the directory's
    /// stat.
    pub fn remember(&self, path: &Path, seen: &Stat, fact: &Digest, began: SystemTime) {
        if !self.table.as_ref().is_some_and(Table::is_writable) || !seen.is_settled(began) {
            return;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
            return;
        };
        let is_same = directory
            .metadata()
            .is_ok_and(|now| Stat::from(&now) == *seen);
        if is_same && self.trust(&directory, seen) == Trust::All {
            self.put_if_settled(path, seen, Aspect::fact(fact), fact, began);
        }
    }

    fn put_if_settled(
        &self,
        path: &Path,
        stat: &Stat,
        aspect: Aspect,
        digest: &Digest,
        began: SystemTime,
    ) {
        let Some(table) = &self.table else { return };
        if stat.is_settled(began)
            && let Some(epoch) = self.epoch(table, path, stat)
        {
            table.put(&Subject::new(epoch, stat, aspect), digest);
        }
    }

    /// For how long a stat means what it means: a boot of the machine. A change time without a fraction
    /// may have been written into an image by a tool, which may write it into the next image too; it
    /// only counts as long as the file system stays mounted. None where the kernel cannot tell.
    fn epoch(&self, table: &Table, path: &Path, stat: &Stat) -> Option<Boot> {
        let [upper, lower] = table.boot();
        if !stat.is_changed_on_the_second() {
            return Some([upper, lower]);
        }
        let device = stat.device();
        // Whole after each change, as the list of devices.
        let mut mounts = self.mounts.lock().unwrap_or_else(|held| held.into_inner());
        let known = mounts.iter().find(|(known, _)| *known == device);
        let mount = match known {
            Some((_, mount)) => *mount,
            None => {
                let mount = file_system::mount(path);
                mounts.push((device, mount));
                mount
            }
        };
        Some([upper, lower ^ mount?.wrapping_mul(0x9E37_79B9_7F4A_7C15)])
    }

    /// What an unchanged stat proves on the device of `stat`, of which `file` is one file.
    fn trust(&self, file: impl AsFd, stat: &Stat) -> Trust {
        // The list is whole after each change, so a panic elsewhere has not spoilt it.
        let mut devices = self.devices.lock().unwrap_or_else(|held| held.into_inner());
        let known = devices.iter().find(|(device, _)| *device == stat.device());
        if let Some((_, trust)) = known {
            return *trust;
        }
        let trust = Trust::in_file_system_of(file);
        devices.push((stat.device(), trust));
        trust
    }
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
