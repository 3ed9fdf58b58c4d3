//! The extra passes of one unit: preprocessing that its key needs, and that nvcc does not run.

use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, PlanError, Stage, Tool, Unit};
use std::ffi::OsString;
use std::path::Path;

/// Includes every header that the outputs of cudafe++, cicc and fatbinary include. At its first inclusion
/// `host_runtime.h` declares; at its second, after the unit's own declarations, it defines.
const HOST_RUNTIME: &str = "#define __CUDA_INCLUDE_COMPILER_INTERNAL_HEADERS__
#include \"crt/host_runtime.h\"
#include \"crt/host_runtime.h\"
#include \"fatbinary_section.h\"
";

/// Includes what the output of fatbinary includes.
const FATBINARY: &str = "#include \"fatbinary_section.h\"\n";

/// The passes of one unit besides the plan's own, each with a number for the files of what it prints.
#[derive(Debug, Default)]
pub(crate) struct UnitPasses {
    /// The passes of host sources, which nvcc preprocesses and compiles in one stage.
    pub variants: Vec<(usize, Stage)>,
    /// The passes over the headers that the host compile of cudafe++'s output or of the toolkit's stub includes.
    pub runtime: Vec<(usize, Stage)>,
    /// The texts that these passes read in place of files that do not exist yet. They must be written before.
    pub snippets: Vec<(FileId, &'static str)>,
    /// Inputs that a stage reads without preprocessing.
    pub raw: Vec<FileId>,
}

impl UnitPasses {
    /// Creates the passes that unit `number` needs, and adds their files to `plan`. `streams` is the next free number
    /// for a pass.
    pub(crate) fn add(
        plan: &mut Plan,
        number: usize,
        streams: &mut usize,
    ) -> Result<Self, Fallback> {
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
            let reads_generated = stage.reads.len() > inputs.len();
            let misfit =
                |error: PlanError| Fallback::new(FallbackReason::PlanShape, error.to_string());
            match tool {
                Tool::Preprocess => {}
                Tool::HostCompile | Tool::HostPreprocess => {
                    if !inputs.is_empty() {
                        let output = temporary(plan, number, ".pcache.ii");
                        let stage = plan.preprocess_variant(index, &output);
                        passes
                            .variants
                            .push((next(streams), stage.map_err(misfit)?));
                    }
                    if reads_generated {
                        let snippet = temporary(plan, number, ".pcache-host.cpp");
                        let output = temporary(plan, number, ".pcache-host.ii");
                        let stage = plan.host_runtime_pass(index, &snippet, &output);
                        let stage = stage.map_err(misfit)?;
                        passes.add_runtime(next(streams), stage, HOST_RUNTIME);
                    }
                }
                Tool::StubCompile => {
                    let snippet = temporary(plan, number, ".pcache-stub.h");
                    let output = temporary(plan, number, ".pcache-stub.ii");
                    let stage = plan.stub_pass(index, &snippet, &output);
                    let stage = stage.map_err(misfit)?;
                    passes.add_runtime(next(streams), stage, FATBINARY);
                }
                _ => passes.raw.extend(inputs),
            }
        }
        Ok(passes)
    }

    /// Whether the host compiler compiles a user's source itself.
    pub(crate) fn compile_sources(&self) -> bool {
        !self.variants.is_empty()
    }

    /// Adds a pass, whose last file is a snippet with this text.
    fn add_runtime(&mut self, number: usize, pass: Stage, text: &'static str) {
        self.snippets
            .extend(pass.reads.last().map(|file| (*file, text)));
        self.runtime.push((number, pass));
    }

    /// Every pass with its number: the plan's own, variants, runtime headers.
    pub(crate) fn stages<'a>(&'a self, plan: &'a Plan, unit: &Unit) -> Vec<(usize, &'a Stage)> {
        let mut stages = self.of_source(plan, unit);
        let runtime = self.runtime.iter();
        stages.extend(runtime.map(|(number, stage)| (*number, stage)));
        stages
    }

    /// The passes of the source itself: all except those that only show which headers the compile of cudafe++'s output
    /// will read.
    pub(crate) fn of_source<'a>(&'a self, plan: &'a Plan, unit: &Unit) -> Vec<(usize, &'a Stage)> {
        let own = unit.passes.iter();
        let own = own.map(|number| (*number, &plan.stages[*number]));
        let variants = self.variants.iter();
        own.chain(variants.map(|(number, stage)| (*number, stage)))
            .collect()
    }
}

/// Takes the next free number.
fn next(streams: &mut usize) -> usize {
    *streams += 1;
    *streams - 1
}

/// The name of an extra temporary file. It depends only on the unit's source, so that it may be part of a key.
fn temporary(plan: &Plan, unit: usize, suffix: &str) -> OsString {
    let source = Path::new(&plan.file(plan.units[unit].source).path);
    let mut name = source.file_name().unwrap_or(source.as_os_str()).to_owned();
    name.push(suffix);
    name
}

fn is_input(plan: &Plan, file: FileId) -> bool {
    plan.file(file).kind == FileKind::Input
}
