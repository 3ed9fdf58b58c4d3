//! What is remembered of a program compiled at run time: its log and what it was compiled to, by
//! digest. The format is drawn in `docs/design/store.md`.

use super::program;
use crate::store::Artefact;
use serde::{Deserialize, Serialize};

/// The version of the record.
pub const SCHEMA: u32 = 1;

/// A program's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The log. Of a result that is the same anywhere, with a NUL in the place of the program's name.
    pub log: Artefact,
    /// Each name expression with its lowered name.
    pub lowered: Vec<(String, String)>,
    /// What it was compiled to.
    pub artefacts: Vec<(Kind, Artefact)>,
    /// Wall time of the compile, in milliseconds.
    pub milliseconds: u64,
    /// The record of what it depended on.
    #[serde(default)]
    pub facts: Option<String>,
}

impl Record {
    /// The record that was stored as `bytes`, if this version can read it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let found: Self = serde_json::from_slice(bytes).ok()?;
        (found.schema == SCHEMA).then_some(found)
    }
}

/// [`program::Artefact`] by the name that records have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// PTX.
    Ptx,
    /// CUBIN.
    Cubin,
    /// LTO-IR.
    Ltoir,
    /// OptiX IR.
    OptixIr,
    /// NVVM IR.
    Nvvm,
    /// Tile IR.
    TileIr,
}

impl From<program::Artefact> for Kind {
    fn from(artefact: program::Artefact) -> Self {
        match artefact {
            program::Artefact::Ptx => Self::Ptx,
            program::Artefact::Cubin => Self::Cubin,
            program::Artefact::Ltoir => Self::Ltoir,
            program::Artefact::OptixIr => Self::OptixIr,
            program::Artefact::Nvvm => Self::Nvvm,
            program::Artefact::TileIr => Self::TileIr,
        }
    }
}

impl From<Kind> for program::Artefact {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ptx => Self::Ptx,
            Kind::Cubin => Self::Cubin,
            Kind::Ltoir => Self::Ltoir,
            Kind::OptixIr => Self::OptixIr,
            Kind::Nvvm => Self::Nvvm,
            Kind::TileIr => Self::TileIr,
        }
    }
}
