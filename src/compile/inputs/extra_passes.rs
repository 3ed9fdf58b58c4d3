//! The preprocessing of one unit besides nvcc's own passes: what a key needs, and nvcc does not.

use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, Stage, Tool, Unit};
use std::ffi::OsString;
use std::path::Path;

/// Every header that the text written by cudafe++, cicc and fatbinary includes. The first time,
/// `host_runtime.h` declares; the second time, after the unit's own declarations, it defines.
pub(crate) const HOST_RUNTIME: &str = "#define __CUDA_INCLUDE_COMPILER_INTERNAL_HEADERS__
#include \"crt/host_runtime.h\"
#include \"crt/host_runtime.h\"
#include \"fatbinary_section.h\"
";

/// The passes of one unit besides the plan's own.
#[derive(Debug, Default)]
pub(crate) struct UnitPasses {
    /// Stages in front of which the plan has no pass: a host source is preprocessed and compiled
    /// in one. Each with the number of its streams.
    pub variants: Vec<(usize, Stage)>,
    /// The headers of the host compile of cudafe++'s output.
    pub runtime: Vec<(usize, Stage)>,
    /// Inputs that a stage reads as they are.
    pub raw: Vec<FileId>,
}

impl UnitPasses {
    /// Adds to `plan` the passes that unit `number` needs. `streams` is the first unused stream.
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
    pub(crate) fn compile_sources(&self) -> bool {
        !self.variants.is_empty()
    }

    /// Whether a stage compiles what cudafe++ wrote, which includes headers of the toolkit's own.
    pub(crate) fn include_runtime(&self) -> bool {
        !self.runtime.is_empty()
    }

    /// Every pass with the number of its streams: the plan's own, variants, runtime headers.
    pub(crate) fn stages<'a>(&'a self, plan: &'a Plan, unit: &Unit) -> Vec<(usize, &'a Stage)> {
        let mut stages = self.of_source(plan, unit);
        let runtime = self.runtime.iter();
        stages.extend(runtime.map(|(number, stage)| (*number, stage)));
        stages
    }

    /// The passes of the source itself: all but those that only show what the compile of cudafe++'s text will read.
    pub(crate) fn of_source<'a>(&'a self, plan: &'a Plan, unit: &Unit) -> Vec<(usize, &'a Stage)> {
        let own = unit.passes.iter();
        let own = own.map(|number| (*number, &plan.stages[*number]));
        let variants = self.variants.iter();
        own.chain(variants.map(|(number, stage)| (*number, stage)))
            .collect()
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
