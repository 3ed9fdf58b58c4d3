//! The module id of a unit, and whether a second output of the same source needs an id of its own
//! (`docs/design/keys.md` says when nvcc gives it one).

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::preprocess;
use crate::compile::unit::consumed;
use crate::compile::unit::elf::{self, Binding};
use crate::compile::unit::product::Product;
use crate::includes::line_insensitive;
use crate::includes::placeless::placeless_digest;
use crate::includes::shown;
use crate::key::{Digest, Module, PathStarts, RELOCATABLE, RootName, middle};
use crate::plan::{FileId, Stage, Tool};
use memchr::memmem;
use std::fs;

/// Whether a unit's module id, and so its key, includes the path of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputScope {
    /// It does not: all outputs of the unit are one module.
    AnyOutput,
    /// It does: each output is a module of its own.
    ThisOutput,
}

/// The unit's module id; empty if no stage needs one.
pub(crate) fn id(
    work: &UnitContext<'_>,
    line_insensitive: Option<&LineInsensitive>,
    scope: OutputScope,
) -> Vec<u8> {
    if work.unit.module_id.is_none() {
        return Vec::new();
    }
    let output = (scope == OutputScope::ThisOutput).then(|| output(work));
    let source = &work.plan.file(work.unit.source).path;
    let module = Module {
        path: &work.facts.module_path(source, work.roots),
        contents: &module_contents(work, line_insensitive),
        output: output.as_deref(),
    };
    let job = consumed::job(work);
    let short = job.iter().map(|(name, values)| {
        let short = |value: &Vec<u8>| work.roots.shorten_text(value, PathStarts::Words).0;
        (*name, values.iter().map(short).collect::<Vec<_>>())
    });
    let short: Vec<_> = short.collect();
    module.id(short
        .iter()
        .map(|(name, values)| (*name, values.as_slice())))
}

/// The absolute path of the unit's output, below the base if it lies there: its own file, or the file that it is linked
/// into.
pub(crate) fn output(work: &UnitContext<'_>) -> Vec<u8> {
    let plan = work.plan;
    let own = work.unit.results.iter().copied();
    let linked = plan
        .link
        .iter()
        .rev()
        .filter_map(|&number| plan.stages[number].output);
    let mut outputs = own.chain(linked).filter(|&file| plan.is_output(file));
    let path = outputs.next().map(|file| plan.file(file).path.as_os_str());
    work.facts.module_path(path.unwrap_or_default(), work.roots)
}

/// Whether the plan's commands hold the output's path: the toolkit's stub is compiled with a module id that nvcc makes of
/// the whole path.
pub(crate) fn names_output(work: &UnitContext<'_>) -> bool {
    let mut stages = work.unit.stages.iter().map(|number| work.stage(*number));
    stages.any(|stage| stage.tool == Tool::StubCompile)
}

/// Whether nvcc would give a second output like `product`, which was compiled with `id`, another module id.
///
/// nvcc puts the process's number into the id of a source that defines nothing for other objects,
/// and the name of the first such definition into other ids. Two objects with the same definition cannot
/// go into one link anyway.
pub(crate) fn is_per_output(
    work: &UnitContext<'_>,
    product: &Product,
    id: &[u8],
    is_one_step: bool,
) -> bool {
    if names_output(work) {
        return true;
    }
    if work.unit.module_id.is_none() {
        return false;
    }
    let mut names = work.facts.job.iter().map(|(name, _)| *name);
    let relocatable = names.any(|name| RELOCATABLE.contains(&name));
    // A compile in one step has an id of nvcc's own, of which only the middle is known.
    let mark = if is_one_step {
        middle(&source(work))
    } else {
        id.to_vec()
    };
    let holds = |text: &[u8]| memmem::find(text, &mark).is_some();
    product.outputs.iter().any(|(file, bytes)| {
        let mut stages = work.unit.stages.iter().map(|number| work.stage(*number));
        let writer = stages.find(|stage| stage.writes.contains(file));
        let is_host = writer
            .is_some_and(|stage| matches!(stage.tool, Tool::HostCompile | Tool::HostPreprocess));
        match elf::defined(bytes).filter(|_| is_host) {
            Some(symbols) => {
                // A strong definition without the id: two such objects cannot go into one link.
                let is_unique = |(name, binding): &(&[u8], Binding)| {
                    *binding == Binding::Strong && !holds(name)
                };
                let has_id = symbols.iter().any(|(name, _)| holds(name));
                (relocatable || has_id) && !symbols.iter().any(is_unique)
            }
            // The host linker does not link whole-program device code.
            None => relocatable || is_host && holds(bytes),
        }
    })
}

