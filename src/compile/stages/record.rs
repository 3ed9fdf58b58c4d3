//! The stored record of a stage: the files that it wrote and what it printed, by digest. `docs/design/store.md`
//! describes the format.

use crate::compile::inputs::known_files::QuotedSources;
use crate::compile::stages::host_texts::KnownText;
use crate::store::Artefact;
use serde::{Deserialize, Serialize};

/// The version of the record.
pub(crate) const SCHEMA: u32 = 4;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StageRecord {
    pub schema: u32,
    /// The files that it wrote. The record also serves a stage that needs only some of them.
    pub outputs: Vec<StageOutput>,
    /// Texts that it wrote and that are not stored.
    #[serde(default)]
    pub texts: Vec<KnownText>,
    /// What it printed on standard output.
    pub stdout: Option<Artefact>,
    /// What it printed on standard error.
    pub stderr: Option<Artefact>,
    /// Files that the result quotes. All of them must be unchanged.
    pub sources: QuotedSources,
    /// The source of the unit that it first ran for, to be shown to users: an absolute path without `.`.
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
