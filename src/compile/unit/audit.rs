//! Checks after a compile that it read nothing but what its key holds. A result that fails a check is correct and is
//! still delivered; it is just not stored.

use crate::compile::inputs::assembly::{check_line_files, included_binaries};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::evidence::check_headers;
use crate::compile::inputs::known_files::{HeldFile, ReadFiles, digested};
use crate::compile::stages::one_step::OneStep;
use crate::compile::stages::stage_cache::StageResults;
use crate::includes::lookups::{Lookups, NotStored};
use crate::includes::name_watch::ChangedNames;
use crate::includes::unchanged_since;
use crate::plan::Tool;
use std::collections::BTreeSet;

/// Checks that the stages read only what the key holds, and files that the assembler included, which it returns. Stages
/// from the store were checked when they were stored.
pub(crate) fn audit(
    work: &UnitContext<'_>,
    one_step: Option<&OneStep<'_>>,
    read_files: &ReadFiles,
    results: &StageResults,
) -> Result<Vec<HeldFile>, NotStored> {
    let files = read_files.resolve()?;
    work.check_host()?;
    let mut binaries = BTreeSet::new();
    if let Some(included) = &results.binaries {
        binaries.extend(included.clone()?);
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
            Tool::HostCompile | Tool::HostPreprocess | Tool::StubCompile => {
                check_headers(work.commands.workspace, *number, &files)?;
            }
            _ => {}
        }
        let assembles = match stage.tool {
            Tool::HostCompile => results.binaries.is_none(),
            Tool::StubCompile => true,
            _ => false,
        };
        if assembles {
            binaries.extend(included_binaries(work, stage, *number)?);
        }
    }
    // Before the checks, which then cover these digests.
    let digests = digested(binaries.iter()).ok_or("a file that the assembler read is gone")?;
    let lookups = Lookups {
        files: binaries,
        ..Lookups::default()
    };
    unchanged_since::check(&lookups, work.started, &ChangedNames::default())?;
    work.mounts.check()?;
    check_settings(work)?;
    files.check_unchanged(work.started)?;
    Ok(digests)
}

/// Checks that the files of PCACHE_EXTRA_FILES are those of the key. What reads them is unknown, so it may have read
/// them at any time.
fn check_settings(work: &UnitContext<'_>) -> Result<(), NotStored> {
    let now = work.cache.keyed_settings.assignments(work.cache.digests);
    let now = now.map_err(|error| error.to_string())?;
    if work.facts.environment.ends_with(&now) {
        Ok(())
    } else {
        Err("a file of PCACHE_EXTRA_FILES changed during the compile".to_owned())
    }
}
