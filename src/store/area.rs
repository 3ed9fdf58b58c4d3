//! One sharded tree of files that are named by the SHA-256 of their key: `ab/cdef…`. Reads, places,
//! lists and removes files; does not know what is in them, how many there may be, or who counts.

use super::StoreError;
use super::policy::Nanos;
use rustix::fs::{Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, futimens};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, Metadata, read_dir, remove_file, symlink_metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::NamedTempFile;

/// Tells a file from one that was put in its place: the triple that every removal compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    ino: u64,
    size: u64,
    written: Nanos,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            ino: metadata.ino(),
            size: metadata.len(),
            written: nanos(metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// One file as it was when listed or read.
#[derive(Clone, Debug)]
pub(super) struct FileFacts {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) read: Nanos,
    pub(super) written: Nanos,
    identity: Identity,
}

impl FileFacts {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let identity = Identity::of(metadata);
        Self {
            path,
            size: identity.size,
            read: nanos(metadata.atime(), metadata.atime_nsec()),
            written: identity.written,
            identity,
        }
    }

    /// Removes the file, unless it is gone or another one is in its place; whether it did. A file
    /// that is exchanged between the look and the removal is lost, which costs its next reader a
    /// compile.
    pub(super) fn remove_unchanged(&self) -> Result<bool, StoreError> {
        match symlink_metadata(&self.path) {
            Ok(now) if Identity::of(&now) == self.identity => {}
            Ok(_) => return Ok(false),
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(StoreError::io("examine", &self.path)(error)),
        }
        match remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(StoreError::io("remove", &self.path)(error)),
        }
    }
}

/// Whether reading marks a file as recently used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Mark,
    Leave,
}

/// A tree of files.
#[derive(Clone, Debug)]
pub(super) struct Area {
    dir: PathBuf,
}

impl Area {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn path(&self, key: &[u8]) -> PathBuf {
        let name = hex::encode(Sha256::digest(key));
        let (shard, rest) = name.split_at(2);
        self.dir.join(shard).join(rest)
    }

    /// The whole file of `key`, or `None` where there is none.
    pub(super) fn read(
        &self,
        key: &[u8],
        touch: Touch,
    ) -> Result<Option<(FileFacts, Vec<u8>)>, StoreError> {
        let path = self.path(key);
        // NONBLOCK: a named pipe in the place of an entry must not hold up a compile.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(error) if is_missing(&error.into()) => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path)(error.into())),
        };
        let mut bytes = Vec::new();
        let metadata = file
            .metadata()
            .and_then(|metadata| file.read_to_end(&mut bytes).map(|_| metadata))
            .map_err(StoreError::io("read", &path))?;
        if touch == Touch::Mark {
            mark_as_read(&file);
        }
        Ok(Some((FileFacts::new(path, &metadata), bytes)))
    }

    /// What is at the place of `key` now.
    pub(super) fn look(&self, key: &[u8]) -> Result<Option<FileFacts>, StoreError> {
        let path = self.path(key);
        match symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(FileFacts::new(path, &metadata))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(StoreError::io("examine", &path)(error)),
        }
    }

    /// Renames a finished file to the place of `key`, making its directories where they are missing.
    pub(super) fn place(&self, temp: NamedTempFile, key: &[u8]) -> Result<(), StoreError> {
        let path = self.path(key);
        let temp = match temp.persist(&path) {
            Ok(_) => return Ok(()),
            Err(refused) if refused.error.kind() == ErrorKind::NotFound => refused.file,
            Err(refused) => return Err(StoreError::io("place", &path)(refused.error)),
        };
        let shard = path.parent().unwrap_or(&self.dir);
        make_directory(shard)?;
        let placed = temp.persist(&path);
        placed.map_err(|refused| StoreError::io("place", &path)(refused.error))?;
        Ok(())
    }

    /// Every file in every shard. Files that vanish meanwhile are left out.
    pub(super) fn list(&self) -> Result<Vec<FileFacts>, StoreError> {
        let mut files = Vec::new();
        for (shard, metadata) in children(&self.dir)? {
            if metadata.is_dir() {
                files.append(&mut list_files(&shard)?);
            }
        }
        Ok(files)
    }
}

/// The regular files directly in `dir`; none where it is missing.
pub(super) fn list_files(dir: &Path) -> Result<Vec<FileFacts>, StoreError> {
    let files = children(dir)?;
    let files = files.into_iter().filter(|(_, metadata)| metadata.is_file());
    let facts = |(path, metadata): (PathBuf, Metadata)| FileFacts::new(path, &metadata);
    Ok(files.map(facts).collect())
}

/// Makes `dir` and its parents, closed to others. One that exists keeps its mode.
pub(super) fn make_directory(dir: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(StoreError::io("make directory", dir))
}

/// The clock, as file times count.
pub(super) fn now() -> Nanos {
    // A clock before 1970 reads as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as Nanos)
}

/// No such file, also because a parent is none.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// What is in `dir` with its own metadata: symlinks are not followed. Vanished children are left
/// out, and a missing directory is an empty one.
fn children(dir: &Path) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
    let failed = StoreError::io("list", dir);
    let listing = match read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for child in listing {
        let child = child.map_err(&failed)?;
        match child.metadata() {
            Ok(metadata) => found.push((child.path(), metadata)),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(found)
}

/// Sets the access time through the descriptor, so that it can only be that of the file that was
/// read, and leaves the modification time alone, which identifies it. Explicit because `relatime`
/// and `noatime` mounts would not do so. Read-only mounts and files of other users refuse, and
/// eviction falls back on the order of writing.
fn mark_as_read(file: &File) {
    let now = now();
    let second = 1_000_000_000;
    let last_access = Timespec {
        tv_sec: (now / second) as i64,
        tv_nsec: (now % second) as i64,
    };
    let last_modification = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let times = Timestamps {
        last_access,
        last_modification,
    };
    let _ = futimens(file, &times);
}

fn nanos(seconds: i64, nanoseconds: i64) -> Nanos {
    Nanos::from(seconds) * 1_000_000_000 + Nanos::from(nanoseconds)
}
