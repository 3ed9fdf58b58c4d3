//! Places that come earlier in a search than the place where a file was found. They must stay empty, or stay something
//! other than a file, for the search to have the same result again.

use super::tools::SeenTool;
use crate::includes::digests::{DigestTable, Sighting, shows_changes};
use crate::includes::probe::{Probe, Probed};
use crate::stat::CoarseTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Places at which there is no file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct EmptyPlaces {
    /// Names that must stay absent, by the directory, which exists.
    absent: BTreeMap<PathBuf, Vacancies>,
    /// Directories at the path of a file.
    directories: BTreeSet<PathBuf>,
    /// Files at the path of a directory.
    blocking: BTreeSet<PathBuf>,
}

/// Names that are not in a directory.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Vacancies {
    names: BTreeSet<PathBuf>,
    /// The sighting of the directory, if an equal one later proves that it has not changed.
    seen: Option<SeenTool>,
}

impl Vacancies {
    /// Whether none of the names is in `directory`.
    fn hold(&self, directory: &Path, table: &DigestTable, started: CoarseTime) -> bool {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let sighting = match Sighting::at(directory) {
            Ok(sighting) => sighting,
            Err(error) => return error.kind() == ErrorKind::NotFound,
        };
        if self.seen == Some(SeenTool::from(sighting)) {
            return true;
        }
        let names = self.names.iter();
        let names = names.flat_map(|name| [name.as_os_str().as_bytes(), b"\0"]);
        let names = names.collect::<Vec<_>>().concat();
        table.lacks_all(directory, &sighting, &names, started)
    }
}

impl EmptyPlaces {
    /// Examines `place`, and adds it unless a file is there. Returns whether one is.
    ///
    /// # Errors
    /// The place cannot be examined.
    pub(super) fn look(&mut self, probe: &mut Probe, place: &Path) -> io::Result<bool> {
        match probe.look(place)? {
            Probed::File => return Ok(true),
            Probed::Directory => drop(self.directories.insert(place.to_owned())),
            Probed::Blocked { by } => drop(self.blocking.insert(by)),
            Probed::Nothing { directory, missing } => {
                let vacancies = self.absent.entry(directory).or_default();
                vacancies.names.insert(missing);
            }
        }
        Ok(false)
    }

    /// Stores sightings of the directories: as long as they are the same, the names need not be looked up.
    /// `started` is a time before the first look at the directories.
    pub(super) fn record(&mut self, started: CoarseTime) {
        for (directory, vacancies) in &mut self.absent {
            // The sighting comes before the names: if a name is added later, the directory looks different.
            let sighting = Sighting::at(directory).ok();
            let sighting = sighting.filter(|sighting| shows_changes(directory, sighting));
            let seen = sighting
                .map(SeenTool::from)
                .filter(|seen| seen.is_proof(started));
            let holds = vacancies.hold(directory, &DigestTable::nowhere(), started);
            vacancies.seen = seen.filter(|_| holds);
        }
    }

    /// Whether there is still no file at any of the places.
    pub(super) fn hold(&self, table: &DigestTable) -> bool {
        let started = CoarseTime::now();
        let mut absent = self.absent.iter();
        absent.all(|(directory, vacancies)| vacancies.hold(directory, table, started))
            && self.directories.iter().all(|path| path.is_dir())
            && self.blocking.iter().all(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::EmptyPlaces;
    use crate::includes::digests::DigestTable;
    use crate::includes::digests::Sighting;
    use crate::includes::probe::Probe;
    use crate::stat::CoarseTime;
    use std::fs;
    use std::time::Duration;

    #[test]
    fn directory_that_becomes_a_file_and_file_that_becomes_a_directory_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let [directory, file] = ["directory", "file"].map(|name| dir.path().join(name));
        fs::create_dir(&directory).unwrap();
        fs::write(&file, "").unwrap();
        let mut places = EmptyPlaces::default();
        let mut probe = Probe::default();
        for place in [directory.clone(), file.join("part")] {
            assert!(!places.look(&mut probe, &place).unwrap());
        }
        let table = DigestTable::nowhere();
        assert!(places.hold(&table));
        fs::remove_dir(&directory).unwrap();
        fs::write(&directory, "").unwrap();
        assert!(!places.hold(&table));
        fs::remove_file(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        assert!(places.hold(&table));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(!places.hold(&table));
    }

    #[test]
    fn name_that_comes_to_a_directory_whose_look_is_remembered_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut places = EmptyPlaces::default();
        let place = dir.path().join("specs");
        assert!(!places.look(&mut Probe::default(), &place).unwrap());
        places.record(CoarseTime::now().plus(Duration::from_secs(10)));
        let is_remembered = places.absent.values().all(|it| it.seen.is_some());
        let sighting = Sighting::at(dir.path()).unwrap();
        assert_eq!(is_remembered, super::shows_changes(dir.path(), &sighting));
        let table = DigestTable::nowhere();
        assert!(places.hold(&table));
        fs::write(&place, "").unwrap();
        assert!(!places.hold(&table));
        fs::remove_file(&place).unwrap();
        fs::write(dir.path().join("other"), "").unwrap();
        assert!(places.hold(&table), "another name");
    }
}
