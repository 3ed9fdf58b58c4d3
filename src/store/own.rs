//! This user's own files that belong to a cache, because they are believed unseen or steer what the program does:
//! locks, journal, digests of headers, toolchains, plans, and the key of a cache that has none. They lie in the
//! cache itself if no other user can write there. Otherwise they lie elsewhere: who can write in a directory can
//! move files in it, and a file of this user's with content that another has chosen, such as a stored message,
//! would pass for any other one of this user's.

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

    /// Examines the directory for a report: also whether a compile can make it if it is missing.
    pub fn examined(private: &Path) -> Self {
        let existing = private.ancestors().find(|place| place.exists());
        let may_make = existing.map(|place| access(place, Wanted::WRITE_OK | Wanted::EXEC_OK));
        match (Self::of(private), may_make) {
            (Self::Private, Some(Err(error))) => Self::Unusable(error.into()),
            (found, _) => found,
        }
    }
}
