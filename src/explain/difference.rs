//! One difference between two compiles, and what sort of thing it is. Does not look for any.

use crate::secret::shown;
use serde::Serialize;

/// Said of secrets.
const UNTOLD: &str = "the values differ; they are not kept";

/// What sort of thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// An option of nvcc, wherever it comes from.
    Flag,
    /// An environment variable.
    Environment,
    /// The CUDA driver.
    Driver,
    /// What nvcc calls its release.
    Release,
    /// What pcache-nvcc's own keys hold: another version of it.
    Version,
    /// A tool's content.
    Tool,
    /// Where tools were found, or what is beside them.
    Toolkit,
    /// The working directory.
    Directory,
    /// The processor, where `native` asks for it.
    Machine,
    /// Whether messages are coloured.
    Diagnostics,
    /// A source's content.
    Source,
    /// A header's content.
    Header,
    /// A name that was looked for in vain, and is there now.
    Appeared,
    /// A file that was there, and is not now.
    Gone,
    /// Where a path leads.
    Link,
    /// How outputs are named.
    Output,
    /// A command that nvcc would run, though nothing else tells why.
    Command,
    /// Text after preprocessing, or what was printed, though no file differs.
    Text,
}

/// One difference, by name with its old and its new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What sort of thing.
    pub kind: DifferenceKind,
    /// Its name: an option, a variable, a path.
    pub name: String,
    /// What it was; `None` if it was not there.
    pub old: Option<String>,
    /// What it is; `None` if it is not there.
    pub new: Option<String>,
    /// What else is to be said of it.
    pub note: Option<String>,
}

impl Difference {
    pub(super) fn new(
        kind: DifferenceKind,
        name: &str,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
            note: None,
        }
    }

    pub(super) fn noting(mut self, note: impl Into<Option<String>>) -> Self {
        self.note = note.into();
        self
    }

    /// Without the digests that stand for secrets. Where they are all that differs, it says that they do.
    pub(super) fn without_digests(mut self) -> Self {
        let values = [&mut self.old, &mut self.new];
        for value in values.into_iter().flatten() {
            *value = shown(value).into_owned();
        }
        if self.old.is_some() && self.old == self.new {
            let note = self.note.into_iter().chain([UNTOLD.to_owned()]);
            self.note = Some(note.collect::<Vec<_>>().join("; "));
        }
        self
    }
}

/// The first digits of a digest.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
