//! Opens files that are this user's own. A file of the same name that another user may have written is not accepted.

use super::{Directory, Rights, RightsKind, is_strange, is_symlink, strange};
use rustix::fs::OFlags;
use rustix::process::geteuid;
use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory that only this user can enter, and those above it.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

impl Rights {
    /// Whether a file with these rights is this user's own: no other user except root may have written it.
    pub fn is_own(self) -> bool {
        let is_ours = self.owner() == geteuid().as_raw() || self.owner() == 0;
        is_ours && !self.is_written_by_others()
    }
}

impl Directory {
    /// Opens the file `name` below this directory, if it is this user's own.
    ///
    /// # Errors
    /// It does not exist. If it is another user's or not a regular file, the error is [`ErrorKind::InvalidData`].
    pub fn open_own(&self, name: &str, access: OFlags) -> io::Result<File> {
        let (file, rights) = self.open_examined(name, access)?;
        if rights.is_own() {
            Ok(file)
        } else {
            Err(strange("another user may have written it; remove it"))
        }
    }

    /// Opens this user's own file `name`. If it does not exist or is something else, creates it with the rights for the
    /// cache's `root`.
    pub fn make_own(&self, name: &str, access: OFlags, root: Rights) -> io::Result<File> {
        match self.open_own(name, access) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if is_strange(&error) || is_symlink(&error) => {
                self.remove(&CString::new(name)?)?;
            }
            // Other errors do not show that the file is another user's, so it is not removed.
            Err(error) => return Err(error),
        }
        match self.create(name, root, RightsKind::Owned) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => drop(created?),
        }
        self.open_own(name, access)
    }
}
