//! One difference between two compiles, and its kind. Plain data.

use crate::secret::shown;
use serde::Serialize;

/// The note for secret values.
const UNTOLD: &str = "the values differ; they are not kept";

/// The kind of thing that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// An option of nvcc, from the command line or a variable.
    Flag,
    /// An environment variable.
    Environment,
    /// The CUDA driver.
    Driver,
    /// The release that nvcc prints.
    Release,
    /// The schemas of the keys, which differ between versions of pcache-nvcc.
    Version,
    /// A tool's content.
    Tool,
    /// The places where tools were found, or the directories beside them.
    Toolkit,
    /// The working directory.
    Directory,
    /// The processor, if an option asks for `native`.
    Machine,
    /// Whether messages are coloured.
    Diagnostics,
    /// A source's content.
    Source,
    /// A header's content.
    Header,
    /// A name that was searched for and missing before, and exists now.
    Appeared,
    /// A file that existed before and is missing now.
    Gone,
    /// The target of a link.
    Link,
    /// The names of outputs.
    Output,
    /// A command that nvcc would run, if nothing else explains the difference.
    Command,
    /// Preprocessed text, or printed messages, although no file differs.
    Text,
}

/// One difference, by name with its old and its new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The kind of thing.
    pub kind: DifferenceKind,
    /// Its name: an option, a variable, a path.
    pub name: String,
    /// The old value; `None` if there was none.
    pub old: Option<String>,
    /// The new value; `None` if there is none.
    pub new: Option<String>,
    /// A remark for the reader.
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

    /// Removes the digests that stand for secrets. If only those differ, adds a note that says so.
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
