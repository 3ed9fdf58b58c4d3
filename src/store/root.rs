//! The directory of a store: found, made, and looked at for what does not belong there.

use super::error::StoreError;
use crate::files::{Directory, is_directory, is_missing};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The store outlives a change of the working directory.
pub(super) fn absolute(root: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(root).map_err(StoreError::io("find", root))
}

/// The root, made where it is missing.
pub(super) fn make(root: &Path) -> Result<Directory, StoreError> {
    let opened = match Directory::root(root) {
        Err(error) if is_missing(&error) => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(root);
            made.and_then(|()| Directory::root(root))
        }
        opened => opened,
    };
    opened.map_err(StoreError::io("make directory", root))
}

/// Something else in the place of a directory. A symlink, too, is refused: it would lead the counters
/// elsewhere, and everything else finds nothing behind it.
pub(super) fn refuse_strangers(root: &Path) -> Result<(), StoreError> {
    for name in ["entries", "manifests", "manifests/results", "tmp"] {
        let path = root.join(name);
        let found: io::Result<Option<bool>> = is_directory(&path);
        if found.map_err(StoreError::io("examine", &path))? == Some(false) {
            return Err(StoreError::NotADirectory { path });
        }
    }
    Ok(())
}
