//! What is remembered of a stage: the files it writes and what it printed, by digest. The format is
//! drawn in `docs/design/store.md`.

use crate::compile::inputs::known_files::QuotedSource;
use crate::store::Artefact;
use serde::{Deserialize, Serialize};

/// The version of the record.
pub(crate) const SCHEMA: u32 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StageRecord {
    pub schema: u32,
    /// Files written. A stage that needs fewer is served too.
    pub outputs: Vec<StageOutput>,
    /// What it printed on standard output.
    pub stdout: Option<Artefact>,
    /// What it printed on standard error.
    pub stderr: Option<Artefact>,
    /// Files that the result quotes: each must still be what it was.
    pub sources: Vec<QuotedSource>,
    /// The source of the unit that it was first made for, for people: whole, without dots.
    #[serde(default)]
    pub source: String,
}

/// A file that a stage wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StageOutput {
    /// The flag that names it.
    pub flag: String,
    /// Its bytes, in portable form.
    pub artefact: Artefact,
}
