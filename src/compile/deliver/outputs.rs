//! Where the outputs of a plan go, and whether they can be put there as nvcc would.

use crate::cmdline::Job;
use crate::compile::deliver::write_output::{self, WriteMode};
use crate::outcome::{Bypass, BypassReason};
use crate::plan::{FileId, Plan, Tool};
use std::path::Path;

/// Whether every output can be placed as nvcc would write it.
pub(crate) fn check_outputs(job: &Job, plan: &Plan) -> Result<(), Bypass> {
    if let Some(directory) = &job.keep
        && !Path::new(directory).is_dir()
    {
        let text = format!("{}: no such keep directory", directory.display());
        return Err(Bypass::new(BypassReason::OutputSpecial, text));
    }
    for unit in &plan.units {
        if let Some(path) = &unit.depfile {
            write_output::check_depfile(Path::new(path))?;
        }
        for file in unit.results.iter().filter(|file| plan.is_output(**file)) {
            write_output::check(Path::new(&plan.file(*file).path), mode(plan, *file))?;
        }
    }
    Ok(())
}

/// The assembler makes objects anew; everything else is written in place.
pub(crate) fn mode(plan: &Plan, file: FileId) -> WriteMode {
    let writer = plan
        .stages
        .iter()
        .find(|stage| stage.writes.contains(&file));
    match writer.map(|stage| stage.tool) {
        Some(Tool::HostCompile) => WriteMode::Replace,
        _ => WriteMode::Rewrite,
    }
}
