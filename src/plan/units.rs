//! Groups stages into one unit for each source, and the link that follows.
//!
//! Stages belong together if they share a source or a file that one of them writes. Stages of nvlink, the
//! linker, `ar` and `rm`, and those that read their outputs, belong to the link. The graph must have been checked.

use super::error::PlanError;
use super::files::Files;
use super::parts::{FileId, FileKind, RulesTarget, Unit};
use super::stages::Draft;
use super::tool::Tool;
use std::collections::{BTreeMap, HashMap};

/// The stages, grouped.
pub(super) struct Grouped {
    /// One for each source, by first stage.
    pub units: Vec<Unit>,
    /// The link stages, in order.
    pub link: Vec<usize>,
}

/// Groups the stages. `rules` holds where make rules are written, each with the number of stages before it.
pub(super) fn group(
    drafts: &[Draft],
    files: &Files,
    rules: &[(usize, RulesTarget)],
) -> Result<Grouped, PlanError> {
    let linking = linking(drafts);
    let roots = roots(drafts, files, &linking);
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut link = Vec::new();
    for stage in 0..drafts.len() {
        if linking[stage] {
            link.push(stage);
        } else {
            members.entry(roots[stage]).or_default().push(stage);
        }
    }
    let mut units = Vec::new();
    for stages in members.into_values() {
        units.push(unit(drafts, files, &linking, stages)?);
    }
    units.sort_by_key(|unit| unit.stages[0]);
    place_rules(drafts, &mut units, rules)?;
    Ok(Grouped { units, link })
}

/// For each stage, whether it links, or reads the output of a stage that does.
fn linking(drafts: &[Draft]) -> Vec<bool> {
    let mut linking: Vec<bool> = drafts
        .iter()
        .map(|draft| {
            matches!(
                draft.stage.tool,
                Tool::Nvlink | Tool::HostLink | Tool::Archive | Tool::Remove
            )
        })
        .collect();
    loop {
        let written: Vec<FileId> = (0..drafts.len())
            .filter(|&stage| linking[stage])
            .flat_map(|stage| drafts[stage].stage.writes.iter().copied())
            .collect();
        let mut changed = false;
        for (stage, draft) in drafts.iter().enumerate() {
            if !linking[stage] && draft.stage.reads.iter().any(|read| written.contains(read)) {
                linking[stage] = true;
                changed = true;
            }
        }
        if !changed {
            return linking;
        }
    }
}

/// For each stage, the first stage of its group.
fn roots(drafts: &[Draft], files: &Files, linking: &[bool]) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..drafts.len()).collect();
    let mut first: HashMap<FileId, usize> = HashMap::new();
    for (stage, draft) in drafts.iter().enumerate() {
        if linking[stage] {
            continue;
        }
        for &file in draft.stage.reads.iter().chain(&draft.stage.writes) {
            if files.kind(file) == FileKind::Input && !is_source(draft, files, file) {
                continue;
            }
            let other = *first.entry(file).or_insert(stage);
            let (low, high) = (
                roots[stage].min(roots[other]),
                roots[stage].max(roots[other]),
            );
            // A plan has few stages, so renaming a whole group is simpler than a union-find forest.
            for root in &mut roots {
                if *root == high {
                    *root = low;
                }
            }
        }
    }
    roots
}

/// Whether a stage reads `file` as a source of the user. The toolkit's stub is not one.
fn is_source(draft: &Draft, files: &Files, file: FileId) -> bool {
    files.kind(file) == FileKind::Input
        && draft.stage.reads.contains(&file)
        && !(draft.stage.tool == Tool::StubCompile && draft.source == Some(file))
}

/// The unit of one group of stages.
fn unit(
    drafts: &[Draft],
    files: &Files,
    linking: &[bool],
    stages: Vec<usize>,
) -> Result<Unit, PlanError> {
    let mut sources: Vec<FileId> = Vec::new();
    let mut module_ids: Vec<FileId> = Vec::new();
    let mut results: Vec<FileId> = Vec::new();
    let is_linked = |file: FileId| {
        let mut links = drafts.iter().zip(linking).filter(|(_, linking)| **linking);
        links.any(|(draft, _)| draft.stage.reads.contains(&file))
    };
    for &stage in &stages {
        let draft = &drafts[stage];
        for &read in &draft.stage.reads {
            if is_source(draft, files, read) {
                add_new(&mut sources, read);
            }
        }
        if let Some(module_id) = draft.module_id {
            add_new(&mut module_ids, module_id);
        }
        for &written in &draft.stage.writes {
            if files.kind(written) == FileKind::Output || is_linked(written) {
                add_new(&mut results, written);
            }
        }
    }
    let [source] = sources[..] else {
        return Err(PlanError::UnitSources {
            found: sources.len(),
        });
    };
    if module_ids.len() > 1 {
        return Err(PlanError::TwoModuleIds);
    }
    let preprocesses = |stage: &usize| drafts[*stage].stage.tool == Tool::Preprocess;
    Ok(Unit {
        source,
        passes: stages.iter().copied().filter(preprocesses).collect(),
        stages,
        module_id: module_ids.first().copied(),
        results,
        rules: None,
    })
}

/// Adds `file` to `list` unless it is there already.
fn add_new(list: &mut Vec<FileId>, file: FileId) {
    if !list.contains(&file) {
        list.push(file);
    }
}

/// Assigns make rules to the unit of the preprocessing stage that they follow.
fn place_rules(
    drafts: &[Draft],
    units: &mut [Unit],
    rules: &[(usize, RulesTarget)],
) -> Result<(), PlanError> {
    for (before, target) in rules {
        let last = before.checked_sub(1);
        let pass = last.filter(|&stage| drafts[stage].stage.tool == Tool::Preprocess);
        let unit = pass.and_then(|pass| units.iter_mut().find(|unit| unit.stages.contains(&pass)));
        match unit {
            Some(unit) if unit.rules.is_none() => unit.rules = Some(target.clone()),
            _ => {
                let path = match target {
                    RulesTarget::File(path) => path.to_string_lossy().into_owned(),
                    RulesTarget::Stdout => String::new(),
                };
                return Err(PlanError::Depfile { path });
            }
        }
    }
    Ok(())
}
