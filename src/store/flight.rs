//! One flight for each key: of all who want to make the same thing at the same moment, one leads and
//! the others wait until it is done. Whoever dies gives up its lead at once, as the system takes its
//! locks away. Does not know what is made, or whether it was made in the end.
//!
//! A lock is one byte of the empty file `<root>/locks/flights`, at an offset that the key's digest
//! gives. `docs/store.md#one-flight` has the why.

use super::StoreError;
use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

const DIRECTORY: &str = "locks";
const FILE: &str = "flights";

/// How long a waiter sleeps between two looks, in milliseconds; the last one from then on. Locks that
/// block cannot be given up on time without a signal of our own.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

/// What became of [`Flights::join`]; `S` is what interrupted it.
#[derive(Debug)]
pub enum Flight<S> {
    /// Nobody else has the key until the guard is dropped. What is to be made may have been made
    /// just before.
    Leader(Guard),
    /// Somebody else had the key, and is done or dead. Look for what it has made; where nothing is,
    /// join again.
    Followed,
    /// The deadline passed while somebody else had the key.
    Impatient,
    /// The caller was told to stop.
    Interrupted(S),
    /// The file system has no such locks.
    Unsupported,
    /// The lock file could not be used.
    Failed(StoreError),
}

/// The flights of one cache.
#[derive(Clone, Debug)]
pub struct Flights {
    root: PathBuf,
}

impl Flights {
    /// The flights of the cache in `root`. Nothing is made before the first [`Flights::join`].
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Takes the lead for `key`, or waits until whoever has it is done. Asks `interrupted` between
    /// two looks, at least every 20 ms, and stops when that gives something.
    ///
    /// Threads of one process exclude each other like processes. Who leads must not join another
    /// flight in the same thread: two that waited for each other would do so until the deadline.
    pub fn join<S>(
        &self,
        key: &[u8],
        deadline: Instant,
        interrupted: &mut dyn FnMut() -> Option<S>,
    ) -> Flight<S> {
        let joined = self.try_join(offset(key), deadline, interrupted);
        joined.unwrap_or_else(|error| match is_unsupported(&error) {
            true => Flight::Unsupported,
            false => {
                let path = self.root.join(DIRECTORY).join(FILE);
                Flight::Failed(StoreError::io("lock", &path)(error))
            }
        })
    }

    fn try_join<S>(
        &self,
        offset: i64,
        deadline: Instant,
        interrupted: &mut dyn FnMut() -> Option<S>,
    ) -> io::Result<Flight<S>> {
        let file = self.open()?;
        if change(&file, offset, Change::Lock)? {
            return Ok(Flight::Leader(Guard { file, offset }));
        }
        wait(&file, offset, deadline, interrupted)
    }

    /// Opens the file, making it and its directory with the mode of the cache: a group that shares
    /// one shares its locks. Each call gives an open file description of its own, which is what owns
    /// a lock, and which no program that is started gets.
    fn open(&self) -> io::Result<File> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.root, flags, Mode::empty())?;
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
        let file = openat(&directory, FILE, flags | OFlags::CLOEXEC, mode)?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(file.into()),
            _ => Err(io::Error::other("it is not a regular file; remove it")),
        }
    }
}

/// The lead for one key; dropping it gives it up.
#[derive(Debug)]
pub struct Guard {
    file: File,
    offset: i64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child that another thread is just starting, until
        // it has become its program. Should this fail, closing is what is left.
        let _ = change(&self.file, self.offset, Change::Unlock);
    }
}

/// Waits without taking the lock, so that all who wait can look for the result at once.
fn wait<S>(
    file: &File,
    offset: i64,
    deadline: Instant,
    interrupted: &mut dyn FnMut() -> Option<S>,
) -> io::Result<Flight<S>> {
    let mut pauses = PAUSES.into_iter();
    let mut pause = Duration::ZERO;
    while is_locked(file, offset)? {
        if let Some(signal) = interrupted() {
            return Ok(Flight::Interrupted(signal));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Flight::Impatient);
        }
        pause = pauses.next().map_or(pause, Duration::from_millis);
        sleep(pause.min(left));
    }
    Ok(Flight::Followed)
}

/// The first 62 bits of the key's SHA-256: offsets of files have 63. Keys that share one only wait
/// for each other.
fn offset(key: &[u8]) -> i64 {
    let digest = Sha256::digest(key);
    let first = u64::from_be_bytes(std::array::from_fn(|at| digest[at]));
    (first >> 2) as i64
}

/// What an old kernel answers, or a file system that cannot lock.
fn is_unsupported(error: &io::Error) -> bool {
    let answers = [Errno::INVAL, Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP];
    let answers = answers.map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|found| answers.contains(&found))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Lock,
    Unlock,
}

/// Locks or unlocks the byte without waiting; false if somebody else has it.
fn change(file: &File, offset: i64, change: Change) -> io::Result<bool> {
    let kind = match change {
        Change::Lock => libc::F_WRLCK,
        Change::Unlock => libc::F_UNLCK,
    };
    match control(file, libc::F_OFD_SETLK, &mut byte(kind, offset)) {
        Ok(()) => Ok(true),
        // Which of the two it is, the system may choose.
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether another open file description has the byte.
fn is_locked(file: &File, offset: i64) -> io::Result<bool> {
    let mut lock = byte(libc::F_WRLCK, offset);
    control(file, libc::F_OFD_GETLK, &mut lock)?;
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
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

fn control(file: &File, command: libc::c_int, lock: &mut libc::flock) -> Result<(), Errno> {
    loop {
        // SAFETY: the descriptor is open as long as `file` is borrowed; both commands take a pointer
        // to one `flock`, which they read and may write, and keep none.
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

#[cfg(test)]
mod tests {
    use super::{Errno, Flight, Flights, is_unsupported, offset};
    use std::io;
    use std::time::Instant;

    #[test]
    fn offsets_are_the_first_62_bits_of_the_digest() {
        // SHA-256 of "abc" begins with ba7816bf8f01cfea.
        assert_eq!(offset(b"abc"), 0x2e9e_05af_e3c0_73fa);
        assert!((0..1000u32).all(|n| (0..1 << 62).contains(&offset(&n.to_be_bytes()))));
    }

    #[test]
    fn file_systems_without_locks_are_told_from_trouble() {
        let is = |errno: Errno| is_unsupported(&io::Error::from(errno));
        assert!(is(Errno::NOLCK) && is(Errno::INVAL) && is(Errno::OPNOTSUPP));
        assert!(!is(Errno::ACCESS) && !is(Errno::LOOP) && !is(Errno::MFILE));
        assert!(!is_unsupported(&io::Error::other("no regular file")));
    }

    #[test]
    fn trouble_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("locks/flights")).unwrap();
        let flights = Flights::new(dir.path());
        let joined = flights.join(b"key", Instant::now(), &mut || None::<()>);
        let Flight::Failed(error) = joined else {
            panic!("{joined:?}");
        };
        let text = error.to_string().replace(dir.path().to_str().unwrap(), "~");
        insta::assert_snapshot!(text, @r#"cannot lock "~/locks/flights": Is a directory (os error 21)"#);
    }
}
