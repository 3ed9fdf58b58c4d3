//! Checks after a compile that it read nothing but what its key holds. A result that fails a check is correct and is
//! still delivered; it is just not stored.

use crate::compile::inputs::assembly::{check_assembly, check_line_files};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::evidence::check_headers;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::stages::one_step::OneStep;
use crate::compile::stages::stage_cache::StageResults;
use crate::includes::lookups::NotStored;
use crate::plan::Tool;

/// Checks that the stages read only what the key holds. Stages from the store were checked when they were stored.
pub(crate) fn audit(
    work: &UnitContext<'_>,
    one_step: Option<&OneStep<'_>>,
    read_files: &ReadFiles,
    results: &StageResults,
) -> Result<(), NotStored> {
    let files = read_files.resolve()?;
    work.check_host()?;
    if let Some(assembled) = &results.assembled {
        assembled.clone()?;
    }
    if let Some(one_step) = one_step {
        one_step.evidence(work, read_files)?;
    }
    // Also for cubins from the store: ptxas looks at the sizes of the files that PTX names for its lines.
    for number in &work.unit.stages {
        if work.stage(*number).tool == Tool::Ptxas {
            check_line_files(work, work.stage(*number), &files)?;
        }
    }
    let stages = work.unit.stages.iter();
    for number in stages.filter(|number| !results.served.contains(number)) {
        let stage = work.stage(*number);
        match stage.tool {
            Tool::HostCompile | Tool::HostPreprocess => {
                check_headers(work.commands.workspace, *number, &files)?;
            }
            Tool::StubCompile => return Err("a stub's headers are in no pass".to_owned()),
            _ => {}
        }
        if stage.tool == Tool::HostCompile && results.assembled.is_none() {
            check_assembly(work, stage, *number)?;
        }
    }
    work.mounts.check()?;
    files.check_unchanged(work.started)
}
