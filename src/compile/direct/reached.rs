//! The names of all headers that the passes of some units include, as their macros give them. Runs each pass once more,
//! with flags by which the preprocessor prints its `#include` directives (`-dI`). GCC expands macros in directives
//! alone then (`-fdirectives-only`), which takes a third of the time of a pass; clang takes all of it.

use crate::compile::inputs::additions::{SHOW_INCLUDES, show_includes};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::host::HostCompiler;
use crate::includes::lookups::NotStored;
use crate::includes::reached::ReachedNames;
use crate::plan::Stage;
use crate::toolchain::HostDriver;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// The names that the passes of `works` include.
///
/// # Errors
/// A preprocessor cannot be run, or fails.
pub(crate) fn names(works: &[UnitContext<'_>]) -> Result<ReachedNames, NotStored> {
    let mut names = ReachedNames::default();
    for work in works {
        let stages = work.passes.stages(work.plan, work.unit);
        check_wrapper(work, stages.iter().map(|(_, stage)| *stage))?;
        for (_, stage) in stages {
            add_names(work, stage, &mut names)?;
        }
    }
    Ok(names)
}

/// Checks that a program in front of GCC does nothing else with the added flags.
fn check_wrapper<'a>(
    work: &UnitContext<'_>,
    stages: impl Iterator<Item = &'a Stage>,
) -> Result<(), NotStored> {
    let compiler = HostCompiler {
        toolchain: work.commands.toolchain,
        digests: work.cache.digests,
    };
    let added = SHOW_INCLUDES.map(OsString::from).to_vec();
    let is_own = compiler.toolchain.driver == HostDriver::Own;
    let stages = stages.map(|stage| (stage, added.clone()));
    (is_own || compiler.does_the_same(work.plan, stages))
        .then_some(())
        .ok_or_else(|| {
            "the host compiler does something else where it prints directives".to_owned()
        })
}

fn add_names(
    work: &UnitContext<'_>,
    stage: &Stage,
    names: &mut ReachedNames,
) -> Result<(), NotStored> {
    let program = work.commands.find(work.plan, &stage.program);
    let program = program.map_err(|unknown| unknown.detail)?;
    let environment = work.commands.environment.iter();
    let output = Command::new(&program)
        .args(arguments(work, stage))
        .envs(environment.map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err("the preprocessor does not print its directives".to_owned());
    }
    names.read(&output.stdout);
    // The toolkit's stub includes a snippet of ours by the name that a macro gives.
    names.leave_out(work.commands.workspace.root());
    Ok(())
}

/// The arguments of a pass without its output, and with the flags that print directives.
fn arguments(work: &UnitContext<'_>, stage: &Stage) -> Vec<OsString> {
    let (plan, workspace) = (work.plan, work.commands.workspace);
    let mut locate = |file| workspace.locate(plan, file).into_os_string();
    let output = stage.output.map(&mut locate);
    let mut args: Vec<OsString> = Vec::new();
    for argument in &stage.args {
        let argument = plan.render(argument, &mut locate);
        if Some(&argument) == output.as_ref() {
            args.pop_if(|last| last == "-o");
        } else {
            args.push(argument);
        }
    }
    let family = work.commands.toolchain.host;
    args.extend(show_includes(family).iter().map(OsString::from));
    args
}
