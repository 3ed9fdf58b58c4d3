//! The stored record of a translation unit: its outputs, kept files and diagnostics, by digest.
//! `docs/design/store.md` describes the format.

use crate::compile::inputs::known_files::QuotedSources;
use crate::compile::unit::needs::Needs;
use crate::store::Artefact;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of the record.
pub(crate) const SCHEMA: u32 = 6;

/// A translation unit's result. Stages are named by the index of their command in the key's sorted list, so that
/// the order of lines in nvcc's plan does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    pub schema: u32,
    pub outputs: Vec<UnitOutput>,
    /// Files for `--keep`.
    pub kept: Vec<Kept>,
    /// What stages printed. Stages that printed nothing are left out.
    pub streams: Vec<Stream>,
    /// Files whose text reached the result not only through preprocessing: messages give line numbers and quote
    /// lines with their comments, and `--source-in-ptx` copies lines. All of them must be unchanged.
    pub sources: QuotedSources,
    /// Whether each output has a result of its own, under a key that includes the output's path. If so, the record
    /// holds nothing else.
    #[serde(default)]
    pub tied: bool,
    /// What the result depends on besides the key under which this is, so that it lies under a further key. If that is
    /// anything, the record holds nothing else.
    #[serde(default)]
    pub needs: Needs,
    /// The files that the assembler included, so that the result lies under a further key, which holds their contents. If
    /// there are any, the record holds nothing else.
    #[serde(default)]
    pub binaries: Vec<PathBuf>,
    /// Whether the module id is in an output.
    #[serde(default)]
    pub shows_id: bool,
    /// The names of the roots whose paths the files between the passes and the outputs show.
    #[serde(default)]
    pub roots: Vec<String>,
    /// Wall time of the stages that a hit saves, in milliseconds.
    pub milliseconds: u64,
    /// The source that the result was first compiled from, to be shown to users: an absolute path without `.`.
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
