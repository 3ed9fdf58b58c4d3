//! Places that must stay empty, or stay something that is not taken for a file, for what was found elsewhere to
//! be found again. Does not know what is looked for.

use crate::includes::digests::{DigestTable, Sighting};
use crate::includes::probe::{Found, Probe};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Places at which there is no file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct EmptyPlaces {
    /// Names that must stay absent, by the directory, which exists.
    absent: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Directories in the place of a file.
    directories: BTreeSet<PathBuf>,
    /// Files in the place of a directory.
    blocking: BTreeSet<PathBuf>,
}

impl EmptyPlaces {
    /// Notes what is at `place`; whether a file is there.
    ///
    /// # Errors
    /// The place cannot be looked at.
    pub(super) fn look(&mut self, probe: &mut Probe, place: &Path) -> io::Result<bool> {
        match probe.look(place)? {
            Found::File => return Ok(true),
            Found::Directory => drop(self.directories.insert(place.to_owned())),
            Found::Blocked { by } => drop(self.blocking.insert(by)),
            Found::Nothing { directory, missing } => {
                self.absent.entry(directory).or_default().insert(missing);
            }
        }
        Ok(false)
    }

    /// Whether no file has come to any of them.
    pub(super) fn hold(&self, table: &DigestTable) -> bool {
        let began = SystemTime::now();
        let lacks = |(directory, names): (&PathBuf, &BTreeSet<PathBuf>)| {
            let names = names
                .iter()
                .flat_map(|name| [name.as_os_str().as_bytes(), b"\0"]);
            let names = names.collect::<Vec<_>>().concat();
            let directory = match directory.as_os_str().is_empty() {
                true => Path::new("."),
                false => directory,
            };
            match Sighting::at(directory) {
                Ok(seen) => table.lacks_all(directory, &seen, &names, began),
                Err(error) => error.kind() == ErrorKind::NotFound,
            }
        };
        self.absent.iter().all(lacks)
            && self.directories.iter().all(|path| path.is_dir())
            && self.blocking.iter().all(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::EmptyPlaces;
    use crate::includes::digests::DigestTable;
    use crate::includes::probe::Probe;
    use std::fs;

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
}
