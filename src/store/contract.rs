//! The implementation of [`Backend`] for the store in a directory.

use super::backend::{Backend, Cleared, Entry, Info, Name};
use super::error::StoreError;
use super::file::FileStore;
use crate::stats::Counter;
use std::sync::atomic::Ordering;

impl Backend for FileStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(key)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.put(key, value)
    }

    fn remove(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.remove(key)
    }

    fn len(&self) -> Result<u64, StoreError> {
        self.len()
    }

    fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        self.entries()
    }

    fn clear(&self) -> Result<Cleared, StoreError> {
        self.clear()
    }

    fn expire(&self) -> Result<Vec<Entry>, StoreError> {
        self.expire()
    }

    fn info(&self) -> Result<Info, StoreError> {
        Ok(Info {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.bytes()?,
            max_bytes: self.max_bytes,
        })
    }

    fn get_or_insert_with<E>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        match self.get(key) {
            Ok(Some(value)) => Ok(value),
            _ => {
                let name = Name::of(key);
                self.turns.take(name, || self.get_or_make(key, make))
            }
        }
    }
}

impl FileStore {
    /// The part of [`Backend::get_or_insert_with`] that one thread at a time runs for a key.
    fn get_or_make<E>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        // Another thread or process may have stored it while this one waited. The lookup is counted already.
        if let Ok(Some(value)) = self.unverified(key) {
            return Ok(value);
        }
        let value = make()?;
        if self.put(key, &value).is_err() {
            self.stats.add(Counter::Error, 1);
        }
        Ok(value)
    }
}
