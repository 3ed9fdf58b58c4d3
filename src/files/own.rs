//! Files of a cache that are one user's own, because what they hold is believed unseen or steers what the
//! program does: what a plan says, which tools there are, who waits for whom. Where several users share a
//! cache, each has such files under a name of its own, and another user's file in the place counts as none.

use super::{Directory, Kind, Rights, is_strange, is_symlink, strange};
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

    /// The name of this user's own `name` in the cache whose root has these rights: it has the user's number
    /// in it unless the cache is this user's alone.
    pub fn own_name(self, name: &str) -> String {
        let user = geteuid().as_raw();
        match self.owner() == user && !self.is_written_by_others() {
            true => name.to_owned(),
            false => format!("{name}-{user}"),
        }
    }
}

impl Directory {
    /// Opens the file `name` below this directory, if it is this user's own.
    ///
    /// # Errors
    /// There is none. It is another user's, or not a regular file: that is [`ErrorKind::InvalidData`].
    pub fn open_own(&self, name: &str, access: OFlags) -> io::Result<File> {
        let (file, rights) = self.open_examined(name, access)?;
        match rights.is_own() {
            true => Ok(file),
            false => Err(strange("another user may have written it; remove it")),
        }
    }

    /// The same, made in the cache whose root has the rights `root` where it is missing, in the place of another user's file or of what is no file.
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
        match self.create(name, root, Kind::Own) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => drop(made?),
        }
        self.open_own(name, access)
    }
}
