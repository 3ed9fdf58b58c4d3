//! Single flight for a key: of all processes that want to make the same value at the same moment, one leads and the
//! others wait until it is done. A process that dies gives up its lead at once, because the kernel releases its locks.
//!
//! A lock is one byte of the empty file `<root>/locks/flights`, at an offset derived from the key's digest.
//! `docs/design/store.md#one-flight` has the reasons.

use super::StoreError;
use crate::lock::{LockFile, is_unsupported};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

const FILE: &str = "flights";

/// Pauses of a waiter between two looks at the lock, in milliseconds; the last one repeats. Polls because a
/// blocking lock cannot be abandoned at the deadline without a signal of our own.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

/// How long a waiter waits before it checks whether the leader is stopped; doubled with each check.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The result of [`Flights::join`]; `S` is the type of the signal that can interrupt it.
#[derive(Debug)]
pub enum Flight<S> {
    /// This caller leads until the guard is dropped. The value may have been stored just before.
    Leader(LeadGuard),
    /// Another process led, and is done or dead. Look for its result; if there is none, join again.
    Followed,
    /// The deadline passed while another process led, or the leader is stopped.
    Impatient,
    /// The caller's signal arrived.
    Interrupted(S),
    /// The file system does not support such locks.
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
    /// The flights whose locks are in this user's own directory `own`; without one, every join is
    /// [`Flight::Unsupported`]. The file is created by the first [`Flights::join`].
    pub fn new(own: Option<&Path>) -> Self {
        Self {
            own: own.map(Path::to_owned),
        }
    }

    /// Takes the lead for `key`, or waits until the leader is done. While waiting, calls `interrupted` at
    /// least every 20 ms, and stops when that returns a signal.
    ///
    /// Threads of one process exclude each other like processes. A leader must not join another
    /// flight in the same thread: two leaders could wait for each other until the deadline.
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

/// The lead for one key, given up on drop.
#[derive(Debug)]
pub struct LeadGuard {
    file: LockFile,
    offset: i64,
}

impl Drop for LeadGuard {
    fn drop(&mut self) {
        // If this fails, closing the file releases the lock.
        let _ = self.file.unlock(self.offset);
    }
}

/// Waits until the lock is free, without taking it, so that all waiters can look for the result in parallel.
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
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
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
        sleep(pause.min(remaining));
    }
    Ok(Flight::Followed)
}

/// The byte of the lock file for a key: the first 62 bits of the key's SHA-256, as file offsets have 63. Keys
/// with the same offset merely wait for each other.
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
