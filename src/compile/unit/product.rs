//! The result of a translation unit, and where it came from.

use crate::compile::inputs::known_files::{HeldFile, QuotedSources};
use crate::compile::run::printed::Printed;
use crate::key::RootSet;
use crate::plan::{FileId, Plan, Tool, Unit};
use std::collections::BTreeSet;

/// The result of a unit.
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
    /// Whether the module id is in an output.
    pub shows_id: bool,
    /// The roots whose paths the files between the passes and the outputs show.
    pub roots: RootSet,
    /// The depfile of a result that was found without the passes' texts.
    pub depfile: Option<Vec<u8>>,
    /// Files that the result quotes: it is valid as long as all of them are unchanged.
    pub sources: QuotedSources,
    /// Files that the assembler included (`.incbin`), as paths from the working directory. Its key holds their contents.
    pub binaries: Vec<HeldFile>,
}

/// Where a unit's product came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// From the store, without preprocessing.
    DirectHit,
    /// From the store, after preprocessing.
    Hit,
    /// From the store; only line numbers that the output does not depend on have changed.
    SemanticHit,
    /// From the store, after waiting for another process that compiled it.
    Coalesced,
    /// Compiled and stored.
    Miss,
    /// Compiled, but not stored, for this reason.
    Unstored(String),
}

/// The files that the unit's stages write and `--keep` keeps, and the module id. If cicc writes the output itself,
/// it removes the module id that it has written.
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
