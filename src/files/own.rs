//! Files of a cache that are one user's own, because what they hold is believed unseen or steers what the
//! program does: what a plan says, which tools there are, who waits for whom. Where several users share a
//! cache, each has such files under a name of its own, and another user's file in the place counts as none.

use super::{Directory, Kind, Rights, strange};
use rustix::fs::OFlags;
use rustix::process::geteuid;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind};

impl Rights {
    /// Whether what has these rights, in the cache whose root has those of `root`, is this process's user's
    /// own: no other user but root may have written it. What root makes in another user's cache is that user's.
    pub fn is_own(self, root: Self) -> bool {
        let user = geteuid().as_raw();
        let is_ours = self.owner() == user || self.owner() == 0;
        let is_given = user == 0 && self.owner() == root.owner();
        (is_ours || is_given) && !self.is_written_by_others()
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
    /// Opens the file `name` below this directory, if it is this user's own in the cache whose root has the rights
    /// `root`.
    ///
    /// # Errors
    /// There is none. It is another user's, or not a regular file: that is [`ErrorKind::InvalidData`].
    pub fn open_own(&self, name: &str, access: OFlags, root: Rights) -> io::Result<File> {
        let file = self.open_regular(name, access)?;
        match Rights::from(&rustix::fs::fstat(&file)?).is_own(root) {
            true => Ok(file),
            false => Err(strange("another user may have written it; remove it")),
        }
    }

    /// The same, made where it is missing, in the place of another user's file or of what is no file.
    pub fn make_own(&self, name: &str, access: OFlags, root: Rights) -> io::Result<File> {
        match self.open_own(name, access, root) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => drop(self.remove(&CString::new(name)?)?),
        }
        match self.create(name, root, Kind::Owned) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => drop(made?),
        }
        self.open_own(name, access, root)
    }
}
