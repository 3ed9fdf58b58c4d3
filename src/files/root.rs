//! The root of a store, opened once for all users of it: resolving a path costs more than using a descriptor.

use super::{Directory, is_missing};
use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The path of a store's root and, if it was opened, its directory handle.
#[derive(Debug)]
pub struct Root {
    pub path: PathBuf,
    held: Option<Directory>,
}

impl Root {
    /// The root at `path`, which is open as `held` if it exists.
    pub fn new(path: PathBuf, held: Option<Directory>) -> Self {
        Self { path, held }
    }

    /// The root at `path`, opened again for each file.
    pub fn at(path: &Path) -> Self {
        Self::new(path.into(), None)
    }

    /// The directory as it was opened first, even if another directory is at the path now.
    pub fn held(&self) -> Option<&Directory> {
        self.held.as_ref()
    }

    /// Opens the directory that is at the root's path now.
    ///
    /// # Errors
    /// It does not exist or cannot be opened.
    pub fn reopen(&self) -> io::Result<Directory> {
        Directory::root(&self.path)
    }

    /// Opens a file for reading. `None` = busy, on systems with busy files.
    ///
    /// # Errors
    /// It does not exist or cannot be opened.
    pub fn open(&self, path: &str) -> io::Result<Option<File>> {
        self.look(|root| root.open(path))
    }

    /// Calls [`Directory::open_regular`] for this root.
    ///
    /// # Errors
    /// As there.
    pub fn open_regular(&self, path: &str, access: OFlags) -> io::Result<File> {
        self.look(|root| root.open_regular(path, access))
    }

    /// Calls [`Directory::open_own`] for this root.
    ///
    /// # Errors
    /// As there.
    pub fn open_own(&self, path: &str, access: OFlags) -> io::Result<File> {
        self.look(|root| root.open_own(path, access))
    }

    fn look<T>(&self, open: impl Fn(&Directory) -> io::Result<T>) -> io::Result<T> {
        if let Some(held) = &self.held {
            match open(held) {
                // The file may be in another directory that is at the root's path now.
                Err(error) if is_missing(&error) => {}
                opened => return opened,
            }
        }
        open(&self.reopen()?)
    }
}
