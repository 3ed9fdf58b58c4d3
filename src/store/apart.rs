//! Access to this user's own files and records of a cache: in the cache itself, or in a separate store.
//! [`own`](super::own) decides which.

use super::error::StoreError;
use super::file::FileStore;
use super::kind::Access;
use super::open::Opening;
use crate::files::Root;
use std::path::Path;
use std::sync::Arc;

impl FileStore {
    /// The directory of this user's own files for this cache; `None` if there is no directory in which only this user
    /// can write.
    pub fn own_dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.root.path.as_path())
    }

    /// The open directory of [`FileStore::own_dir`].
    pub fn own_root(&self) -> Option<&Arc<Root>> {
        self.own.as_ref().map(|own| &own.root)
    }

    /// Whether the files in [`FileStore::own_dir`] may be changed.
    pub fn may_change_own(&self) -> bool {
        self.own
            .as_ref()
            .is_some_and(|own| own.access == Access::ReadWrite)
    }

    /// The store of this user's own records, if they are not in this one.
    pub fn apart(&self) -> Option<&Self> {
        let own = self.own.as_ref()?;
        if Arc::ptr_eq(&own.root, &self.opened) {
            return None;
        }
        let open = || {
            let opening = Opening::new(self.max_bytes, own.access);
            let opened = Self::open_as(&own.root.path, &opening);
            opened.ok().map(Box::new)
        };
        self.apart.get_or_init(open).as_deref()
    }

    /// The store of this user's own records: this one, or the separate one.
    pub(super) fn own_records(&self) -> Option<&Self> {
        match &self.own {
            Some(own) if Arc::ptr_eq(&own.root, &self.opened) => Some(self),
            _ => self.apart(),
        }
    }

    /// The record under `key` that steers what the program does, or `None`.
    ///
    /// # Errors
    /// As for [`FileStore::get_record`].
    pub fn get_order(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.own_records().map_or(Ok(None), |own| own.order(key))
    }

    /// Stores a record that steers what the program does. Only this user reads it.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_order(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.own_records()
            .map_or(Ok(()), |own| own.seal_order(key, value))
    }
}
