//! Files that are one user's own. Another user's file in the place counts as none.

use super::{Directory, Rights, RightsKind, is_strange, is_symlink, strange};
use rustix::fs::OFlags;
use rustix::process::geteuid;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind};

impl Rights {
    /// Whether what has these rights is this process's user's own: no other user but root may have written it.
    pub fn is_own(self) -> bool {
        let is_ours = self.owner() == geteuid().as_raw() || self.owner() == 0;
        is_ours && !self.is_written_by_others()
    }
}

impl Directory {
    /// Opens the file `name` below this directory, if it is this user's own.
    ///
    /// # Errors
    /// There is none. It is another user's, or not a regular file: that is [`ErrorKind::InvalidData`].
    pub fn open_own(&self, name: &str, access: OFlags) -> io::Result<File> {
        let (file, rights) = self.open_examined(name, access)?;
        if rights.is_own() {
            Ok(file)
        } else {
            Err(strange("another user may have written it; remove it"))
        }
    }

    /// Opens this user's own file, or makes one with the rights that the `root` of the cache asks for if there is none or
    /// something else is in its place.
    pub fn make_own(&self, name: &str, access: OFlags, root: Rights) -> io::Result<File> {
        match self.open_own(name, access) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if is_strange(&error) || is_symlink(&error) => {
                self.remove(&CString::new(name)?)?;
            }
            // Anything else says nothing of whose it is.
            Err(error) => return Err(error),
        }
        match self.create(name, root, RightsKind::Owned) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => drop(made?),
        }
        self.open_own(name, access)
    }
}
