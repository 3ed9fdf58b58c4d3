//! Opens a store: creates or examines its directory, and decides which records are believed.

use super::error::StoreError;
use super::file::FileStore;
use super::key_locks::KeyLocks;
use super::kind::Access;
use super::own;
use super::policy::Policy;
use super::queued::QueuedNames;
use super::root::{absolute, make, refuse_strangers};
use super::trust::Credentials;
use crate::config::{Compression, Config};
use crate::files::{Directory, Root, Trust, seconds};
use crate::stats::{Counter, Stats};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// How often a process that opens the store sweeps temporary files of dead writers: once an hour, for all
/// processes together, so that a hit does not pay for a listing.
const SWEEP_SECONDS: u64 = 3600;

/// How a store is opened.
pub(super) struct Opening<'a> {
    max_bytes: u64,
    access: Access,
    trust: Trust,
    /// The file of the signing key, if one is configured.
    key: Option<&'a Path>,
    /// The directory of this user's own files if others can write in the cache, and whether they may be changed.
    private: Option<(&'a Path, Access)>,
}

impl Opening<'_> {
    /// Without a key and without a private directory.
    pub(super) fn new(max_bytes: u64, access: Access) -> Self {
        Self {
            max_bytes,
            access,
            trust: Trust::default(),
            key: None,
            private: None,
        }
    }
}

impl FileStore {
    /// Opens the store that the settings name.
    ///
    /// # Errors
    /// As for [`FileStore::open`]; a key that cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, StoreError> {
        let access = if config.readonly.value {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        };
        // The setting `readonly` is about the cache; own files in the private directory stay writable.
        Self::with_settings(config, access, Access::ReadWrite)
    }

    /// Opens the store that the settings name, for reading only.
    ///
    /// # Errors
    /// As for [`FileStore::from_config`].
    pub fn reading(config: &Config) -> Result<Self, StoreError> {
        Self::with_settings(config, Access::ReadOnly, Access::ReadOnly)
    }

    fn with_settings(config: &Config, access: Access, apart: Access) -> Result<Self, StoreError> {
        let opening = Opening {
            trust: config.trust.value,
            key: config.key.value.as_deref(),
            private: Some((&config.private_dir.value, apart)),
            ..Opening::new(config.max_size.value.bytes(), access)
        };
        let store = Self::open_as(&config.dir.value, &opening)?;
        Ok(store
            .with_policy(config.policy.value.into())
            .with_max_files(config.max_files.value.files())
            .with_compression(config.compress.value))
    }

    /// Opens the store in `root`, creating the directory (mode 0700) if it is missing. It holds at
    /// most about `max_bytes` bytes: a put may exceed them until its eviction is done.
    ///
    /// # Errors
    /// `max_bytes` is zero; the root cannot be created; this process is root's and the root belongs to another
    /// user; something other than a directory has the name of one of the store's own directories.
    pub fn open(root: &Path, max_bytes: u64) -> Result<Self, StoreError> {
        Self::open_as(root, &Opening::new(max_bytes, Access::ReadWrite))
    }

    /// Opens the store in `root` for reading. Puts, removals and clearing do nothing, and reads mark
    /// nothing as used. Counters still count if they can be written. A root that does not exist is an empty
    /// store.
    ///
    /// # Errors
    /// As for [`FileStore::open`], apart from creating the root.
    pub fn open_read_only(root: &Path, max_bytes: u64) -> Result<Self, StoreError> {
        Self::open_as(root, &Opening::new(max_bytes, Access::ReadOnly))
    }

    pub(super) fn open_as(root: &Path, opening: &Opening<'_>) -> Result<Self, StoreError> {
        let (max_bytes, access) = (opening.max_bytes, opening.access);
        refuse_no_room(max_bytes)?;
        let path = absolute(root)?;
        let directory = match access {
            Access::ReadWrite => Some(make(&path)?),
            Access::ReadOnly => Directory::root(&path).ok(),
        };
        let opened = Arc::new(Root::new(path.clone(), directory));
        let rights = opened.held().map(Directory::rights).transpose();
        let rights = rights.map_err(StoreError::io("examine", &path))?;
        // Own files come before credentials: a user's own key is one of them.
        let own = rights.and_then(|rights| own::open(&opened, rights, opening.private, access));
        let credentials =
            Credentials::open(&opened, rights, opening.trust, opening.key, own.as_ref())?;
        // If there are counters, the process that created them has checked the directories. Links that were put
        // there later are not followed.
        let existing = Stats::open_existing_in(&opened);
        let stats = match (access, existing.is_shared()) {
            (Access::ReadWrite, true) => existing.making_pages(),
            (Access::ReadWrite, false) => {
                refuse_strangers(&path)?;
                Stats::open_in(&opened)
            }
            (Access::ReadOnly, _) => {
                refuse_strangers(&path)?;
                existing
            }
        };
        let store = Self {
            max_bytes,
            max_files: u64::MAX,
            policy: Policy::default(),
            compression: Compression::DEFAULT,
            access,
            credentials,
            opened,
            own,
            apart: OnceLock::new(),
            root: path,
            stats,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            turns: KeyLocks::default(),
            queued: QueuedNames::default(),
        };
        // A failed sweep costs room until the next one.
        if access == Access::ReadWrite
            && store.stats.is_time_to_sweep(seconds(), SWEEP_SECONDS)
            && store.sweep().is_err()
        {
            store.stats.add(Counter::Error, 1);
        }
        Ok(store)
    }
}

fn refuse_no_room(max_bytes: u64) -> Result<(), StoreError> {
    match max_bytes {
        0 => Err(StoreError::NoRoom),
        _ => Ok(()),
    }
}
