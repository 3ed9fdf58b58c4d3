//! What every store of values can do, wherever it keeps them: one directory for many processes
//! ([`super::FileStore`]), or the memory of one.

use super::StoreError;
use super::policy::Nanos;
use sha2::{Digest, Sha256};
use std::fmt;

/// The name of an entry: SHA-256 of its key's bytes. Keys themselves are not kept on the disk, so
/// that listings show names, which anyone who has a key can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub [u8; 32]);

impl Name {
    /// The name of the entry under `key`.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// As the path below `entries/`: `ab/cdef…`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let (shard, rest) = digits.split_at(2);
        write!(f, "{shard}/{rest}")
    }
}

/// One entry as it was when listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub name: Name,
    /// Bytes of the value.
    pub size: u64,
    /// Last read, or written if it never was.
    pub read: Nanos,
    /// Last written.
    pub written: Nanos,
}

/// How a store does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Lookups through this handle that found something, since it was opened.
    pub hits: u64,
    /// Lookups through this handle that found nothing, since it was opened.
    pub misses: u64,
    /// What is held, in bytes. A shared store counts those of all users, and what else takes room in it.
    pub bytes: u64,
    /// What may be held, in bytes.
    pub max_bytes: u64,
}

/// What [`Backend::clear`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Values; in a directory, artefacts and records.
    pub files: u64,
    /// Their bytes, and those of stale temporary files.
    pub bytes: u64,
}

impl Cleared {
    /// Counts a file of `bytes` if it was `removed`.
    pub(super) fn add(
        &mut self,
        removed: Result<bool, StoreError>,
        bytes: u64,
    ) -> Result<(), StoreError> {
        if removed? {
            self.files += 1;
            self.bytes += bytes;
        }
        Ok(())
    }
}

/// Values of bytes under keys of bytes, up to a size in bytes. Every method may be called from many
/// threads at once. A missing key is `None`, never an error; a store that may hold nothing cannot be
/// opened ([`StoreError::NoRoom`]). There is no `contains`: between its answer and a `get`, the entry
/// can go.
pub trait Backend: Send + Sync {
    /// The value under `key`. Marks it as used, and counts a hit or a miss.
    ///
    /// # Errors
    /// There is a value, and it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores `value` under `key`, in the place of what was there, and evicts what is too much then. In
    /// a shared directory that can be the value itself, as others write at the same time.
    ///
    /// # Errors
    /// The value is larger than the store, which leaves everything as it is; or it cannot be written.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Removes the value of `key`; whether there was one.
    ///
    /// # Errors
    /// There is a value, and it cannot be removed.
    fn remove(&self, key: &[u8]) -> Result<bool, StoreError>;

    /// The number of values that have not expired.
    ///
    /// # Errors
    /// The store cannot be listed.
    fn len(&self) -> Result<u64, StoreError>;

    /// Whether [`Backend::len`] is 0.
    ///
    /// # Errors
    /// The store cannot be listed.
    fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// Every value that has not expired, in no particular order, as it was during the call. Marks
    /// nothing as used.
    ///
    /// # Errors
    /// The store cannot be listed.
    fn entries(&self) -> Result<Vec<Entry>, StoreError>;

    /// Removes everything. What others write meanwhile may stay.
    ///
    /// # Errors
    /// The first value that cannot be removed, after all others have been tried.
    fn clear(&self) -> Result<Cleared, StoreError>;

    /// Removes what has expired, first expired first, and says what that was. Nothing under policies
    /// that know no expiry.
    ///
    /// # Errors
    /// The first value that cannot be removed, after all others have been tried.
    fn expire(&self) -> Result<Vec<Entry>, StoreError>;

    /// Counts and sizes.
    ///
    /// # Errors
    /// The store cannot be listed.
    fn info(&self) -> Result<Info, StoreError>;

    /// The value under `key`; where there is none, what `make` gives, which is stored. Of several
    /// callers in one process that want the same key at once, one runs `make` and the others wait for
    /// what it stores; where it fails or panics, the next one runs its own. Trouble with the store is
    /// none of the caller's: what cannot be read is made, and what cannot be stored is given all the
    /// same. Each call counts one lookup; whether it counts for one who has waited as a hit is the
    /// store's affair.
    ///
    /// # Errors
    /// Those of `make`, and no others.
    fn get_or_insert_with<E>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E>
    where
        Self: Sized;
}
