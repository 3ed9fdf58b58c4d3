//! Files and directories of a cache, accessed by descriptors: below the root no symlink is followed, so that no user
//! who can write there can redirect the program elsewhere. This is the room to port: another operating system needs
//! these types with its own calls.
//!
//! | module   | part                                                              |
//! |----------|-------------------------------------------------------------------|
//! | `root`   | the root of a store, opened once                                  |
//! | `rights` | rights of new files in a cache, and whose files are believed      |
//! | `own`    | files that are one user's own in a cache that several share       |
//! | `fresh`  | writes a whole file and renames it to its place                   |
//! | `header` | magic number and version at the start of a file of fixed size     |
//! | `busy`   | retries operations on busy files, on systems that have them       |

#[cfg(test)]
pub(crate) use busy::faults;
pub(crate) use busy::{Operation, attempt};
pub(crate) use fresh::{FRESH_PREFIX, Held, write_fresh};
pub(crate) use header::{HeaderState, read_header, version_word};
pub(crate) use own::make_private;
pub(crate) use rights::{Believed, Rights, RightsKind, Trust};
pub(crate) use root::Root;

mod busy;
mod fresh;
mod header;
mod own;
mod rights;
mod root;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat, Timespec, Timestamps,
    UTIME_OMIT, fstat, futimens, mkdirat, openat, openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970; negative before. Times beyond the years 1678 and 2262 count as those years, so that a
/// listing of a million files is half as large as with 128 bits.
pub type Nanos = i64;

/// Size in bytes of the buffer for names that one system call lists.
const LISTING: usize = 32 * 1024;

/// The fields of a file's `stat` that the store uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMeta {
    /// Whether it is a regular file. Nothing else is an entry or counted.
    pub is_file: bool,
    pub ino: u64,
    pub size: u64,
    /// The access time.
    pub read: Nanos,
    /// The modification time.
    pub written: Nanos,
    /// Its owner, and who may write to it.
    pub rights: Rights,
}

impl FileMeta {
    fn new(stat: &Stat) -> Self {
        Self {
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            read: nanos(stat.st_atime, stat.st_atime_nsec as i64),
            written: nanos(stat.st_mtime, stat.st_mtime_nsec as i64),
            rights: stat.into(),
        }
    }

    /// Reads the fields of an open file.
    ///
    /// # Errors
    /// Those of `fstat`.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::new(&fstat(file)?))
    }

    /// Whether this is the same file with the same contents, judged without reading it by inode, size and
    /// modification time. Checked before every removal.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.ino, self.size, self.written) == (other.ino, other.size, other.written)
    }
}

/// A child of a directory.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    pub name: CString,
    /// Its type as the directory lists it, which may be unknown.
    kind: FileType,
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
}

