//! The names of precompiled headers, which must stay absent.

use super::reads::NotStored;
use super::{Walk, joined};
use crate::includes::probe::Probed;
use std::collections::HashSet;
use std::path::PathBuf;

impl Walk<'_> {
    /// Records that the names of precompiled headers that clang's driver takes for `-include` must stay absent.
    pub(super) fn add_precompiled_of_clang(&mut self) -> Result<(), NotStored> {
        for name in &self.reads.forced {
            for suffix in [&b".pch"[..], b".gch"] {
                self.note_nothing(joined(name, suffix))?;
            }
        }
        Ok(())
    }

    /// Records that nothing must be at `place`.
    fn note_nothing(&mut self, place: PathBuf) -> Result<(), NotStored> {
        match self.look(&place)? {
            Probed::Nothing { directory, missing } => self.note_absent(directory, missing),
            Probed::Blocked { by } => drop(self.found.present.insert(by)),
            Probed::File | Probed::Directory => {
                return Err(format!("{} may be read", place.display()));
            }
        }
        Ok(())
    }

    /// Records that `x.h.gch` must stay absent beside every header that it could replace, and in every place that
    /// was searched before that header.
    pub(super) fn add_precompiled(&mut self) -> Result<(), NotStored> {
        let headers = &self.reads.precompilable;
        let names: HashSet<_> = headers.iter().filter_map(|path| path.file_name()).collect();
        let mut places = headers.clone();
        for (directory, absent) in &self.found.absent {
            let searched_before = absent
                .iter()
                .filter(|name| names.contains(name.as_os_str()));
            places.extend(searched_before.map(|name| directory.join(name)));
        }
        for place in places {
            let mut name = place.into_os_string();
            name.push(".gch");
            self.note_nothing(name.into())?;
        }
        Ok(())
    }
}
