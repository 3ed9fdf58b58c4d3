//! Checks whether the outputs of a plan can be written as nvcc would write them.

use crate::cmdline::Job;
use crate::compile::deliver::write_output::{self, WriteMode};
use crate::outcome::{Bypass, BypassReason};
use crate::plan::{FileId, Plan, RulesTarget, Tool};
use std::path::Path;

/// Checks that every output and depfile can be written as nvcc would write it.
pub(crate) fn check_outputs(job: &Job, plan: &Plan) -> Result<(), Bypass> {
    if let Some(directory) = &job.keep
        && !Path::new(directory).is_dir()
    {
        let detail = format!("{}: no such keep directory", directory.display());
        return Err(Bypass::new(BypassReason::OutputSpecial, detail));
    }
    for unit in &plan.units {
        if let Some(RulesTarget::File(path)) = &unit.rules {
            write_output::check_depfile(Path::new(path))?;
        }
        for file in unit.results.iter().filter(|file| plan.is_output(**file)) {
            write_output::check(Path::new(&plan.file(*file).path), mode(plan, *file))?;
        }
    }
    Ok(())
}

/// How nvcc's tool writes `file`: the assembler replaces objects, every other tool rewrites its output in place.
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
