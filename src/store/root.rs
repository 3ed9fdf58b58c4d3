//! The root directory of a store: finds it, creates it, and checks that its subdirectories are directories.

use super::error::StoreError;
use super::kind::Tree;
use crate::files::{Directory, is_directory, is_missing};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Makes `root` absolute, because the store outlives a change of the working directory.
pub(super) fn absolute(root: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(root).map_err(StoreError::io("find", root))
}

/// Opens the root, and creates it (mode 0700) if it is missing.
pub(super) fn make(root: &Path) -> Result<Directory, StoreError> {
    let opened = match Directory::root(root) {
        Err(error) if is_missing(&error) => {
            let created = DirBuilder::new().recursive(true).mode(0o700).create(root);
            created.and_then(|()| Directory::root(root))
        }
        opened => opened,
    };
    opened.map_err(StoreError::io("make directory", root))
}

/// Fails if something other than a directory has the name of a store directory. A symlink is refused too: the
/// counters would follow it to another place, and everything else does not follow links and finds nothing.
pub(super) fn refuse_strangers(root: &Path) -> Result<(), StoreError> {
    let parents = ["manifests", "intermediates", "tmp"];
    let trees = Tree::ALL.map(Tree::path);
    for name in parents.into_iter().chain(trees) {
        let path = root.join(name);
        let is_directory: io::Result<Option<bool>> = is_directory(&path);
        if is_directory.map_err(StoreError::io("examine", &path))? == Some(false) {
            return Err(StoreError::NotADirectory { path });
        }
    }
    Ok(())
}
