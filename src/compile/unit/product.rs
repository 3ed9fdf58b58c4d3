//! What a translation unit leaves behind, and how that came about.

use crate::compile::inputs::known_files::QuotedSource;
use crate::compile::run::printed::Printed;
use crate::plan::{FileId, Plan, Tool, Unit};
use std::collections::BTreeSet;

/// What a unit leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Product {
    /// Outputs, and temporaries that link stages read.
    pub outputs: Vec<(FileId, Vec<u8>)>,
    /// Files for `--keep`, by name.
    pub kept: Vec<(String, Vec<u8>)>,
    /// What stages printed, by stage, in the plan's order. Stages that printed nothing are left out.
    pub printed: Vec<(usize, Printed)>,
    /// Wall time of the stages behind the passes when they ran, in milliseconds.
    pub milliseconds: u64,
    /// Files that the result quotes: it is right as long as each is what it was.
    pub sources: Vec<QuotedSource>,
}

/// How a unit's product came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// From the store, after preprocessing.
    Hit,
    /// From the store; only line numbers that the output does not depend on have changed.
    SemanticHit,
    /// From the store, after waiting for another process that made it.
    Coalesced,
    /// Compiled and stored.
    Miss,
    /// Compiled, and not stored for this reason.
    Unstored(String),
}

/// The files that the unit's stages write and `--keep` leaves. cicc, where it makes the output itself,
/// removes the module id that it has made.
pub(crate) fn intermediates(plan: &Plan, unit: &Unit) -> BTreeSet<FileId> {
    let stages = unit.stages.iter().map(|number| &plan.stages[*number]);
    let ends_in_cicc = stages.clone().any(|stage| {
        stage.tool == Tool::Cicc
            && stage
                .output
                .is_some_and(|file| unit.results.contains(&file))
    });
    let written = stages.flat_map(|stage| stage.writes.iter().copied());
    written
        .chain(unit.module_id.filter(|_| !ends_in_cicc))
        .collect()
}
