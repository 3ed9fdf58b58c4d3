//! The options that choose files of the store, and what they choose: for `list` and `clear` alike.

use super::contents::{CLASSES, Contents};
use super::journal::{compiles, output, sources};
use crate::config::Lifetime;
use crate::journal::{Removal, SCHEMA};
use crate::store::policy::Nanos;
use crate::store::{EntryKind, FileStore, Name, StoreError, SurveyedFile};
use anyhow::Error;
use glob::Pattern;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Which files a request is about; all files if no option is given.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Selection {
    /// Only files that were not used for AGE, such as 12h or 30d
    #[arg(long, value_name = "AGE")]
    older_than: Option<Lifetime>,
    /// Only files whose class, source or output matches GLOB, or that name a matching file
    #[arg(long, value_name = "GLOB", long_help = matching_help())]
    matching: Option<Pattern>,
}

impl Selection {
    pub(super) fn is_everything(&self) -> bool {
        self.older_than.is_none() && self.matching.is_none()
    }

    /// Whether each file can be judged without the others.
    pub(super) fn can_be_shared(&self) -> bool {
        self.matching.is_none()
    }

    /// The journal's record of a clearing that removed so many of these files.
    pub(super) fn removal(&self, began: Nanos, files: u64) -> Removal {
        Removal {
            v: SCHEMA,
            start: u64::try_from(began / 1000).unwrap_or_default(),
            cleared: files,
            older_than: self.older_than.map(|age| age.to_string()),
            matching: self.matching.as_ref().map(|glob| glob.as_str().to_owned()),
        }
    }
}

/// Goes through a store in search of the files of a selection: through records first, since they tell
/// which artefacts no other record names.
pub(super) struct Sought<'a> {
    selection: &'a Selection,
    now: Nanos,
    /// The sources of the outputs that match, as far as the journal knows.
    made_of: HashSet<PathBuf>,
    /// Artefacts that selected records name, and those that others name.
    named: HashSet<Name>,
    needed: HashSet<Name>,
}

impl<'a> Sought<'a> {
    /// # Errors
    /// The journal cannot be read.
    pub(super) fn new(
        selection: &'a Selection,
        store: &FileStore,
        now: Nanos,
    ) -> Result<Self, Error> {
        let mut made_of = HashSet::new();
        if let Some(glob) = &selection.matching {
            let compiles = compiles(store)?;
            let meant = compiles
                .iter()
                .filter(|compile| output(compile).is_some_and(|output| names(glob, &output)));
            made_of.extend(meant.flat_map(sources));
        }
        Ok(Self {
            selection,
            now,
            made_of,
            named: HashSet::new(),
            needed: HashSet::new(),
        })
    }

    /// Whether the file is one of these. Reads it only if the selection asks what is in it.
    ///
    /// # Errors
    /// A record cannot be read.
    pub(super) fn has(&mut self, stored: &SurveyedFile<'_>) -> Result<bool, StoreError> {
        let age = self
            .selection
            .older_than
            .map(|age| i64::try_from(age.seconds()).unwrap_or(Nanos::MAX));
        let unused = self.now.saturating_sub(stored.read);
        let is_old = age.is_none_or(|age| unused >= age.saturating_mul(1_000_000_000));
        let Some(glob) = &self.selection.matching else {
            return Ok(is_old);
        };
        let contents = Contents::of(stored)?;
        let is_useless = self.named.contains(&stored.name) && !self.needed.contains(&stored.name);
        let is_meant = match stored.tree.kind {
            EntryKind::Entry => glob.matches(contents.class) || is_useless,
            EntryKind::Record => self.matches(glob, &contents),
        };
        let is_taken = is_old && is_meant;
        let names = if is_taken {
            &mut self.named
        } else {
            &mut self.needed
        };
        for artefact in &contents.artefacts {
            names.insert(Name::of(&artefact.key()));
            names.insert(Name::of(&artefact.packed_key()));
        }
        Ok(is_taken)
    }

    fn matches(&self, glob: &Pattern, contents: &Contents) -> bool {
        let mut files = contents.files.iter().chain(&contents.sources);
        let mut sources = contents.sources.iter();
        glob.matches(contents.class)
            || files.any(|file| names(glob, file))
            || sources.any(|source| self.made_of.contains(source))
    }
}

/// Whether `glob` means `file`: without a slash, by its name alone.
pub(super) fn names(glob: &Pattern, file: &Path) -> bool {
    if glob.as_str().contains('/') {
        glob.matches_path(file)
    } else {
        file.file_name()
            .is_some_and(|name| glob.matches_path(Path::new(name)))
    }
}

fn matching_help() -> String {
    let classes = CLASSES.join(", ");
    format!(
        "Only files whose class, source or output matches GLOB, or that name a matching file.\n\nClasses \
         are {classes}. Results and stages name the source that they were first made of; facts and \
         path sets name every file that a compile read. An output, as far as the journal knows it, \
         stands for its sources. Artefacts go with the last record that names them. A glob without a \
         slash is compared with names without directories."
    )
}
