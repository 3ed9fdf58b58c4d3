//! [`Backend`], the interface of every store: a directory shared by many processes
//! ([`super::FileStore`]), or the memory of one process.

use super::StoreError;
use super::policy::Nanos;
use sha2::{Digest, Sha256};
use std::fmt;

/// The name of an entry: SHA-256 of its key's bytes. Keys themselves are not kept on the disk, so
/// listings show names; a name can be computed from the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub [u8; 32]);

impl Name {
    /// The name of the entry under `key`.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// Formats the name as the path below `entries/`: `ab/cdef…`.
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
    /// Its name.
    pub name: Name,
    /// Size of the value in bytes.
    pub size: u64,
    /// Time of the last read, or of the last write if it was never read.
    pub read: Nanos,
    /// Time of the last write.
    pub written: Nanos,
}

/// Lookups and sizes of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Lookups through this handle that found something, since it was opened.
    pub hits: u64,
    /// Lookups through this handle that found nothing, since it was opened.
    pub misses: u64,
    /// Current size in bytes. For a shared store, that of all users' files, records and unfinished files included.
    pub bytes: u64,
    /// Size limit in bytes.
    pub max_bytes: u64,
}

/// What [`Backend::clear`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Number of values; in a directory, of artefacts and records.
    pub files: u64,
    /// Size of the values in bytes, with that of stale temporary files.
    pub bytes: u64,
}

impl Cleared {
    /// Counts a file of `bytes` bytes if it was `removed`.
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

/// A store of byte values under byte keys, limited to a size in bytes. Every method may be called from
/// many threads at once. A missing key is `None`, never an error; a store with a size limit of zero cannot
/// be opened ([`StoreError::NoRoom`]). There is no `contains`: the entry could be removed between its
/// answer and a `get`.
pub trait Backend: Send + Sync {
    /// The value under `key`. Marks it as used, and counts a hit or a miss.
    ///
    /// # Errors
    /// The value exists and cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores `value` under `key`, replacing what was there, and evicts entries if the store is then over its
    /// limit. In a shared directory the victims can include the value itself, as other processes write too.
    ///
    /// # Errors
    /// The value is larger than the store, which leaves everything as it is; or it cannot be written.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Removes the value of `key`. Returns whether there was one.
    ///
    /// # Errors
    /// The value exists and cannot be removed.
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

    /// Lists every value that has not expired, in no particular order, as it was during the call. Marks
    /// nothing as used.
    ///
    /// # Errors
    /// The store cannot be listed.
    fn entries(&self) -> Result<Vec<Entry>, StoreError>;

    /// Removes everything. Values that other threads or processes write meanwhile may stay.
    ///
    /// # Errors
    /// The first value that cannot be removed, after all others have been tried.
    fn clear(&self) -> Result<Cleared, StoreError>;

    /// Removes expired values, first expired first, and returns them. Does nothing under policies without
    /// expiry.
    ///
    /// # Errors
    /// The first value that cannot be removed, after all others have been tried.
    fn expire(&self) -> Result<Vec<Entry>, StoreError>;

    /// Returns lookup counts and sizes.
    ///
    /// # Errors
    /// The store cannot be listed.
    fn info(&self) -> Result<Info, StoreError>;

    /// Returns the value under `key`; if there is none, calls `make`, stores its value and returns it. If
    /// several callers in one process ask for the same key at once, one runs `make` and the others wait for
    /// the value that it stores; if it fails or panics, the next caller runs its own `make`. Errors of the
    /// store do not reach the caller: a value that cannot be read is made again, and a value that cannot be
    /// stored is still returned. Each call counts one lookup; whether a caller that waited counts as a hit
    /// depends on the store.
    ///
    /// # Errors
    /// Only those of `make`.
    fn get_or_insert_with<E>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E>
    where
        Self: Sized;
}
