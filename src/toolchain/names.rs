//! Programs along a search path such as PATH: where they are found, and whether they still would be.

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

/// The file that a shell would run for `program`: a path as it is, a bare name through `path`.
/// Links are not resolved, since compiler drivers look at the name they were started by.
pub fn look_up(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    SearchPath::new(path).find(name, |path| program(path).is_some())
}

/// A program that was found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FoundName {
    #[serde(with = "text")]
    pub(super) name: OsString,
    /// Where it was found.
    pub(super) place: PathBuf,
    /// The file there, with links resolved.
    pub(super) real: PathBuf,
}

/// The directories of a search path.
pub(super) struct SearchPath(Vec<PathBuf>);

impl SearchPath {
    pub(super) fn new(path: &OsStr) -> Self {
        let mut distinct: Vec<PathBuf> = Vec::new();
        for directory in std::env::split_paths(path) {
            // One that comes again has nothing that it had not before.
            if !distinct.contains(&directory) {
                distinct.push(directory);
            }
        }
        Self(distinct)
    }

    /// The first place for `name` that `is_it`. A name with a slash is a place.
    pub(super) fn find(&self, name: &OsStr, is_it: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let here = name.as_bytes().contains(&b'/').then(|| PathBuf::from(name));
        let along = self.0.iter().map(|directory| directory.join(name));
        match here {
            Some(place) => Some(place).filter(|place| is_it(place)),
            None => along.into_iter().find(|place| is_it(place)),
        }
    }

    /// Whether, for all that the directories hold, no name has anything before its place: one look
    /// at each directory. `false` where that is not for certain.
    pub(super) fn is_undisturbed(&self, found: &[FoundName], table: &DigestTable) -> bool {
        let started = CoarseTime::now();
        let mut later: Vec<&FoundName> = found.iter().collect();
        later.retain(|found| !found.name.as_bytes().contains(&b'/'));
        for directory in &self.0 {
            later.retain(|found| found.place != directory.join(&found.name));
            if later.is_empty() {
                return true;
            }
            let names = later
                .iter()
                .flat_map(|found| [found.name.as_bytes(), b"\0"]);
            let names = names.collect::<Vec<_>>().concat();
            // An empty name stands for the working directory.
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

/// Finds programs, and remembers where.
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
