//! `stdc-predef.h`, which GCC includes by itself: the first one along its search path. nvcc's plan depends on it,
//! since nvcc asks the host compiler for its version by preprocessing a text of macros.
//!
//! Records what is at every path where that search may look.

use crate::includes::lookups::{Lookups, NotStored};
use crate::includes::name_watch::ChangedNames;
use crate::includes::probe::{Probe, Probed};
use crate::includes::scan::{HAS_INCLUDE, Mentions, scan};
use crate::includes::search::SearchOrder;
use crate::includes::unchanged_since;
use crate::stat::CoarseTime;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

const NAME: &str = "stdc-predef.h";

/// What is at each path: the SHA-256 of a file, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Predefined(Vec<(PathBuf, Option<String>)>);

impl Predefined {
    /// Looks in every directory that `order` names, including those that do not exist.
    ///
    /// # Errors
    /// Something has changed since `started`, or a file includes others, which are not recorded.
    pub(crate) fn find(order: &SearchOrder, started: CoarseTime) -> Result<Self, NotStored> {
        let directories = order.directories().chain(&order.missing);
        let mut places = Vec::new();
        let mut lookups = Lookups::default();
        let mut probe = Probe::default();
        for directory in directories.chain(&order.duplicates) {
            let place = directory.join(NAME);
            let trouble = |error| format!("{}: {error}", place.display());
            match probe.look(&place).map_err(trouble)? {
                Probed::File => drop(lookups.files.insert(place.clone())),
                Probed::Directory => drop(lookups.probed.insert(place.clone())),
                Probed::Nothing { directory, .. } => drop(lookups.probed.insert(directory)),
                Probed::Blocked { by } => drop(lookups.probed.insert(by)),
            }
            let text = read(&place).map_err(trouble)?;
            if text.as_deref().is_some_and(includes_others) {
                return Err(format!("{} includes others", place.display()));
            }
            places.push((place, text.as_deref().map(digest)));
        }
        unchanged_since::check(&lookups, started, &ChangedNames::default())?;
        Ok(Self(places))
    }

    /// Whether every path still has the same content.
    pub(crate) fn holds(&self) -> bool {
        let is_same = |(path, recorded): &(PathBuf, Option<String>)| {
            read(path).is_ok_and(|text| text.as_deref().map(digest) == *recorded)
        };
        self.0.iter().all(is_same)
    }
}

/// The file's content; `None` if a search for headers passes over this path.
fn read(place: &Path) -> io::Result<Option<Vec<u8>>> {
    use ErrorKind::{IsADirectory, NotADirectory, NotFound};
    match fs::read(place) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | IsADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn digest(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

/// Whether the text may include another file or test for one. The system's own header does neither.
fn includes_others(text: &[u8]) -> bool {
    let tests = HAS_INCLUDE.iter().map(|word| word.to_vec()).collect();
    // `##` may build these words from pieces.
    scan(text, &tests) != Mentions::default() || memmem::find(text, b"##").is_some()
}

#[cfg(test)]
mod tests {
    use super::{NAME, Predefined};
    use crate::includes::search::SearchOrder;
    use crate::stat::CoarseTime;
    use std::fs;
    use std::path::Path;
    use std::thread::sleep;
    use std::time::Duration;

    /// `first` and `second` exist; `missing` and `other` do not, or are the same as one that does.
    fn order(root: &Path) -> SearchOrder {
        for directory in ["first", "second"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        fs::write(root.join("second").join(NAME), "#define A 1\n").unwrap();
        // Longer than a tick of any kernel.
        sleep(Duration::from_millis(30));
        SearchOrder {
            quote: Vec::new(),
            angle: vec![root.join("first"), root.join("second")],
            missing: vec![root.join("missing")],
            duplicates: vec![root.join("first/../first")],
        }
    }

    #[test]
    fn a_header_that_appears_changes_or_goes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let order = order(root);
        let found = Predefined::find(&order, CoarseTime::now()).unwrap();
        assert!(found.holds());
        let known = root.join("second").join(NAME);
        fs::write(&known, "#define A 2\n").unwrap();
        assert!(!found.holds(), "changed in place");
        fs::write(&known, "#define A 1\n").unwrap();
        assert!(found.holds());
        fs::create_dir(root.join("missing")).unwrap();
        assert!(found.holds(), "a directory without the header");
        for earlier in ["first", "missing"] {
            let earlier = root.join(earlier).join(NAME);
            fs::write(&earlier, "").unwrap();
            assert!(!found.holds(), "{} appeared", earlier.display());
            fs::remove_file(&earlier).unwrap();
            assert!(found.holds());
        }
        fs::remove_file(&known).unwrap();
        assert!(!found.holds(), "gone");
    }

    #[test]
    fn what_changed_meanwhile_or_includes_others_is_a_doubt() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let order = order(root);
        let known = root.join("second").join(NAME);
        assert!(Predefined::find(&order, CoarseTime::default()).is_err());
        let started = CoarseTime::now();
        sleep(Duration::from_millis(30));
        fs::write(root.join("first").join(NAME), "").unwrap();
        fs::remove_file(root.join("first").join(NAME)).unwrap();
        assert!(Predefined::find(&order, started).is_err(), "came and went");
        for text in ["#include <a.h>\n", "#if __has_include(<a.h>)\n#endif\n"] {
            fs::write(&known, text).unwrap();
            sleep(Duration::from_millis(30));
            assert!(
                Predefined::find(&order, CoarseTime::now()).is_err(),
                "{text}"
            );
        }
    }
}
