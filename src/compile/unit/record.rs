//! What is remembered of a translation unit: its outputs, kept files and diagnostics, by digest.
//! The format is drawn in `docs/design/store.md`.

use crate::compile::inputs::known_files::QuotedSource;
use crate::store::Artefact;
use serde::{Deserialize, Serialize};

/// The version of the record.
pub(crate) const SCHEMA: u32 = 3;

/// A translation unit's result. Stages are named by their place among the unit's commands as the
/// key sorts them, so that a plan that prints its lines in another order finds the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    pub schema: u32,
    pub outputs: Vec<UnitOutput>,
    /// Files for `--keep`.
    pub kept: Vec<Kept>,
    /// What stages printed, where they printed anything.
    pub streams: Vec<Stream>,
    /// Files whose own text reached the result, besides what preprocessing made of it: messages tell
    /// lines and quote them with their comments, and `--source-in-ptx` copies them. Each must still be
    /// what it was. Empty where nothing was printed.
    pub sources: Vec<QuotedSource>,
    /// Whether the result is another one for each output, and so under a key with the output's path. Then
    /// nothing else is here.
    #[serde(default)]
    pub tied: bool,
    /// Wall time of the stages that a hit saves, in milliseconds.
    pub milliseconds: u64,
    /// The source of the unit that it was first made of, for people: whole, without dots.
    #[serde(default)]
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnitOutput {
    /// The stage that wrote it.
    pub command: usize,
    pub artefact: Artefact,
}

/// An intermediate file, kept because the user asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Its name in the keep directory.
    pub name: String,
    pub artefact: Artefact,
}

/// What one stage printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stream {
    pub command: usize,
    pub stdout: Option<Artefact>,
    pub stderr: Option<Artefact>,
}
