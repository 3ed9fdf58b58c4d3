//! Files and directories of a cache, by descriptor: below the root no symlink is followed, so that no user who can
//! write there leads the program elsewhere. The one place to port: another system needs these types with its own
//! calls.
//!
//! | module   | part                                                              |
//! |----------|-------------------------------------------------------------------|
//! | `root`   | the root of a store, opened once for all that looks there         |
//! | `rights` | who may use what is made in a cache, and whose files are believed |
//! | `own`    | files that are one user's own in a cache that several share       |
//! | `fresh`  | files that are written whole and then renamed to their place      |
//! | `header` | magic number and version at the head of a file of fixed size      |
//! | `busy`   | operations that a busy file holds up, on systems that know that   |

#[cfg(test)]
pub(crate) use busy::faults;
pub(crate) use busy::{Operation, attempt};
pub(crate) use fresh::{FRESH_PREFIX, Held, write_fresh};
pub(crate) use header::{HeaderState, read_header, version_word};
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

/// Nanoseconds since 1970; negative before.
pub type Nanos = i128;

/// Room for the names that the kernel gives at once.
const LISTING: usize = 32 * 1024;

/// What `stat` says of a file, as far as the store cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMeta {
    /// A regular one: nothing else is an entry, or counted.
    pub is_file: bool,
    pub ino: u64,
    pub size: u64,
    pub read: Nanos,
    pub written: Nanos,
    /// Whose it is, and who may write to it.
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

    /// Those of an open file.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::new(&fstat(file)?))
    }

    /// Whether this is the same file with the same contents, as far as can be told without reading:
    /// the triple that guards every removal.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.ino, self.size, self.written) == (other.ino, other.size, other.written)
    }
}

/// A child of a directory.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    pub name: CString,
    /// As far as the directory tells.
    kind: FileType,
}

#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
}