/// Whether an output of `product` holds the module id, or device code does, which outputs may hold compressed.
pub(crate) fn is_shown(work: &UnitContext<'_>, product: &Product) -> bool {
    if work.unit.module_id.is_none() {
        return false;
    }
    let mark = middle(&source(work));
    let holds = |bytes: &[u8]| memmem::find(bytes, &mark).is_some();
    let stages = work.unit.stages.iter().map(|number| work.stage(*number));
    let mut device = stages.filter(|stage| matches!(stage.tool, Tool::Cicc | Tool::Ptxas));
    let is_in_device_code = device.any(|stage| {
        stage.output.is_some_and(|file| {
            let bytes = fs::read(work.commands.workspace.locate(work.plan, file));
            // A stage whose result is in the store may have left no file.
            bytes.map_or(true, |bytes| holds(&bytes))
        })
    });
    is_in_device_code || product.outputs.iter().any(|(_, bytes)| holds(bytes))
}

/// Whether the unit's source lies in the working directory, and not below a base.
pub(crate) fn is_in_directory_alone(work: &UnitContext<'_>) -> bool {
    let path = source(work);
    let root = work.roots.root_of(&path);
    root == Some(RootName::Directory) && work.roots.below_base(&path).is_none()
}

/// The absolute path of the unit's source.
pub(crate) fn source(work: &UnitContext<'_>) -> Vec<u8> {
    work.facts.absolute(&work.plan.file(work.unit.source).path)
}

/// The digests of the texts that the host's front end reads, or that the device's front ends read if there is none
/// for the host. They are line-insensitive if possible.
fn module_contents(
    work: &UnitContext<'_>,
    line_insensitive: Option<&LineInsensitive>,
) -> Vec<Digest> {
    let mut stages = work.unit.stages.iter().map(|number| work.stage(*number));
    let front_end = stages.find(|stage| stage.tool == Tool::Cudafe);
    let passes: Vec<_> = work
        .unit
        .passes
        .iter()
        .map(|number| work.stage(*number))
        .filter_map(|pass| Some((pass, pass.output?)))
        .collect();
    let is_read = |(_, text): &&(&Stage, FileId)| {
        front_end.is_some_and(|front_end| front_end.reads.contains(text))
    };
    let mut chosen: Vec<_> = passes.iter().filter(is_read).collect();
    if chosen.is_empty() {
        chosen = passes.iter().collect();
    }
    chosen
        .into_iter()
        .map(|&(pass, text)| {
            of_named_files(work, pass)
                .or_else(|| {
                    line_insensitive
                        .and_then(|line_insensitive| line_insensitive.placeless.get(&text).copied())
                        .or_else(|| line_insensitive_digest(work, pass))
                })
                .or_else(|| placeless_digest_of(work, pass))
                .unwrap_or_default()
        })
        .collect()
}

/// The digest of a text whose code asks for the names of its files, and may make the names of symbols from them. They
/// stand below the base then, so that two working directories have different ids.
fn of_named_files(work: &UnitContext<'_>, pass: &Stage) -> Option<Digest> {
    let text = preprocess::text(work, pass).ok()?;
    shown::asks_for_files(&text, work.roots)
        .then(|| placeless_digest(&text, &work.roots.with_directory_below_base()))
}

fn line_insensitive_digest(work: &UnitContext<'_>, pass: &Stage) -> Option<Digest> {
    let text = preprocess::text(work, pass).ok()?;
    let digest = line_insensitive::digest_in_place(&text, work.roots).ok()?;
    Some(digest.placeless)
}

fn placeless_digest_of(work: &UnitContext<'_>, pass: &Stage) -> Option<Digest> {
    let text = preprocess::text(work, pass).ok()?;
    Some(placeless_digest(&text, work.roots))
}
