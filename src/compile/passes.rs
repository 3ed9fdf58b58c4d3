//! The preprocessing of one unit: nvcc's own passes, and those that it does not need but a key
//! does. Tells what they read.

use super::commands::template;
use super::evidence::{Entered, Known};
use super::schedule;
use super::unit::UnitWork;
use super::{Detour, digest_file};
use crate::includes::markers::{self, SourceFile};
use crate::key::{Digest, HostHeader, Pass};
use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, Stage, Tool, Unit};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Every header that the text written by cudafe++, cicc and fatbinary includes. The first time,
/// `host_runtime.h` declares; the second time, after the unit's own declarations, it defines.
pub const HOST_RUNTIME: &str = "#define __CUDA_INCLUDE_COMPILER_INTERNAL_HEADERS__
#include \"crt/host_runtime.h\"
#include \"crt/host_runtime.h\"
#include \"fatbinary_section.h\"
";

/// The passes of one unit besides the plan's own.
#[derive(Debug, Default)]
pub struct UnitPasses {
    /// Stages in front of which the plan has no pass: a host source is preprocessed and compiled
    /// in one. Each with the number of its streams.
    variants: Vec<(usize, Stage)>,
    /// The headers of the host compile of cudafe++'s output.
    runtime: Vec<(usize, Stage)>,
    /// Inputs that a stage reads as they are.
    raw: Vec<FileId>,
}

/// What the passes of a unit read.
pub struct Read {
    /// For the key, sorted.
    pub passes: Vec<Pass>,
    /// For the key, sorted.
    pub host_headers: Vec<HostHeader>,
    /// Every file read.
    pub known: Known,
    /// SHA-256 of each pass's text and of each input that a stage reads as it is.
    pub digests: HashMap<FileId, Digest>,
}

impl UnitPasses {
    /// Adds to `plan` the passes that unit `number` needs. `streams` is the first unused stream.
    pub fn add(plan: &mut Plan, number: usize, streams: &mut usize) -> Result<Self, Fallback> {
        let mut passes = Self::default();
        for index in plan.units[number].stages.clone() {
            let stage = &plan.stages[index];
            let tool = stage.tool;
            let inputs: Vec<_> = stage
                .reads
                .iter()
                .copied()
                .filter(|file| is_input(plan, *file))
                .collect();
            let generated = stage.reads.len() > inputs.len();
            let shape = |error: &dyn std::fmt::Display| {
                Fallback::new(FallbackReason::PlanShape, error.to_string())
            };
            match tool {
                Tool::Preprocess => {}
                Tool::HostCompile | Tool::HostPreprocess => {
                    if !inputs.is_empty() {
                        let output = temporary(plan, number, ".pcache.ii");
                        let stage = plan.preprocess_variant(index, &output);
                        passes
                            .variants
                            .push((next(streams), stage.map_err(|e| shape(&e))?));
                    }
                    if generated {
                        let snippet = temporary(plan, number, ".pcache-host.cpp");
                        let output = temporary(plan, number, ".pcache-host.ii");
                        let stage = plan.host_runtime_pass(index, &snippet, &output);
                        passes
                            .runtime
                            .push((next(streams), stage.map_err(|e| shape(&e))?));
                    }
                }
                _ => passes.raw.extend(inputs),
            }
        }
        Ok(passes)
    }

    /// Whether a stage compiles a user's source, under its own name, in one step.
    pub fn compile_sources(&self) -> bool {
        !self.variants.is_empty()
    }

    /// Whether a stage compiles what cudafe++ wrote, which includes headers of the toolkit's own.
    pub fn include_runtime(&self) -> bool {
        !self.runtime.is_empty()
    }

    /// Every pass with the number of its streams: the plan's own, variants, runtime headers.
    pub fn stages<'a>(&'a self, plan: &'a Plan, unit: &Unit) -> Vec<(usize, &'a Stage)> {
        let mut stages = self.of_source(plan, unit);
        let runtime = self.runtime.iter();
        stages.extend(runtime.map(|(number, stage)| (*number, stage)));
        stages
    }

    /// The passes of the source itself: all but those that only show what the compile of cudafe++'s text will read.
    pub fn of_source<'a>(&'a self, plan: &'a Plan, unit: &Unit) -> Vec<(usize, &'a Stage)> {
        let own = unit.passes.iter();
        let own = own.map(|number| (*number, &plan.stages[*number]));
        let variants = self.variants.iter();
        own.chain(variants.map(|(number, stage)| (*number, stage)))
            .collect()
    }

    /// Runs all passes of `work`'s unit and digests what they give.
    pub fn run(&self, work: &UnitWork<'_>) -> Result<Read, Detour> {
        for (_, stage) in &self.runtime {
            for file in &stage.reads {
                let path = work.commands.workspace.locate(work.plan, *file);
                fs::write(&path, HOST_RUNTIME).map_err(|error| unreadable(&path, &error))?;
            }
        }
        let stages = self.stages(work.plan, work.unit);
        schedule::run_passes(work, &stages)?;
        let mut read = Read {
            passes: Vec::new(),
            host_headers: Vec::new(),
            known: Known::default(),
            digests: HashMap::new(),
        };
        let runtime: Vec<_> = self.runtime.iter().map(|(number, _)| *number).collect();
        for (number, stage) in &stages {
            if runtime.contains(number) {
                read.host_headers
                    .extend(host_headers(work, stage, &mut read.known)?);
            } else {
                let pass = pass(work, *number, stage, &mut read.known)?;
                read.digests
                    .extend(stage.output.map(|file| (file, pass.digest)));
                read.passes.push(pass);
            }
        }
        if !self.variants.is_empty() {
            check_precompiled(&read.known)?;
            let all: Vec<_> = read.known.preprocessed().cloned().collect();
            all.into_iter()
                .for_each(|path| read.known.add_precompilable(path));
        }
        for file in &self.raw {
            let pass = raw_pass(work, *file, &mut read.known)?;
            read.digests.insert(*file, pass.digest);
            read.passes.push(pass);
        }
        read.passes
            .sort_by(|a, b| (&a.command, a.digest).cmp(&(&b.command, b.digest)));
        read.host_headers.sort_by(|a, b| a.path.cmp(&b.path));
        read.host_headers.dedup();
        Ok(read)
    }

    /// The preprocessed text of every pass that a depfile is made of, in nvcc's order.
    pub fn texts(&self, work: &UnitWork<'_>) -> Result<Vec<Vec<u8>>, Detour> {
        let own = work
            .unit
            .passes
            .iter()
            .map(|number| &work.plan.stages[*number]);
        let added = self.variants.iter().map(|(_, stage)| stage);
        let stages: Vec<_> = if work.unit.passes.is_empty() {
            added.collect()
        } else {
            own.collect()
        };
        stages.into_iter().map(|stage| text(work, stage)).collect()
    }
}

