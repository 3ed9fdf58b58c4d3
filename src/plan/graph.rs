//! Completes the graph of stages: adds reads that no argument names, and checks the edges.
//!
//! Every temporary file that is read must be written by exactly one stage, anywhere in the plan, and no stage may
//! wait for itself.

use super::error::PlanError;
use super::files::Files;
use super::parts::{FileId, FileKind};
use super::stages::Draft;
use super::tool::Tool;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Adds the files of the device side that the host compiler reads: cudafe++'s output includes the stub, and the
/// stub, which cicc writes, includes the fatbinary. Both names are relative to the including file.
pub(super) fn implicit_reads(drafts: &mut [Draft], files: &Files) -> Result<(), PlanError> {
    for index in 0..drafts.len() {
        if !matches!(
            drafts[index].stage.tool,
            Tool::HostCompile | Tool::HostPreprocess
        ) {
            continue;
        }
        let Some(source) = drafts[index].source else {
            continue;
        };
        let Some(name) = writer(drafts, source).and_then(|draft| draft.stub_name.clone()) else {
            continue;
        };
        let stub = beside(files, source, &name)?;
        let include = writer(drafts, stub).and_then(|draft| draft.include_name.clone());
        let include = include.ok_or_else(|| PlanError::NoWriter {
            path: files.show(stub),
        })?;
        let fatbinary = beside(files, stub, &include)?;
        drafts[index].stage.reads.extend([stub, fatbinary]);
    }
    Ok(())
}

/// Keeps stages that append to one file in their order: nvlink runs once for each architecture and appends to a file,
/// so each run but the first also reads it.
pub(super) fn chain_appends(drafts: &mut [Draft]) {
    let mut begun: Vec<FileId> = Vec::new();
    for draft in drafts {
        let Some(file) = draft.appends else { continue };
        if begun.contains(&file) {
            draft.stage.reads.push(file);
        } else {
            begun.push(file);
        }
    }
}

/// Checks the graph, and marks the files outside the keep directory that a stage writes as outputs.
pub(super) fn check(drafts: &[Draft], files: &mut Files) -> Result<(), PlanError> {
    let writers = writers(drafts, files)?;
    let module_ids: Vec<FileId> = drafts.iter().filter_map(|draft| draft.module_id).collect();
    for draft in drafts {
        for &read in &draft.stage.reads {
            let is_temp = files.kind(read) == FileKind::Temp;
            let path = || files.show(read);
            match (is_temp, writers.contains_key(&read)) {
                (true, false) if !module_ids.contains(&read) => {
                    return Err(PlanError::NoWriter { path: path() });
                }
                (true, true) if module_ids.contains(&read) => {
                    return Err(PlanError::TwoWriters { path: path() });
                }
                (false, true) if !draft.stage.is_check() => {
                    return Err(PlanError::OutsideKeepDir { path: path() });
                }
                _ => {}
            }
        }
    }
    let is_outside = |id: &&FileId| files.kind(**id) != FileKind::Temp;
    if let Some(outside) = module_ids.iter().find(is_outside) {
        let path = files.show(*outside);
        return Err(PlanError::OutsideKeepDir { path });
    }
    acyclic(drafts, &writers)?;
    for id in writers.keys() {
        let file = &mut files.list[id.index()];
        if file.kind == FileKind::Input {
            file.kind = FileKind::Output;
        }
    }
    Ok(())
}

/// The stages that write each file: one, or several that append.
fn writers(drafts: &[Draft], files: &Files) -> Result<HashMap<FileId, Vec<usize>>, PlanError> {
    let mut writers: HashMap<FileId, Vec<usize>> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for &written in &draft.stage.writes {
            let stages = writers.entry(written).or_default();
            // One stage must not name a file twice, and two may only share a file that both append to.
            let appends = |stage: &usize| drafts[*stage].appends == Some(written);
            let may_share = appends(&index) && stages.iter().all(|s| appends(s) && *s != index);
            if !stages.is_empty() && !may_share {
                return Err(PlanError::TwoWriters {
                    path: files.show(written),
                });
            }
            stages.push(index);
        }
    }
    Ok(writers)
}

fn writer(drafts: &[Draft], file: FileId) -> Option<&Draft> {
    drafts
        .iter()
        .find(|draft| draft.stage.writes.contains(&file))
}

/// The temporary file that `includer` includes under `name`.
fn beside(files: &Files, includer: FileId, name: &OsStr) -> Result<FileId, PlanError> {
    let includer = &files.list[includer.index()].path;
    let path: OsString = Path::new(includer).with_file_name(name).into_os_string();
    files.temp(&path).ok_or_else(|| PlanError::NoWriter {
        path: path.to_string_lossy().into_owned(),
    })
}

/// The stages that must have run before `stage`.
fn before(drafts: &[Draft], writers: &HashMap<FileId, Vec<usize>>, stage: usize) -> Vec<usize> {
    let mut before = Vec::new();
    for read in &drafts[stage].stage.reads {
        for &writer in writers.get(read).into_iter().flatten() {
            // Each stage that appends to a file waits for the appending stages before it; a stage that only
            // reads the file waits for all of them.
            let appends = drafts[stage].appends == Some(*read);
            if !appends || writer < stage {
                before.push(writer);
            }
        }
    }
    before
}

/// Checks that no stage waits for itself: removes stages that wait for nothing until none is left.
fn acyclic(drafts: &[Draft], writers: &HashMap<FileId, Vec<usize>>) -> Result<(), PlanError> {
    let mut waiting: Vec<usize> = Vec::with_capacity(drafts.len());
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    for stage in 0..drafts.len() {
        let before = before(drafts, writers, stage);
        waiting.push(before.len());
        for earlier in before {
            after[earlier].push(stage);
        }
    }
    let mut ready: Vec<usize> = (0..drafts.len())
        .filter(|&stage| waiting[stage] == 0)
        .collect();
    let mut done = 0;
    while let Some(stage) = ready.pop() {
        done += 1;
        for &later in &after[stage] {
            waiting[later] -= 1;
            if waiting[later] == 0 {
                ready.push(later);
            }
        }
    }
    if done == drafts.len() {
        Ok(())
    } else {
        Err(PlanError::Cycle)
    }
}
