//! Errors of the store itself. A missing key is not an error.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the store. The compile goes on without the cache.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {operation} {path:?}: {error}{}", hint(.error))]
    Io {
        /// The operation that failed, as a verb.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// Something other than a directory, such as a symlink, has the name of a store directory.
    #[error("{path:?} is not a directory; remove it, or name another place with PCACHE_DIR")]
    NotADirectory {
        /// The path that is not a directory.
        path: PathBuf,
    },
    /// The cache belongs to another user, and this process runs as root.
    #[error(
        "{path:?} belongs to user {owner}; set PCACHE_TRUST=owner to use it as root, or name another place with PCACHE_DIR"
    )]
    OfAnother {
        /// The cache.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// The file that the setting `key` names cannot be used.
    #[error("cannot use the key {path:?}: {why}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and how to correct it.
        why: String,
    },
    /// Others can write in the cache, and this user has no key to sign results with.
    #[error(
        "others can write in {path:?}, and there is no place for a key of yours; set PCACHE_PRIVATE_DIR to a directory in which only you can write"
    )]
    NoKey {
        /// The cache.
        path: PathBuf,
    },
    /// The store was opened for reading.
    #[error("{path:?} is open for reading only")]
    ReadOnly {
        /// The cache.
        path: PathBuf,
    },
    /// A maximum size of zero.
    #[error("a store of no size holds nothing; set PCACHE_MAX_SIZE, such as 10G")]
    NoRoom,
    /// One value is larger than the size limit.
    #[error("{size} bytes do not fit into a store of {max_bytes}; raise PCACHE_MAX_SIZE")]
    TooLarge {
        /// Size of the value in bytes, with its header if it has one.
        size: u64,
        /// The size limit in bytes.
        max_bytes: u64,
    },
}

impl StoreError {
    /// For `map_err`: adds operation and path to an I/O error.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io {
            operation,
            path: path.into(),
            error,
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; correct its owner and mode, or set PCACHE_DIR",
        io::ErrorKind::ReadOnlyFilesystem => "; set PCACHE_READONLY, or PCACHE_DIR",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space, or lower PCACHE_MAX_SIZE"
        }
        _ => "",
    }
}
