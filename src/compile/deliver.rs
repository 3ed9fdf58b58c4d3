//! Puts what a unit made where nvcc would have put it: outputs, depfile, kept files. Knows nothing of
//! how it was made.

use super::place::{self, Manner};
use super::unit::{Product, UnitWork, intermediates};
use super::workspace::Workspace;
use super::{Detour, Facts, is_output, manner};
use crate::cmdline::Job;
use crate::includes::depfile;
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileKind, Plan};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Puts a unit's outputs and depfile in their places, and its temporaries where the link looks.
pub fn deliver(job: &Job, work: &UnitWork<'_>, product: &Product) -> Result<(), Detour> {
    if let Some(signal) = work.signals.pending() {
        return Err(Detour::Interrupted(signal));
    }
    let workspace = work.commands.workspace;
    for (file, bytes) in &product.outputs {
        if is_output(work.plan, *file) {
            let path = Path::new(&work.plan.file(*file).path);
            place::place(path, bytes, manner(work.plan, *file))?;
        } else {
            write_temporary(&workspace.locate(work.plan, *file), bytes)?;
        }
    }
    for (name, bytes) in &product.kept {
        write_temporary(&workspace.temporaries().join(name), bytes)?;
    }
    write_depfile(job, work)
}

fn write_temporary(path: &Path, bytes: &[u8]) -> Result<(), Fallback> {
    fs::write(path, bytes).map_err(|error| {
        Fallback::new(
            FallbackReason::WorkDirectory,
            format!("{}: {error}", path.display()),
        )
    })
}

/// nvcc's own depfile: the files of all passes.
fn write_depfile(job: &Job, work: &UnitWork<'_>) -> Result<(), Detour> {
    let (Some(asked), Some(path)) = (&job.dependencies, &work.unit.depfile) else {
        return Ok(());
    };
    let source = &work.plan.file(work.unit.source).path;
    let options = depfile::TargetOptions {
        named: asked.targets.last().map(OsString::as_os_str),
        output: job.output.as_deref(),
        directory: job.output_directory.as_deref(),
    };
    let targets = [depfile::target(source, options)];
    let texts = work.passes.texts(work)?;
    let listed = if asked.system {
        depfile::Headers::All
    } else {
        depfile::Headers::User
    };
    let found = depfile::dependencies(texts.iter().map(Vec::as_slice), source, listed)
        .map_err(|error| Fallback::new(FallbackReason::Preprocess, error.to_string()))?;
    let phony = if asked.phony {
        depfile::Phony::Targets
    } else {
        depfile::Phony::None
    };
    Ok(place::place_depfile(
        Path::new(path),
        &depfile::render(&targets, &found, phony),
    )?)
}

/// Copies every intermediate file to the user's keep directory.
pub fn keep_files(facts: &Facts<'_>, plan: &Plan, workspace: &Workspace) -> Result<(), Fallback> {
    let Some(keep) = &facts.keep else {
        return Ok(());
    };
    // What stages wrote, and not the passes that nvcc does not have.
    let linked = plan
        .link
        .iter()
        .flat_map(|number| &plan.stages[*number].writes);
    let units = plan.units.iter().flat_map(|unit| intermediates(plan, unit));
    let files: BTreeSet<_> = linked.copied().chain(units).collect();
    for file in files.into_iter().map(|file| plan.file(file)) {
        if file.kind != FileKind::Temp {
            continue;
        }
        let name = &file.path;
        let Ok(bytes) = fs::read(workspace.temporaries().join(name)) else {
            continue;
        };
        let mut target = keep.prefix.clone();
        target.push(name);
        let bytes = facts.as_kept(workspace, name, bytes);
        place::place(Path::new(&target), &bytes, Manner::Rewrite)?;
    }
    Ok(())
}