fn next(streams: &mut usize) -> usize {
    *streams += 1;
    *streams - 1
}

/// A temporary name of ours, told by the unit's source alone so that it may stand in a key.
fn temporary(plan: &Plan, unit: usize, suffix: &str) -> OsString {
    let source = Path::new(&plan.file(plan.units[unit].source).path);
    let mut name = source.file_name().unwrap_or(source.as_os_str()).to_owned();
    name.push(suffix);
    name
}

fn is_input(plan: &Plan, file: FileId) -> bool {
    plan.file(file).kind == FileKind::Input
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Fallback {
    Fallback::new(
        FallbackReason::Preprocess,
        format!("{}: {error}", path.display()),
    )
}

/// What the pass `stage` has written.
pub fn text(work: &UnitWork<'_>, stage: &Stage) -> Result<Vec<u8>, Detour> {
    let output = stage.output.ok_or_else(|| {
        Fallback::new(
            FallbackReason::PlanShape,
            "a preprocessing pass without output",
        )
    })?;
    let path = work.commands.workspace.locate(work.plan, output);
    Ok(fs::read(&path).map_err(|error| unreadable(&path, &error))?)
}

fn pass(
    work: &UnitWork<'_>,
    number: usize,
    stage: &Stage,
    known: &mut Known,
) -> Result<Pass, Detour> {
    let bytes = text(work, stage)?;
    let files = markers::files(&bytes);
    for file in &files {
        known.add(file.path.clone().into(), entered(work, &files, file));
    }
    let printed = printed(work, number)?;
    known.add_times(&bytes);
    known.add_times(&printed);
    Ok(Pass {
        command: template(work.plan, stage),
        digest: Sha256::digest(&bytes).into(),
        printed: (!printed.is_empty()).then(|| Sha256::digest(&printed).into()),
    })
}

/// How a pass that entered `files` came to `file`. Text of ours does not count.
fn entered(work: &UnitWork<'_>, files: &[SourceFile], file: &SourceFile) -> Entered {
    let by = file.includer.map(|at| PathBuf::from(&files[at].path));
    Entered {
        by: by.filter(|by| !work.commands.workspace.holds(by)),
        origin: file.origin,
    }
}

/// What stage `number` printed. A message may leave no trace in the text.
fn printed(work: &UnitWork<'_>, number: usize) -> Result<Vec<u8>, Detour> {
    let mut printed = Vec::new();
    for suffix in ["out", "err"] {
        let path = work.commands.workspace.stream(number, suffix);
        printed.extend(fs::read(&path).map_err(|error| unreadable(&path, &error))?);
    }
    Ok(printed)
}

/// gcc takes `x.h.gch` in place of `x.h` when it compiles a host source, and not when it only
/// preprocesses: the pass does not tell what the compile reads.
fn check_precompiled(known: &Known) -> Result<(), Bypass> {
    let mut precompiled = known.preprocessed().map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".gch");
        PathBuf::from(name)
    });
    match precompiled.find(|path| path.exists()) {
        Some(path) => Err(Bypass::new(
            BypassReason::Precompiled,
            path.display().to_string(),
        )),
        None => Ok(()),
    }
}

/// The content of every header that the pass read. Its text alone would not do: a macro that the
/// generated code uses leaves no trace in it.
fn host_headers(
    work: &UnitWork<'_>,
    stage: &Stage,
    known: &mut Known,
) -> Result<Vec<HostHeader>, Detour> {
    let bytes = text(work, stage)?;
    known.add_times(&bytes);
    let mut found = Vec::new();
    let files = markers::files(&bytes);
    for file in &files {
        let path = Path::new(&file.path);
        if work.commands.workspace.holds(path) {
            continue;
        }
        let digest = digest_file(path).map_err(|error| unreadable(path, &error))?;
        known.add(path.to_owned(), entered(work, &files, file));
        known.add_precompilable(path.to_owned());
        found.push(HostHeader {
            path: path.as_os_str().as_bytes().to_vec(),
            digest,
        });
    }
    Ok(found)
}

fn raw_pass(work: &UnitWork<'_>, file: FileId, known: &mut Known) -> Result<Pass, Detour> {
    let path = Path::new(&work.plan.file(file).path);
    let digest = digest_file(path).map_err(|error| unreadable(path, &error))?;
    known.add_raw(path.to_owned());
    Ok(Pass {
        command: [b"input\0", path.as_os_str().as_bytes()].concat(),
        digest,
        printed: None,
    })
}
