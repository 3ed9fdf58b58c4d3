//! Which module a unit is: its id, and whether a second output of the same contents is a module of its own
//! (`docs/design/keys.md` says when nvcc takes it for one).

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::preprocess::{self, PassResults};
use crate::compile::unit::product::Product;
use crate::compile::unit::symbols::{self, Binding};
use crate::includes::line_insensitive;
use crate::key::{Digest, Module, RELOCATABLE, middle};
use crate::plan::{FileId, Stage, Tool};
use memchr::memmem;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Whether a unit's id, and so its key, names the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputScope {
    /// It is one module, whatever its outputs are called.
    AnyOutput,
    /// Each output is a module of its own.
    ThisOutput,
}

/// The unit's module id; empty where no stage asks for one.
pub(crate) fn id(
    work: &UnitContext<'_>,
    read: &PassResults,
    line_insensitive: Option<&LineInsensitive>,
    scope: OutputScope,
) -> Vec<u8> {
    if work.unit.module_id.is_none() {
        return Vec::new();
    }
    let output = (scope == OutputScope::ThisOutput).then(|| absolute(work, &output(work)));
    let path = source_path(work);
    let module = Module {
        path: path.as_os_str().as_bytes(),
        contents: &module_contents(work, read, line_insensitive),
        output: output.as_ref().map(|path| path.as_os_str().as_bytes()),
    };
    let job = work.facts.job.iter();
    module.id(job.map(|(name, values)| (*name, values.as_slice())))
}

/// Where the unit's result goes, as spelled: to a file of its own, or into what is linked of it.
pub(crate) fn output(work: &UnitContext<'_>) -> OsString {
    let plan = work.plan;
    let own = work.unit.results.iter().copied();
    let linked = plan.link.iter().rev();
    let linked = linked.filter_map(|&number| plan.stages[number].output);
    let mut outputs = own.chain(linked).filter(|&file| plan.is_output(file));
    let found = outputs.next();
    found.map_or_else(OsString::new, |file| plan.file(file).path.clone())
}

/// Whether a second output like `product`, which was made with `id`, is another module to nvcc.
///
/// nvcc takes the process's number into the id of a source that defines nothing for other objects,
/// and the name of the first such definition into other ids. Two objects with such a definition do
/// not go into one link anyhow.
pub(crate) fn is_per_output(
    work: &UnitContext<'_>,
    product: &Product,
    id: &[u8],
    is_one_step: bool,
) -> bool {
    if work.unit.module_id.is_none() {
        return false;
    }
    let mut names = work.facts.job.iter().map(|(name, _)| *name);
    let relocatable = names.any(|name| RELOCATABLE.contains(&name));
    let path = source_path(work);
    // One step has an id of nvcc's own.
    let mark = if is_one_step {
        middle(path.as_os_str().as_bytes())
    } else {
        id.to_vec()
    };
    let holds = |text: &[u8]| memmem::find(text, &mark).is_some();
    product.outputs.iter().any(|(file, bytes)| {
        let mut stages = work.unit.stages.iter().map(|number| work.stage(*number));
        let host = stages.find(|stage| stage.writes.contains(file));
        let is_host = host
            .is_some_and(|stage| matches!(stage.tool, Tool::HostCompile | Tool::HostPreprocess));
        match symbols::defined(bytes).filter(|_| is_host) {
            Some(names) => {
                let alone = |(name, binding): &(&[u8], Binding)| {
                    *binding == Binding::Strong && !holds(name)
                };
                let mut named = names.iter().filter(|(name, _)| holds(name));
                (relocatable || named.next().is_some()) && !names.iter().any(alone)
            }
            // No host links device code of a whole program.
            None => relocatable || is_host && holds(bytes),
        }
    })
}

fn source_path(work: &UnitContext<'_>) -> PathBuf {
    absolute(work, &work.plan.file(work.unit.source).path)
}

fn absolute(work: &UnitContext<'_>, path: &OsStr) -> PathBuf {
    work.facts.directory.spelled.join(path)
}

/// What the host's front end reads, without the numbers of lines where that can be told; what the
/// device's read where the host has none.
fn module_contents(
    work: &UnitContext<'_>,
    read: &PassResults,
    line_insensitive: Option<&LineInsensitive>,
) -> Vec<Digest> {
    let stages = work.unit.stages.iter().map(|number| work.stage(*number));
    let mut host = stages.filter(|stage| stage.tool == Tool::Cudafe);
    let host = host.next().map(|stage| &stage.reads);
    let numbers = work.unit.passes.iter();
    let passes = numbers.map(|number| work.stage(*number));
    let all: Vec<_> = passes
        .filter_map(|pass| Some((pass, pass.output?)))
        .collect();
    let is_read = |(_, text): &&(&Stage, FileId)| host.is_some_and(|reads| reads.contains(text));
    let mut wanted: Vec<_> = all.iter().filter(is_read).collect();
    if wanted.is_empty() {
        wanted = all.iter().collect();
    }
    wanted
        .into_iter()
        .map(|&(pass, text)| {
            let known = line_insensitive
                .and_then(|line_insensitive| line_insensitive.texts.get(&text))
                .copied();
            let moved = || {
                let text = preprocess::text(work, pass).ok()?;
                Some(
                    line_insensitive::line_insensitive_digest(&text)
                        .ok()?
                        .digest,
                )
            };
            let exact = |text: FileId| read.digests.get(&text).copied().unwrap_or_default();
            known.or_else(moved).unwrap_or_else(|| exact(text))
        })
        .collect()
}
