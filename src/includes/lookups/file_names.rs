//! The names of the files that clang has read. Clang knows a file by device and inode, however it is named: the name by
//! which it was found first or last is the one that it prints, and the directory of that name is where the file's own
//! includes are looked for first.

use super::reads::NotStored;
use crate::stat::Stat;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The directory of each file that was read, with links resolved, by device and inode.
#[derive(Default)]
pub(super) struct FileNames(HashMap<(u64, u64), PathBuf>);

impl FileNames {
    /// Adds a name of a file that was read.
    ///
    /// # Errors
    /// The file has another name in another directory: the name that clang uses is not known.
    pub(super) fn add(&mut self, path: &Path) -> Result<(), NotStored> {
        if !self.hold(path)? {
            self.0.insert(identity(path)?, directory(path)?);
        }
        Ok(())
    }

    /// Whether the file at `path` was read, by whatever name.
    ///
    /// # Errors
    /// As for [`FileNames::add`].
    pub(super) fn hold(&self, path: &Path) -> Result<bool, NotStored> {
        match self.0.get(&identity(path)?) {
            None => Ok(false),
            Some(known) if *known == directory(path)? => Ok(true),
            Some(_) => Err(format!(
                "{} has another name in another directory",
                path.display()
            )),
        }
    }
}

/// The directory in which the name `path` is, with links resolved.
pub(super) fn directory(path: &Path) -> Result<PathBuf, NotStored> {
    let spelled = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::canonicalize(spelled).map_err(|error| format!("{}: {error}", spelled.display()))
}

fn identity(path: &Path) -> Result<(u64, u64), NotStored> {
    let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Stat::from(&metadata).identity())
}
