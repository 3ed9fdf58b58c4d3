//! The files that the passes of a unit read, and the files that a result quotes.

use crate::compile::file_digest::digest_file;
use crate::includes::lookups::NotStored;
use crate::includes::markers::Origin;
use crate::includes::times;
use crate::stat::CoarseTime;
use crate::toolchain::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file that a result holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldFile {
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// The files that a result quotes. A unit with messages may quote hundreds, so that a digest of each would be most of its
/// record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuotedSources {
    /// In a unit's record as the preprocessor spells them, in a stage's record their real paths.
    pub paths: Vec<PathBuf>,
    /// SHA-256 of the SHA-256 of each file's content, in the order of `paths`, in hexadecimal. Empty if there are none.
    pub sha256: String,
}

impl QuotedSources {
    /// The files at `paths` as they are now. `None` if one cannot be read.
    pub(crate) fn of<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Option<Self> {
        let paths: Vec<_> = paths.cloned().collect();
        let sha256 = digest_of_all(&paths)?;
        Some(Self { paths, sha256 })
    }

    /// Whether every file is unchanged.
    pub(crate) fn are_unchanged(&self) -> bool {
        digest_of_all(&self.paths).is_some_and(|sha256| sha256 == self.sha256)
    }

    /// The same files under the paths that `change` makes of theirs.
    pub(crate) fn with_paths(&self, change: impl Fn(&Path) -> Option<PathBuf>) -> Option<Self> {
        Some(Self {
            paths: self
                .paths
                .iter()
                .map(|path| change(path))
                .collect::<Option<_>>()?,
            sha256: self.sha256.clone(),
        })
    }
}

fn digest_of_all(paths: &[PathBuf]) -> Option<String> {
    if paths.is_empty() {
        return Some(String::new());
    }
    let mut all = Sha256::new();
    for path in paths {
        all.update(digest_file(path).ok()?);
    }
    Some(hex::encode(all.finalize()))
}

/// The files that passes read, as the preprocessor spells them. Links are resolved only on a miss.
#[derive(Default)]
pub(crate) struct ReadFiles {
    preprocessed: BTreeMap<PathBuf, Entered>,
    raw: BTreeSet<PathBuf>,
    precompilable: BTreeSet<PathBuf>,
    times: BTreeSet<Vec<u8>>,
}

/// How a pass came to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// The file that included it first; `None` for a source.
    pub by: Option<PathBuf>,
    pub origin: Origin,
}

impl ReadFiles {
    /// Adds a file that a pass preprocessed.
    pub(crate) fn add(&mut self, path: PathBuf, entered: Entered) {
        self.preprocessed.entry(path).or_insert(entered);
    }

    /// The files that passes preprocessed, with how a pass first came to each.
    pub(crate) fn entered(&self) -> impl Iterator<Item = (&PathBuf, &Entered)> {
        self.preprocessed.iter()
    }

    /// Adds a file that a stage reads without preprocessing.
    pub(crate) fn add_raw(&mut self, path: PathBuf) {
        self.raw.insert(path);
    }

    /// Adds a header that a compile would replace by a precompiled one, if there were one.
    pub(crate) fn add_precompilable(&mut self, path: PathBuf) {
        self.precompilable.insert(path);
    }

    /// Adds every piece of `text`, which a pass has written or printed, that may be a time.
    pub(crate) fn add_times(&mut self, text: &[u8]) {
        self.times.extend(times::find(text));
    }

    /// The pieces of the passes' texts that may be times.
    pub(crate) fn times(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.times.iter()
    }

    /// The files that passes preprocessed.
    pub(crate) fn preprocessed(&self) -> impl Iterator<Item = &PathBuf> {
        self.preprocessed.keys()
    }

    /// The files that stages read without preprocessing.
    pub(crate) fn raw(&self) -> impl Iterator<Item = &PathBuf> {
        self.raw.iter()
    }

    /// The headers that a compile would replace by precompiled ones, if there were any.
    pub(crate) fn precompilable(&self) -> impl Iterator<Item = &PathBuf> {
        self.precompilable.iter()
    }

    /// The real paths of the files. A file that no longer exists is a doubt.
    pub(crate) fn resolve(&self) -> Result<RealFiles, NotStored> {
        let paths = self.preprocessed().chain(self.raw());
        RealFiles::of(paths.map(PathBuf::as_path))
    }
}

/// Files by their real paths.
pub(crate) struct RealFiles(BTreeSet<PathBuf>);

impl RealFiles {
    /// The files at `paths`. One that does not exist is a doubt.
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Self, NotStored> {
        let real = |path: &Path| {
            fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        paths.map(real).collect::<Result<_, _>>().map(Self)
    }

    /// Every file, as it is now. `None` if one cannot be read.
    pub(crate) fn sources(&self) -> Option<QuotedSources> {
        QuotedSources::of(self.0.iter())
    }

    /// Whether the file at `path` is one of them.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        fs::canonicalize(path).is_ok_and(|real| self.0.contains(&real))
    }

    /// Returns a doubt if one of the files changed after the passes started: passes and compile may have read
    /// different versions of it.
    pub(crate) fn check_unchanged(&self, started: CoarseTime) -> Result<(), NotStored> {
        let changed = self.0.iter().find(|path| {
            !fs::metadata(path).is_ok_and(|metadata| Stat::from(&metadata).is_older_than(started))
        });
        match changed {
            Some(path) => Err(format!("{} changed during the compile", path.display())),
            None => Ok(()),
        }
    }
}

/// The files at `paths` with their present digests. `None` if one cannot be read.
pub(crate) fn digested<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Option<Vec<HeldFile>> {
    let digests = paths.map(|path| {
        Some(HeldFile {
            path: path.clone(),
            sha256: hex::encode(digest_file(path).ok()?),
        })
    });
    digests.collect()
}

#[cfg(test)]
mod tests {
    use super::QuotedSources;
    use std::fs;

    #[test]
    fn quoted_sources_are_unchanged_while_each_has_its_own_content() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a.h", "b.h"].map(|name| directory.path().join(name));
        let write = |contents: [&str; 2]| {
            for (path, content) in paths.iter().zip(contents) {
                fs::write(path, content).unwrap();
            }
        };
        write(["1", "2"]);
        let quoted = QuotedSources::of(paths.iter()).unwrap();
        assert!(quoted.are_unchanged());
        for changed in [["2", "1"], ["1", "3"], ["12", ""], ["", "12"]] {
            write(changed);
            assert!(!quoted.are_unchanged(), "{changed:?}");
        }
        write(["1", "2"]);
        assert!(quoted.are_unchanged());
        fs::remove_file(&paths[1]).unwrap();
        assert!(!quoted.are_unchanged());
        assert!(QuotedSources::of(paths.iter()).is_none());
        assert!(QuotedSources::default().are_unchanged());
    }
}
