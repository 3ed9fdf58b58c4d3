//! Questions for headers, `__has_include`, whose answers leave no trace in the text of a pass.

use super::{NotStored, Reruns, Walk, joined, to_path};
use crate::includes::probe::Probed;
use crate::includes::scan::{IncludeForm, ScannedName};
use crate::includes::times;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

impl Walk<'_> {
    /// Follows a `__has_include`. Its answer leaves no trace in the text of a pass.
    pub(super) fn follow_question(
        &mut self,
        own: &[u8],
        name: &ScannedName,
    ) -> Result<(), NotStored> {
        let quoted = name.form == IncludeForm::Quote;
        let mut places = Vec::new();
        if name.text.starts_with(b"/") {
            places.push(to_path(&name.text));
        } else {
            places.extend(quoted.then(|| joined(own, &name.text)));
            let searched = self.order.iter();
            let searched = searched.filter(|directory| quoted || !directory.quotes_only);
            places.extend(searched.map(|directory| directory.path.join(to_path(&name.text))));
        }
        // All places, because `__has_include_next` starts at a later one.
        for place in places {
            let found = self.look(&place)?;
            self.note_answer(place, found)?;
        }
        Ok(())
    }

    /// Adds every path that the preprocessors ask for, where the sources do not show which. `reason` says why not.
    pub(super) fn follow_asked(
        &mut self,
        reason: NotStored,
        reruns: &Reruns<'_>,
    ) -> Result<(), NotStored> {
        // A name may be absolute, and may have been made of the path of a root.
        self.found.absolute = None;
        let asked = (reruns.asked)().map_err(|error| format!("{reason}; {error}"))?;
        for (path, existed) in asked {
            let doubt = |what: &str| Err(format!("{reason}; {} {what}", path.display()));
            let mut odd = ["/dev", "/proc", "/sys"].iter();
            if odd.any(|odd| path.starts_with(odd)) {
                return doubt("is no header");
            }
            if !times::find(path.as_os_str().as_bytes()).is_empty() {
                return doubt("may be a time");
            }
            let found = self.look(&path)?;
            let exists = matches!(found, Probed::File | Probed::Directory);
            if exists != existed {
                return doubt("came or went");
            }
            match found {
                Probed::Directory => drop(self.found.directories.insert(path)),
                Probed::File => {
                    self.found.files.insert(path.clone());
                    self.note_answer(path, Probed::File)?;
                }
                nothing => self.note_answer(path, nothing)?,
            }
        }
        Ok(())
    }

    /// Records what is at a path that a preprocessor asked for.
    fn note_answer(&mut self, place: PathBuf, found: Probed) -> Result<(), NotStored> {
        match found {
            Probed::File => {
                self.found.probed.insert(place.clone());
                let is_clang = self.names.is_some();
                if is_clang && !self.reads.sources.contains_key(&place) {
                    // If it became a name of a file that was read, clang might use the name.
                    self.note_name(&place)?;
                    self.found.files.insert(place);
                } else {
                    self.found.present.insert(place);
                }
            }
            Probed::Directory => {
                self.found.probed.insert(place.clone());
                self.found.directories.insert(place);
            }
            Probed::Blocked { by } => {
                self.found.probed.insert(by.clone());
                self.found.present.insert(by);
            }
            Probed::Nothing { directory, missing } => {
                let asked = self.found.asked.entry(directory.clone()).or_default();
                asked.insert(missing.clone());
                self.note_absent(directory, missing);
            }
        }
        Ok(())
    }
}