impl Directory {
    /// The root of a store. Symlinks on the way to it are the user's.
    pub fn root(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { descriptor })
    }

    /// A directory below this one, to be listed or worked in.
    pub fn directory(&self, path: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let descriptor = self.open_below(path, flags)?;
        Ok(Self { descriptor })
    }

    /// [`Directory::directory`] below the root of a cache, made with all on the way to it where it is missing.
    pub fn make(&self, path: &str) -> io::Result<Self> {
        match self.directory(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        let rights = self.rights()?;
        let mut at: Option<Self> = None;
        // One after the other, so that a link that is planted meanwhile is not followed.
        for name in path.split('/') {
            let from = at.as_ref().unwrap_or(self);
            let is_new = match mkdirat(&from.descriptor, name, Mode::RWXU) {
                Err(Errno::EXIST) => false,
                made => made.map(|()| true)?,
            };
            let directory = from.directory(name)?;
            // No other user can have moved a directory of this user's to its place: for that, one must be able to write in it.
            if is_new {
                rights.give(&directory.descriptor, RightsKind::Directory)?;
            }
            at = Some(directory);
        }
        at.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Who may use it, and whose it is.
    pub fn rights(&self) -> io::Result<Rights> {
        Ok(Rights::from(&fstat(&self.descriptor)?))
    }

    /// Opens a file below this directory for reading. `None` = busy, on systems that know that.
    pub fn open(&self, path: &str) -> io::Result<Option<File>> {
        // NONBLOCK: a named pipe in the place of an entry must not hold up a compile.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let open = || self.open_below(path, flags).map(File::from);
        attempt(Operation::Open, open)
    }

    /// Opens a file of this directory for a listing of everything: that does not count as a use, so the
    /// access time stays where the system lets the caller say so. `None` = gone.
    pub fn open_unmarked(&self, name: &CStr) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| openat(&self.descriptor, name, flags, Mode::empty());
        let opened = match open(flags | OFlags::NOATIME) {
            // Another user's file.
            Err(Errno::PERM) => open(flags),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file that all users of a cache append to or lock, making it with the rights of the cache's `root`
    /// where it is missing.
    pub fn open_shared(&self, name: &str, root: Rights) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND;
        match self.open_regular(name, flags) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        match self.create(name, root, RightsKind::Shared) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => drop(made?),
        }
        self.open_regular(name, flags)
    }

    /// Opens a regular file below this directory. What else is there is an error, and holds nothing up.
    pub fn open_regular(&self, path: &str, access: OFlags) -> io::Result<File> {
        Ok(self.open_examined(path, access)?.0)
    }

    /// Opens a regular file and reads its rights.
    fn open_examined(&self, path: &str, access: OFlags) -> io::Result<(File, Rights)> {
        // NONBLOCK: a named pipe must not hold up a compile.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = self.open_below(path, flags)?;
        let found = fstat(&file)?;
        match FileType::from_raw_mode(found.st_mode) {
            // A file of this user's elsewhere may have been given this name.
            FileType::RegularFile if found.st_nlink > 1 && !access.is_empty() => {
                Err(strange("it has another name too; remove it"))
            }
            FileType::RegularFile => Ok((File::from(file), Rights::from(&found))),
            _ => Err(strange("it is not a regular file; remove it")),
        }
    }

    /// Makes a file that must not exist, with the rights of the cache's `root`.
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

    /// What is called `name`.
    pub fn look(&self, name: &CStr) -> io::Result<Option<FileMeta>> {
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileMeta::new(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a file of this directory to another one, in the place of what is there. `None` = busy.
    pub fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<Option<()>> {
        let rename = || Ok(renameat(&self.descriptor, name, &to.descriptor, new)?);
        attempt(Operation::Rename, rename)
    }

    /// Moves whatever is called `name` in this directory to another one.
    pub fn move_aside(&self, name: &CStr, to: &Self, new: &str) -> io::Result<()> {
        Ok(renameat(&self.descriptor, name, &to.descriptor, new)?)
    }

    /// Removes a file of this directory. `None` = busy.
    pub fn remove(&self, name: &CStr) -> io::Result<Option<()>> {
        let remove = || Ok(unlinkat(&self.descriptor, name, AtFlags::empty())?);
        attempt(Operation::Remove, remove)
    }

    /// Everything in this directory that may be a regular file; a look at it tells.
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

    /// Opens what is below this directory without following any symlink.
    fn open_below(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        /// Old kernels, and sandboxes that refuse what they do not know.
        static REFUSED: AtomicBool = AtomicBool::new(false);
        let flags = flags | OFlags::CLOEXEC;
        if !REFUSED.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            // Without NOFOLLOW: with it, a link in the place of a directory is "no directory", as if it
            // were missing, instead of a link.
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

    /// Opens what is below, one directory after the other, on kernels without `openat2`.
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
    /// Whether it is a regular file for certain.
    pub fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }
}

/// What a file is expected to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// So many bytes.
    Exactly(u64),
    /// No more.
    AtMost(u64),
}

/// Facts and contents of an open file. What is no regular file but can be read, or has another size
/// than expected, gives no bytes.
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
    // No process writes to a file that is in its place: what it held at the look is all of it.
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

/// All of an open regular file, unless it is longer than `most` bytes.
pub(crate) fn read_bounded(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let (facts, bytes) = read(file, Size::AtMost(most))?;
    if facts.is_file && facts.size <= most {
        Ok(bytes)
    } else {
        Err(ErrorKind::FileTooLarge.into())
    }
}

/// Sets the access time through the descriptor, so that it can only be that of the file that was
/// read, and leaves the modification time alone, which identifies it. Explicit because `relatime`
/// and `noatime` mounts would not do so. Read-only mounts and files of other users refuse, and
/// eviction falls back on the order of writing.
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

/// The clock, as file times count.
pub(crate) fn now() -> Nanos {
    // A clock before 1970 reads as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as Nanos)
}

/// Seconds since 1970.
pub(crate) fn seconds() -> u64 {
    (now() / 1_000_000_000) as u64
}

/// Something is in the place that this program has not made there.
fn strange(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// Something is in the place that is not this user's own, or no regular file: [`Directory::open_own`].
pub(crate) fn is_strange(error: &io::Error) -> bool {
    error.kind() == ErrorKind::InvalidData
}

/// No such file, also because a parent is none.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A symlink where none is followed.
pub(crate) fn is_symlink(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// What is at `path` itself: a directory, nothing, or something else (a symlink counts as such).
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
    Nanos::from(seconds) * 1_000_000_000 + Nanos::from(nanoseconds)
}
