//! The files that the passes of a unit read, and the files that a result quotes.

use crate::compile::file_digest::digest_file;
use crate::includes::lookups::NotStored;
use crate::includes::markers::Origin;
use crate::includes::times;
use crate::stat::CoarseTime;
use crate::toolchain::Stat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file that a result quotes, or holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuotedSource {
    /// In a unit's record as the preprocessor spells it, in a stage's record its real path.
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
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

    /// Every file with its present digest. `None` if one cannot be read.
    pub(crate) fn sources(&self) -> Option<Vec<QuotedSource>> {
        digested(self.0.iter())
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
pub(crate) fn digested<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Option<Vec<QuotedSource>> {
    let digests = paths.map(|path| {
        Some(QuotedSource {
            path: path.clone(),
            sha256: hex::encode(digest_file(path).ok()?),
        })
    });
    digests.collect()
}

/// Whether every file that a result quotes is unchanged.
pub(crate) fn are_unchanged(sources: &[QuotedSource]) -> bool {
    sources.iter().all(|source| {
        digest_file(&source.path).is_ok_and(|digest| hex::encode(digest) == source.sha256)
    })
}
