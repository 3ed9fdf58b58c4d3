//! Runs the passes of some units once more, for what their sources alone do not show.
//!
//! The names of all headers that they include, as their macros give them: with flags by which the preprocessor prints its
//! `#include` directives (`-dI`). GCC expands macros in directives alone then (`-fdirectives-only`), which takes a third
//! of the time of a pass; clang takes all of it. And the paths that they ask the system for, which the kernel tells.

use crate::compile::inputs::additions::{SHOW_INCLUDES, show_includes};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::host::HostCompiler;
use crate::exec::{AskedPaths, paths_asked};
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
pub(crate) fn reached(works: &[UnitContext<'_>]) -> Result<ReachedNames, NotStored> {
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
    let mut command = command(work, stage)?;
    let family = work.commands.toolchain.host;
    let output = command.args(show_includes(family)).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if !output.status.success() {
        return Err("the preprocessor does not print its directives".to_owned());
    }
    names.read(&output.stdout);
    // The toolkit's stub includes a snippet of ours by the name that a macro gives.
    names.leave_out(work.commands.workspace.root());
    Ok(())
}

/// The paths that the passes of `works` ask the system for, from the main file on, and whether something is there.
///
/// # Errors
/// A preprocessor cannot be run or observed, or fails.
pub(crate) fn asked(works: &[UnitContext<'_>]) -> Result<AskedPaths, NotStored> {
    let mut all = AskedPaths::new();
    for work in works {
        if work.commands.toolchain.driver != HostDriver::Own {
            return Err("a program in front of the host compiler is not observed".to_owned());
        }
        let workspace = work.commands.workspace;
        for (_, stage) in work.passes.stages(work.plan, work.unit) {
            let read = stage.reads.iter();
            let read: Vec<_> = read
                .map(|file| workspace.locate(work.plan, *file))
                .collect();
            let mut command = command(work, stage)?;
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let asked = paths_asked(&mut command, &|path| read.iter().any(|file| file == path));
            let asked = asked.map_err(|error| format!("what it asks for is unknown: {error}"))?;
            if asked.is_empty() {
                return Err("what it asks for is unknown".to_owned());
            }
            for (path, exists) in asked {
                if all.insert(path, exists) == Some(!exists) {
                    return Err("a file came or went meanwhile".to_owned());
                }
            }
        }
        all.retain(|path, _| !path.starts_with(workspace.root()));
    }
    Ok(all)
}

/// A pass, printing its text.
fn command(work: &UnitContext<'_>, stage: &Stage) -> Result<Command, NotStored> {
    let program = work.commands.find(work.plan, &stage.program);
    let mut command = Command::new(program.map_err(|unknown| unknown.detail)?);
    let environment = work.commands.environment.iter();
    command
        .args(arguments(work, stage))
        .envs(environment.map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    Ok(command)
}

/// The arguments of a pass without its output.
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
    args
}
