//! Locks on single bytes of a file that many processes of one cache open. A lock belongs to the open
//! file description: the system takes it away when its last descriptor is closed, however the process
//! ends, and threads that have opened the file themselves exclude each other like processes. Does not
//! know what the bytes stand for.

use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "locks";

/// An open file of locks. No program that is started gets it, unless it is handed to it.
#[derive(Debug)]
pub struct LockFile {
    file: File,
}

impl LockFile {
    /// Where the file of locks called `name` lies, in the cache in `root`.
    pub fn path(root: &Path, name: &str) -> PathBuf {
        root.join(DIRECTORY).join(name)
    }

    /// Opens the file, making it and its directory with the mode of the cache: a group that shares
    /// one shares its locks. Each call gives an open file description of its own, which is what owns
    /// a lock.
    pub fn open(root: &Path, name: &str) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        let mode = Mode::from_raw_mode(fstat(&root)?.st_mode);
        match mkdirat(&root, DIRECTORY, mode & Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // A symlink is nothing that this program made, and leads to the files of others.
        let directory = openat(&root, DIRECTORY, flags | OFlags::NOFOLLOW, Mode::empty())?;
        // NONBLOCK: a named pipe in its place must not hold up a compile.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mode = mode & Mode::from_raw_mode(0o666);
        let file = openat(&directory, name, flags | OFlags::CLOEXEC, mode)?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(Self { file: file.into() }),
            _ => Err(io::Error::other("it is not a regular file; remove it")),
        }
    }

    /// Locks the byte at `offset` without waiting; false if another open file description has it.
    /// What this one has already, it gets again.
    pub fn try_lock(&self, offset: i64) -> io::Result<bool> {
        self.change(offset, libc::F_WRLCK)
    }

    /// Gives the byte at `offset` up. Closing alone would leave the lock to a child that another
    /// thread is just starting, until that has become its program.
    pub fn unlock(&self, offset: i64) -> io::Result<()> {
        self.change(offset, libc::F_UNLCK).map(drop)
    }

    /// Whether another open file description has the byte at `offset`.
    pub fn is_locked(&self, offset: i64) -> io::Result<bool> {
        let mut lock = byte(libc::F_WRLCK, offset);
        self.control(libc::F_OFD_GETLK, &mut lock)?;
        Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
    }

    fn change(&self, offset: i64, kind: libc::c_int) -> io::Result<bool> {
        match self.control(libc::F_OFD_SETLK, &mut byte(kind, offset)) {
            Ok(()) => Ok(true),
            // Which of the two it is, the system may choose.
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn control(&self, command: libc::c_int, lock: &mut libc::flock) -> Result<(), Errno> {
        loop {
            let file = self.file.as_raw_fd();
            // SAFETY: the descriptor is open as long as `self` is borrowed; both commands take a
            // pointer to one `flock`, which they read and may write, and keep none.
            let answer = unsafe { libc::fcntl(file, command, lock as *mut libc::flock) };
            if answer != -1 {
                return Ok(());
            }
            match Errno::from_io_error(&io::Error::last_os_error()) {
                Some(Errno::INTR) => {}
                error => return Err(error.unwrap_or(Errno::IO)),
            }
        }
    }
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What an old kernel answers, or a file system that cannot lock.
pub fn is_unsupported(error: &io::Error) -> bool {
    let answers = [Errno::INVAL, Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP];
    let answers = answers.map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|found| answers.contains(&found))
}

/// One byte at `offset`. The process number must be zero for locks of descriptions.
fn byte(kind: libc::c_int, offset: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset,
        l_len: 1,
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
