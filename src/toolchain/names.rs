//! Finds programs along a search path such as PATH, and checks later that they would be found in the same place.

use super::error::ToolchainError;
use super::find::program;
use super::tools::canonical;
use crate::includes::digests::{DigestTable, Sighting};
use crate::stat::CoarseTime;
use crate::text;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The file that a shell would run for `name`: a name with a slash as it is, a bare name through `path`.
/// Links are not resolved, because compiler drivers look at the name by which they were started.
pub fn look_up(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    SearchPath::new(path).find(name, |path| program(path).is_some())
}

/// A program that was found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FoundName {
    #[serde(with = "text")]
    pub(super) name: OsString,
    /// The path at which it was found.
    pub(super) place: PathBuf,
    /// That path with links resolved.
    pub(super) real: PathBuf,
}

/// The directories of a search path.
pub(super) struct SearchPath(Vec<PathBuf>);

impl SearchPath {
    pub(super) fn new(path: &OsStr) -> Self {
        let mut distinct: Vec<PathBuf> = Vec::new();
        for directory in std::env::split_paths(path) {
            // A repeated directory cannot change the result.
            if !distinct.contains(&directory) {
                distinct.push(directory);
            }
        }
        Self(distinct)
    }

    /// The first path for `name` that is a program. A name with a slash is a path itself.
    pub(super) fn find(&self, name: &OsStr, is_program: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        if name.as_bytes().contains(&b'/') {
            return Some(PathBuf::from(name)).filter(|path| is_program(path));
        }
        let mut candidates = self.0.iter().map(|directory| directory.join(name));
        candidates.find(|path| is_program(path))
    }

    /// Whether no directory has a file of a program's name before the place where the program was found. Needs one
    /// look at each directory if it has not changed. `false` if it is not certain.
    pub(super) fn is_undisturbed(&self, found: &[FoundName], table: &DigestTable) -> bool {
        let started = CoarseTime::now();
        // The programs whose place comes after the current directory.
        let mut later: Vec<&FoundName> = found.iter().collect();
        later.retain(|program| !program.name.as_bytes().contains(&b'/'));
        for directory in &self.0 {
            later.retain(|program| program.place != directory.join(&program.name));
            if later.is_empty() {
                return true;
            }
            let names = later
                .iter()
                .flat_map(|program| [program.name.as_bytes(), b"\0"]);
            let names = names.collect::<Vec<_>>().concat();
            // An empty entry means the working directory.
            let directory = if directory.as_os_str().is_empty() {
                Path::new(".")
            } else {
                directory
            };
            let lacks = match Sighting::at(directory) {
                Ok(seen) => table.lacks_all(directory, &seen, &names, started),
                Err(error) => error.kind() == ErrorKind::NotFound,
            };
            if !lacks {
                return false;
            }
        }
        false
    }
}

/// Finds programs, and records where it found them.
pub(super) struct FoundNames {
    search: OsString,
    pub(super) found: Vec<FoundName>,
}

impl FoundNames {
    pub(super) fn along(search: &OsStr) -> Self {
        Self {
            search: search.to_owned(),
            found: Vec::new(),
        }
    }

    pub(super) fn find(&mut self, name: &OsStr) -> Result<PathBuf, ToolchainError> {
        let place = look_up(name, &self.search).ok_or_else(|| ToolchainError::Missing {
            name: name.to_owned(),
        })?;
        self.found.push(FoundName {
            name: name.to_owned(),
            place: place.clone(),
            real: canonical(&place)?,
        });
        Ok(place)
    }
}
