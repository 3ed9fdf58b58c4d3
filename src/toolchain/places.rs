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
    /// What is no file, or stands where a directory would have to be.
    occupied: BTreeSet<PathBuf>,
}

impl EmptyPlaces {
    /// Notes what is at `place`; whether a file is there.
    ///
    /// # Errors
    /// The place cannot be looked at.
    pub(super) fn look(&mut self, probe: &mut Probe, place: &Path) -> io::Result<bool> {
        match probe.look(place)? {
            Found::File => return Ok(true),
            Found::Directory => drop(self.occupied.insert(place.to_owned())),
            Found::Blocked { by } => drop(self.occupied.insert(by)),
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
        self.absent.iter().all(lacks) && self.occupied.iter().all(|path| path.exists())
    }
}
