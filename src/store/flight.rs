//! One flight for each key: of all who want to make the same thing at the same moment, one leads and the others
//! wait until it is done. A process that dies gives up its lead at once, as the system takes its locks away.
//!
//! A lock is one byte of the empty file `<root>/locks/flights`, at an offset that the key's digest
//! gives. `docs/design/store.md#one-flight` has the why.

use super::StoreError;
use crate::lock::{LockFile, is_unsupported};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

const FILE: &str = "flights";

/// How long a waiter sleeps between two looks, in milliseconds; the last one from then on. Locks that
/// block cannot be given up on time without a signal of our own.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

/// How long a waiter waits before it looks whether the leader is stopped; doubled with each look.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// What became of [`Flights::join`]; `S` is what interrupted it.
#[derive(Debug)]
pub enum Flight<S> {
    /// No other process has the key until the guard is dropped. What is to be made may have been made
    /// just before.
    Leader(LeadGuard),
    /// Another process had the key, and is done or dead. Look for what it has made; where nothing is,
    /// join again.
    Followed,
    /// The deadline passed while another had the key, or who has it is stopped.
    Impatient,
    /// The caller was told to stop.
    Interrupted(S),
    /// The file system has no such locks.
    Unsupported,
    /// The lock file could not be used.
    Failed(StoreError),
}

/// The flights of one user in one cache.
#[derive(Clone, Debug)]
pub struct Flights {
    own: Option<PathBuf>,
}

impl Flights {
    /// The flights whose locks are in this user's own directory `own`. Nothing is made before the first
    /// [`Flights::join`].
    pub fn new(own: Option<&Path>) -> Self {
        Self {
            own: own.map(Path::to_owned),
        }
    }

    /// Takes the lead for `key`, or waits until the process that has it is done. Asks `interrupted` between
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
        let Some(own) = &self.own else {
            return Flight::Unsupported;
        };
        let joined = try_join(own, offset(key), deadline, interrupted);
        joined.unwrap_or_else(|error| {
            if is_unsupported(&error) {
                Flight::Unsupported
            } else {
                let path = LockFile::path(own, FILE);
                Flight::Failed(StoreError::io("lock", &path)(error))
            }
        })
    }
}

fn try_join<S>(
    own: &Path,
    offset: i64,
    deadline: Instant,
    interrupted: &mut dyn FnMut() -> Option<S>,
) -> io::Result<Flight<S>> {
    let file = LockFile::open(own, FILE)?;
    if file.try_lock(offset)? {
        return Ok(Flight::Leader(LeadGuard { file, offset }));
    }
    wait(&file, offset, deadline, interrupted)
}

/// The lead for one key; dropping it gives it up.
#[derive(Debug)]
pub struct LeadGuard {
    file: LockFile,
    offset: i64,
}

impl Drop for LeadGuard {
    fn drop(&mut self) {
        // Should this fail, closing is what is left.
        let _ = self.file.unlock(self.offset);
    }
}

/// Waits without taking the lock, so that all who wait can look for the result at once.
fn wait<S>(
    file: &LockFile,
    offset: i64,
    deadline: Instant,
    interrupted: &mut dyn FnMut() -> Option<S>,
) -> io::Result<Flight<S>> {
    let mut pauses = PAUSES.into_iter();
    let mut pause = Duration::ZERO;
    let started = Instant::now();
    let mut look = started + FIRST_LOOK;
    while file.is_locked(offset)? {
        if let Some(signal) = interrupted() {
            return Ok(Flight::Interrupted(signal));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Flight::Impatient);
        }
        let now = Instant::now();
        if now >= look {
            look = now + now.duration_since(started);
            if file.stopped().contains(&offset) {
                return Ok(Flight::Impatient);
            }
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

#[cfg(test)]
mod tests {
    use super::{Flight, Flights, offset};
    use std::time::Instant;

    #[test]
    fn offsets_are_the_first_62_bits_of_the_digest() {
        // SHA-256 of "abc" begins with ba7816bf8f01cfea.
        assert_eq!(offset(b"abc"), 0x2e9e_05af_e3c0_73fa);
        assert!((0..1000u32).all(|n| (0..1 << 62).contains(&offset(&n.to_be_bytes()))));
    }

    #[test]
    fn trouble_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("locks/flights")).unwrap();
        let flights = Flights::new(Some(dir.path()));
        let joined = flights.join(b"key", Instant::now(), &mut || None::<()>);
        let Flight::Failed(error) = joined else {
            panic!("{joined:?}");
        };
        let text = error.to_string().replace(dir.path().to_str().unwrap(), "~");
        insta::assert_snapshot!(text, @r#"cannot lock "~/locks/flights": Is a directory (os error 21)"#);
    }
}
