//! The record of a result that direct mode finds, and what such a result depends on besides its files.

use crate::compile::deliver::write_output::WriteMode;
use crate::compile::unit::needs::Needs;
use crate::store::Artefact;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of [`DirectRecord`]. It is also raised when results of older versions are no longer trusted.
pub(crate) const SCHEMA: u32 = 4;

/// A result. Paths stand below the names of their roots.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DirectRecord {
    pub schema: u32,
    /// What the result depends on. Under the key without these parts lies a [`Pointer`] to this record.
    #[serde(default)]
    pub needs: Needs,
    /// Translation units, for the counters.
    pub units: u64,
    pub outputs: Vec<OutputRecord>,
    /// Depfiles, by the paths that they are written to; `None` stands for the value of `-MF`.
    pub depfiles: Vec<(Option<PathBuf>, Artefact)>,
    /// Make rules for standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Artefact>,
    /// Kept files, by the paths that they are written to.
    pub kept: Vec<(PathBuf, Artefact)>,
    pub stdout: Option<Artefact>,
    pub stderr: Option<Artefact>,
    /// Whether paths in messages stand below the names of roots.
    #[serde(default)]
    pub are_messages_short: bool,
    /// Wall time of the compile, passes included, in milliseconds.
    #[serde(default)]
    pub milliseconds: u64,
    /// The key of the facts of that compile, in hex.
    #[serde(default)]
    pub facts: Option<String>,
    /// The sources that it was compiled from, to be shown to users: absolute paths without `.`.
    #[serde(default)]
    pub sources: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutputRecord {
    /// Where it is written; `None` stands for the value of `-o`.
    pub path: Option<PathBuf>,
    #[serde(rename = "manner")]
    pub mode: WriteMode,
    pub artefact: Artefact,
}

/// The result of one unit of several, or of one that is linked: the key of the unit's own record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnitPointer {
    pub schema: u32,
    #[serde(default)]
    pub needs: Needs,
    /// The key, in hex.
    pub unit: String,
    /// The unit's depfile.
    pub depfile: Option<Artefact>,
    /// As in a [`DirectRecord`].
    pub sources: Vec<String>,
}

/// Stands in place of a record whose key has more parts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pointer {
    pub schema: u32,
    pub needs: Needs,
    /// The name of the record that it was written with, in hex: the sender of the pointer sends that record too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// As in the record.
    pub sources: Vec<String>,
}
