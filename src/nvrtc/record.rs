//! The stored record of a program compiled at run time: its log and its artefacts, by digest.
//! `docs/design/store.md` draws the format.

use super::program;
use crate::store::Artefact;
use serde::{Deserialize, Serialize};

/// The version of the record.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NvrtcRecord {
    pub schema: u32,
    /// The log. In a result that serves any directory, a NUL replaces the program's name.
    pub log: Artefact,
    /// Each name expression with its lowered name.
    pub lowered: Vec<(String, String)>,
    /// The outputs of the compile.
    pub artefacts: Vec<(NvrtcKind, Artefact)>,
    /// Wall time of the compile, in milliseconds.
    pub milliseconds: u64,
    /// The key of the record of its dependencies, in hex.
    #[serde(default)]
    pub facts: Option<String>,
}

impl NvrtcRecord {
    /// Parses a stored record; `None` if this version cannot read it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.schema == SCHEMA).then_some(record)
    }
}

/// A [`program::ProgramArtefact`] as records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NvrtcKind {
    Ptx,
    Cubin,
    Ltoir,
    OptixIr,
    Nvvm,
    TileIr,
}

impl From<program::ProgramArtefact> for NvrtcKind {
    fn from(artefact: program::ProgramArtefact) -> Self {
        match artefact {
            program::ProgramArtefact::Ptx => Self::Ptx,
            program::ProgramArtefact::Cubin => Self::Cubin,
            program::ProgramArtefact::Ltoir => Self::Ltoir,
            program::ProgramArtefact::OptixIr => Self::OptixIr,
            program::ProgramArtefact::Nvvm => Self::Nvvm,
            program::ProgramArtefact::TileIr => Self::TileIr,
        }
    }
}

impl From<NvrtcKind> for program::ProgramArtefact {
    fn from(kind: NvrtcKind) -> Self {
        match kind {
            NvrtcKind::Ptx => Self::Ptx,
            NvrtcKind::Cubin => Self::Cubin,
            NvrtcKind::Ltoir => Self::Ltoir,
            NvrtcKind::OptixIr => Self::OptixIr,
            NvrtcKind::Nvvm => Self::Nvvm,
            NvrtcKind::TileIr => Self::TileIr,
        }
    }
}