impl Directory {
    /// Opens the root of a store. Follows symlinks on the way to it, which are the user's own choice.
    pub fn root(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { descriptor })
    }

    /// Opens a directory below this one.
    pub fn directory(&self, path: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let descriptor = self.open_below(path, flags)?;
        Ok(Self { descriptor })
    }

    /// Opens a directory below the root of a cache, and creates it and its parents if they are missing.
    pub fn make(&self, path: &str) -> io::Result<Self> {
        match self.directory(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        let rights = self.rights()?;
        let mut at: Option<Self> = None;
        // Step by step, so that a link that another user plants meanwhile is not followed.
        for name in path.split('/') {
            let from = at.as_ref().unwrap_or(self);
            let is_new = match mkdirat(&from.descriptor, name, Mode::RWXU) {
                Err(Errno::EXIST) => false,
                created => created.map(|()| true)?,
            };
            let directory = from.directory(name)?;
            // Another user cannot have replaced it by a different directory of this user's: renaming a directory to
            // another parent needs write access to the directory itself.
            if is_new {
                rights.give(&directory.descriptor, RightsKind::Directory)?;
            }
            at = Some(directory);
        }
        at.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Its mode and owner.
    pub fn rights(&self) -> io::Result<Rights> {
        Ok(Rights::from(&fstat(&self.descriptor)?))
    }

    /// Opens a file below this directory for reading. `None` = busy, on systems with busy files.
    pub fn open(&self, path: &str) -> io::Result<Option<File>> {
        // NONBLOCK: a named pipe with the name of an entry must not block a compile.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let open = || self.open_below(path, flags).map(File::from);
        attempt(Operation::Open, open)
    }

    /// Opens a file of this directory for a listing. That is no use of it, so the access time is left unchanged
    /// if the system allows it. `None` = gone.
    pub fn open_unmarked(&self, name: &CStr) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| openat(&self.descriptor, name, flags, Mode::empty());
        let opened = match open(flags | OFlags::NOATIME) {
            // Only the owner of a file may ask for NOATIME.
            Err(Errno::PERM) => open(flags),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file that all users of a cache append to or lock. Creates it with the rights for the cache's `root` if
    /// it is missing.
    pub fn open_shared(&self, name: &str, root: Rights) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND;
        match self.open_regular(name, flags) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match self.create(name, root, RightsKind::Shared) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => drop(created?),
        }
        self.open_regular(name, flags)
    }

    /// Opens a regular file below this directory. Anything else is an error, and does not block.
    pub fn open_regular(&self, path: &str, access: OFlags) -> io::Result<File> {
        Ok(self.open_examined(path, access)?.0)
    }

    /// Opens a regular file and reads its rights.
    fn open_examined(&self, path: &str, access: OFlags) -> io::Result<(File, Rights)> {
        // NONBLOCK: a named pipe must not block a compile.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = self.open_below(path, flags)?;
        let stat = fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            // Another user may have linked a file of this user's from elsewhere to this name.
            FileType::RegularFile if stat.st_nlink > 1 && !access.is_empty() => {
                Err(strange("it has another name too; remove it"))
            }
            FileType::RegularFile => Ok((File::from(file), Rights::from(&stat))),
            _ => Err(strange("it is not a regular file; remove it")),
        }
    }

    /// Creates a file, which must not exist, with the rights for the cache's `root`.
    pub fn create(&self, name: &str, root: Rights, kind: RightsKind) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.descriptor, name, flags | OFlags::CLOEXEC, mode)?;
        if let Err(error) = root.give(&file, kind) {
            let _ = unlinkat(&self.descriptor, name, AtFlags::empty());
            return Err(error);
        }
        Ok(File::from(file))
    }

    /// The metadata of the file `name`, not following links; `None` if it does not exist.
    pub fn look(&self, name: &CStr) -> io::Result<Option<FileMeta>> {
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileMeta::new(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a file of this directory to `new` in another one, replacing what is there. `None` = busy.
    pub fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<Option<()>> {
        let rename = || Ok(renameat(&self.descriptor, name, &to.descriptor, new)?);
        attempt(Operation::Rename, rename)
    }

    /// Moves a file or directory of any kind from this directory to another one.
    pub fn move_aside(&self, name: &CStr, to: &Self, new: &str) -> io::Result<()> {
        Ok(renameat(&self.descriptor, name, &to.descriptor, new)?)
    }

    /// Removes a file of this directory. `None` = busy.
    pub fn remove(&self, name: &CStr) -> io::Result<Option<()>> {
        let remove = || Ok(unlinkat(&self.descriptor, name, AtFlags::empty())?);
        attempt(Operation::Remove, remove)
    }

    /// Lists the children that are regular files, or may be: [`Directory::look`] shows which.
    pub fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        let mut room = Vec::with_capacity(LISTING);
        let mut listing = RawDir::new(&self.descriptor, room.spare_capacity_mut());
        let mut children = Vec::new();
        while let Some(child) = listing.next() {
            let child = child?;
            let kind = child.file_type();
            if matches!(kind, FileType::RegularFile | FileType::Unknown) {
                let name = child.file_name().to_owned();
                children.push(DirectoryEntry { name, kind });
            }
        }
        Ok(children)
    }

    /// Opens a file or directory below this one without following any symlink.
    fn open_below(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        /// Whether `openat2` was refused, by an old kernel or by a sandbox that does not know it.
        static REFUSED: AtomicBool = AtomicBool::new(false);
        let flags = flags | OFlags::CLOEXEC;
        if !REFUSED.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            // Without NOFOLLOW: with it, a link with the name of a directory gives ENOTDIR, as if it
            // were missing, instead of ELOOP.
            let flags = flags.difference(OFlags::NOFOLLOW);
            match openat2(&self.descriptor, path, flags, Mode::empty(), resolve) {
                Err(Errno::NOSYS | Errno::PERM | Errno::TOOBIG) => {
                    REFUSED.store(true, Ordering::Relaxed);
                }
                opened => return Ok(opened?),
            }
        }
        self.walk_below(path, flags)
    }

    /// Does the same as [`Directory::open_below`] one directory at a time, for kernels without `openat2`.
    fn walk_below(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Some((parents, last)) = path.rsplit_once('/') else {
            return Ok(openat(&self.descriptor, path, flags, Mode::empty())?);
        };
        let mut at: Option<OwnedFd> = None;
        for parent in parents.split('/') {
            let from = at.as_ref().unwrap_or(&self.descriptor);
            at = Some(openat(from, parent, step, Mode::empty())?);
        }
        let from = at.as_ref().unwrap_or(&self.descriptor);
        Ok(openat(from, last, flags, Mode::empty())?)
    }
}

