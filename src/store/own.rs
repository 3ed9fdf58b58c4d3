//! Finds the directory of this user's own files for a cache. Own files are believed without a check or steer what the
//! program does: locks, journal, digests of headers, toolchains, plans, and this user's key if the cache has none.
//! They lie in the cache itself if no other user can write there, otherwise in a private directory. The reason: a user
//! who can write in a directory can rename files in it, and could put a file that this user owns but whose content
//! another user chose, such as a stored message, in the place of an own file.

use super::kind::Access;
use super::root::make;
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

/// Opens the directory of this user's own files for the cache in `root`, which has the rights `rights` and is opened
/// with `access`. If others can write in the cache, it is a directory below `private`. `None` if it cannot be opened
/// or if others can write in it.
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
    // One directory per cache, so that no cache evicts records that another needs.
    let digest = Sha256::digest(root.path.as_os_str().as_bytes());
    let path = private.join(hex::encode(&digest[..8]));
    let directory = match access {
        Access::ReadWrite => make(&path).ok()?,
        Access::ReadOnly => Directory::root(&path).ok()?,
    };
    let is_own = directory.rights().is_ok_and(Rights::is_own);
    let root = Arc::new(Root::new(path, Some(directory)));
    is_own.then_some(Own { root, access })
}

/// Whether this user can have files in `private` that no other user can change.
#[derive(Debug)]
pub enum Privacy {
    /// Yes, or the directory is missing and a compile can create it.
    Private,
    /// Others can write there or own it. They could put another directory of this user's in the place of an own
    /// directory.
    OfOthers(Rights),
    /// It cannot be opened or created.
    Unusable(io::Error),
}

impl Privacy {
    /// Examines the directory `private`; a missing one counts as private.
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

    /// Examines the directory for a report, and checks also that a compile can write in it or create it.
    pub fn examined(private: &Path) -> Self {
        let existing = private.ancestors().find(|ancestor| ancestor.exists());
        let may_write =
            existing.map(|ancestor| access(ancestor, Wanted::WRITE_OK | Wanted::EXEC_OK));
        match (Self::of(private), may_write) {
            (Self::Private, Some(Err(error))) => Self::Unusable(error.into()),
            (privacy, _) => privacy,
        }
    }
}
