//! Locks on single bytes of a file that many processes of one cache open. A lock belongs to the open file
//! description: the kernel releases it when its last descriptor is closed, however the process ends, and threads
//! that have each opened the file exclude each other like processes.

mod stopped;

use crate::files::Directory;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "locks";

/// An open lock file. Child processes do not inherit it unless it is passed on explicitly.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
}

impl LockFile {
    /// The path of the lock file `name` in this user's own directory `root`.
    pub(crate) fn path(root: &Path, name: &str) -> PathBuf {
        root.join(DIRECTORY).join(name)
    }

    /// Opens the lock file in this user's own directory `root`, where no other user can block compiles. Creates it and
    /// its directory if they are missing. Each call returns an open file description of its own, which owns its locks.
    pub(crate) fn open(root: &Path, name: &str) -> io::Result<Self> {
        let root = Directory::root(root)?;
        let rights = root.rights()?;
        let directory = root.make(DIRECTORY)?;
        let file = directory.make_own(name, OFlags::RDWR, rights)?;
        Ok(Self { file })
    }

    /// Opens the lock file to ask which locks are held, and creates nothing.
    pub(crate) fn open_to_look(root: &Path, name: &str) -> io::Result<Self> {
        let file = File::open(Self::path(root, name))?;
        Ok(Self { file })
    }

    /// Locks the byte at `offset` without waiting; false if another open file description holds the lock.
    /// Succeeds again if this one holds it already.
    pub(crate) fn try_lock(&self, offset: i64) -> io::Result<bool> {
        self.change(offset, libc::F_WRLCK)
    }

    /// Releases the byte at `offset`. Closing the file alone would leave the lock with a child that another
    /// thread is just starting, until that child's `exec`.
    pub(crate) fn unlock(&self, offset: i64) -> io::Result<()> {
        self.change(offset, libc::F_UNLCK).map(drop)
    }

    /// Whether another open file description holds the lock on the byte at `offset`.
    pub(crate) fn is_locked(&self, offset: i64) -> io::Result<bool> {
        let mut lock = region(libc::F_WRLCK, ByteRange::one(offset));
        control(self.file.as_fd(), libc::F_OFD_GETLK, &mut lock)?;
        Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
    }

    /// The bytes that are locked by stopped processes. Costs milliseconds.
    pub(crate) fn stopped(&self) -> BTreeSet<i64> {
        // Without `/proc`, no process is taken for stopped.
        stopped::locked(&self.file).unwrap_or_default()
    }

    fn change(&self, offset: i64, kind: libc::c_int) -> io::Result<bool> {
        change(self.file.as_fd(), ByteRange::one(offset), kind)
    }
}

/// A range of consecutive bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    /// Offset of the first byte.
    pub first: i64,
    pub count: i64,
}

impl ByteRange {
    fn one(offset: i64) -> Self {
        Self {
            first: offset,
            count: 1,
        }
    }
}

/// Locks `bytes` of an open file without waiting; false if another open file description has locked any of them.
pub(crate) fn try_lock(file: impl AsFd, bytes: ByteRange) -> io::Result<bool> {
    change(file.as_fd(), bytes, libc::F_WRLCK)
}

/// Releases the lock on `bytes`.
pub(crate) fn unlock(file: impl AsFd, bytes: ByteRange) -> io::Result<()> {
    change(file.as_fd(), bytes, libc::F_UNLCK).map(drop)
}

fn change(file: BorrowedFd<'_>, bytes: ByteRange, kind: libc::c_int) -> io::Result<bool> {
    match control(file, libc::F_OFD_SETLK, &mut region(kind, bytes)) {
        Ok(()) => Ok(true),
        // POSIX allows either error for a lock that another holds.
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn control(
    file: BorrowedFd<'_>,
    command: libc::c_int,
    lock: &mut libc::flock,
) -> Result<(), Errno> {
    loop {
        // SAFETY: the descriptor is open as long as it is borrowed; both commands take a pointer to one
        // `flock`, which they read and may write, and keep none.
        let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, lock as *mut libc::flock) };
        if answer != -1 {
            return Ok(());
        }
        match Errno::from_io_error(&io::Error::last_os_error()) {
            Some(Errno::INTR) => {}
            error => return Err(error.unwrap_or(Errno::IO)),
        }
    }
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether an old kernel, or a file system without locks, refused a lock.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP];
    let refusals = refusals.map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| refusals.contains(&code))
}

/// The argument of `fcntl` for `bytes`. `l_pid` must be zero for locks of open file descriptions.
fn region(kind: libc::c_int, bytes: ByteRange) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: bytes.first,
        l_len: bytes.count,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, LockFile, is_unsupported};
    use std::io;

    #[test]
    fn file_systems_without_locks_are_told_from_trouble() {
        let is = |errno: Errno| is_unsupported(&io::Error::from(errno));
        assert!(is(Errno::NOLCK) && is(Errno::INVAL) && is(Errno::OPNOTSUPP));
        assert!(!is(Errno::ACCESS) && !is(Errno::LOOP) && !is(Errno::MFILE));
        assert!(!is_unsupported(&io::Error::other("no regular file")));
    }

    #[test]
    fn each_open_excludes_the_others_byte_by_byte() {
        let dir = tempfile::tempdir().unwrap();
        let open = || LockFile::open(dir.path(), "file").unwrap();
        let (one, two) = (open(), open());
        assert!(one.try_lock(5).unwrap() && one.try_lock(5).unwrap());
        assert!(!two.try_lock(5).unwrap() && two.is_locked(5).unwrap());
        assert!(two.try_lock(6).unwrap() && !one.try_lock(6).unwrap());
        one.unlock(5).unwrap();
        assert!(!two.is_locked(5).unwrap());
        drop(two);
        assert!(one.try_lock(6).unwrap());
    }
}