impl DirectoryEntry {
    /// Whether the directory lists it as a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }
}

/// The expected size of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Exactly(u64),
    AtMost(u64),
}

/// Reads the metadata and contents of an open file. The contents are empty if it is not a regular file or has
/// an unexpected size.
pub(crate) fn read(file: &File, expected: Size) -> io::Result<(FileMeta, Vec<u8>)> {
    let stat = fstat(file)?;
    let facts = FileMeta::new(&stat);
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(ErrorKind::IsADirectory.into());
    }
    let is_expected = match expected {
        Size::Exactly(size) => facts.size == size,
        Size::AtMost(most) => facts.size <= most,
    };
    if !facts.is_file || !is_expected {
        return Ok((facts, Vec::new()));
    }
    let size = usize::try_from(facts.size).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size)?;
    // No process writes to a file after it was renamed to its place, so its size does not grow.
    while bytes.len() < size {
        match rustix::io::read(file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(size);
    Ok((facts, bytes))
}

/// The contents of an open regular file. Fails if it is longer than `max_size` bytes.
pub(crate) fn read_bounded(file: &File, max_size: u64) -> io::Result<Vec<u8>> {
    let (facts, bytes) = read(file, Size::AtMost(max_size))?;
    if facts.is_file && facts.size <= max_size {
        Ok(bytes)
    } else {
        Err(ErrorKind::FileTooLarge.into())
    }
}

/// Sets the access time to now, through the descriptor, so that it is certainly that of the file that was
/// read. Leaves the modification time alone, because it identifies the file. Explicit because `relatime`
/// and `noatime` mounts would not do so. Fails on read-only mounts and for files of other users; eviction
/// then falls back on the order of writing.
pub(crate) fn mark_as_read(file: &File) {
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

/// The current time, in the unit of file times.
pub(crate) fn now() -> Nanos {
    // A clock before 1970 reads as 1970.
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        Nanos::try_from(elapsed.as_nanos()).unwrap_or(Nanos::MAX)
    })
}

/// Seconds since 1970.
pub(crate) fn seconds() -> u64 {
    (now() / 1_000_000_000) as u64
}

/// The error for a file that is not one of this program's: see [`is_strange`].
fn strange(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Whether an open failed because the file is not this user's own, or not a regular file: [`Directory::open_own`].
pub(crate) fn is_strange(error: &io::Error) -> bool {
    error.kind() == ErrorKind::InvalidData
}

/// Whether a file does not exist, or a parent of it is not a directory.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Whether an open failed because of a symlink, which is not followed.
pub(crate) fn is_symlink(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// Whether `path` is a directory; `None` if nothing is there. A symlink is not a directory.
pub(crate) fn is_directory(path: &Path) -> io::Result<Option<bool>> {
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(
            FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
        )),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn nanos(seconds: i64, nanoseconds: i64) -> Nanos {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}
