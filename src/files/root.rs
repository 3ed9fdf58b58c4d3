//! The root of a store, opened once for all that looks there: a path costs more to follow than a descriptor.

use super::{Directory, is_missing};
use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The root of a store as readers use it.
#[derive(Debug)]
pub struct Root {
    pub path: PathBuf,
    held: Option<Directory>,
}

impl Root {
    /// The root at `path`, which was opened as `held` if it was there.
    pub fn new(path: PathBuf, held: Option<Directory>) -> Self {
        Self { path, held }
    }

    /// The root at `path`, opened anew for each file.
    pub fn at(path: &Path) -> Self {
        Self::new(path.into(), None)
    }

    /// The root as it was opened first, even where another directory has come to its place since.
    pub fn held(&self) -> Option<&Directory> {
        self.held.as_ref()
    }

    /// Opens the directory that has the root's place now.
    ///
    /// # Errors
    /// There is none.
    pub fn reopen(&self) -> io::Result<Directory> {
        Directory::root(&self.path)
    }

    /// Opens a file for reading. `None` = busy, on systems that know that.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub fn open(&self, path: &str) -> io::Result<Option<File>> {
        self.look(|root| root.open(path))
    }

    /// [`Directory::open_regular`].
    ///
    /// # Errors
    /// As there.
    pub fn open_regular(&self, path: &str, access: OFlags) -> io::Result<File> {
        self.look(|root| root.open_regular(path, access))
    }

    /// [`Directory::open_own`].
    ///
    /// # Errors
    /// As there.
    pub fn open_own(&self, path: &str, access: OFlags) -> io::Result<File> {
        self.look(|root| root.open_own(path, access))
    }

    fn look<T>(&self, open: impl Fn(&Directory) -> io::Result<T>) -> io::Result<T> {
        if let Some(held) = &self.held {
            match open(held) {
                // Another directory may have come to its place since.
                Err(error) if is_missing(&error) => {}
                opened => return opened,
            }
        }
        open(&self.reopen()?)
    }
}
