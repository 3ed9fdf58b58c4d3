//! This user's own files that belong to a cache, because they are believed unseen or steer what the program does:
//! locks, journal, digests of headers, toolchains, plans, and the key of a cache that has none. They lie in the
//! cache itself if no other user can write there. Otherwise they lie elsewhere: who can write in a directory can
//! move files in it, and a file of this user's with content that another has chosen, such as a stored message,
//! would pass for any other one of this user's.

use super::open::{Opening, make};
use super::{FileStore, StoreError, file::Access};
use crate::files::{Directory, Rights, Root, is_missing};
use rustix::fs::{Access as Wanted, access};
use sha2::{Digest, Sha256};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// The directory of this user's own files that belong to one cache.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) root: Arc<Root>,
    /// Whether they may be changed.
    pub(super) access: Access,
}

/// The directory of this user's own files for the cache in `root`, which has the rights `rights` and is open as
/// `access` says; below `private` if others can write in the cache. `None` if there is none, or if it is not this
/// user's alone.
pub(super) fn open(
    root: &Arc<Root>,
    rights: Rights,
    private: Option<(&Path, Access)>,
    access: Access,
) -> Option<Own> {
    if rights.is_own() {
        let root = Arc::clone(root);
        return Some(Own { root, access });
    }
    let (private, access) =
        private.filter(|(private, _)| matches!(Privacy::of(private), Privacy::Private))?;
    // A directory for each cache, so that none evicts what another one needs.
    let digest = Sha256::digest(root.path.as_os_str().as_bytes());
    let path = private.join(hex::encode(&digest[..8]));
    let held = match access {
        Access::ReadWrite => make(&path).ok()?,
        Access::ReadOnly => Directory::root(&path).ok()?,
    };
    let is_own = held.rights().is_ok_and(Rights::is_own);
    let root = Arc::new(Root::new(path, Some(held)));
    is_own.then_some(Own { root, access })
}

/// Whether this user can have files in `private` that no other user can change.
#[derive(Debug)]
pub enum Privacy {
    /// Yes; or a compile can make the directory so.
    Private,
    /// Others can write there, or own it, and could move another directory of this user's to the place of one of
    /// these.
    OfOthers(Rights),
    /// It cannot be opened or made.
    Unusable(io::Error),
}

impl Privacy {
    /// That of the directory `private`.
    pub fn of(private: &Path) -> Self {
        if !private.is_absolute() {
            return Self::Unusable(io::ErrorKind::NotFound.into());
        }
        match Directory::root(private).and_then(|directory| directory.rights()) {
            Ok(rights) if rights.is_own() => Self::Private,
            Ok(rights) => Self::OfOthers(rights),
            Err(error) if is_missing(&error) => Self::Private,
            Err(error) => Self::Unusable(error),
        }
    }

    /// The same for a report: also whether a compile can make the directory where it is missing.
    pub fn examined(private: &Path) -> Self {
        let existing = private.ancestors().find(|place| place.exists());
        let may_make = existing.map(|place| access(place, Wanted::WRITE_OK | Wanted::EXEC_OK));
        match (Self::of(private), may_make) {
            (Self::Private, Some(Err(error))) => Self::Unusable(error.into()),
            (found, _) => found,
        }
    }
}

impl FileStore {
    /// Where this user's own files are that belong to this cache; `None` if there is no place that no other user
    /// can write in.
    pub fn own_dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.root.path.as_path())
    }

    /// [`FileStore::own_dir`], opened.
    pub fn own_root(&self) -> Option<&Arc<Root>> {
        self.own.as_ref().map(|own| &own.root)
    }

    /// Whether what is in [`FileStore::own_dir`] may be changed.
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

    /// The store of this user's own records: this one, or the one apart.
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

    /// Stores a record that steers what the program does, for this user alone.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_order(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.own_records()
            .map_or(Ok(()), |own| own.seal_order(key, value))
    }
}
