//! `PCACHE_STAGES=0`: the real nvcc compiles a unit in one step.

use crate::cmdline::Job;
use crate::compile::detour::Detour;
use crate::compile::inputs::assembly::check_directives;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::directives;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::run::printed::OutputStream;
use crate::exec::{self, Command, Failure};
use crate::includes::lookups::NotStored;
use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use crate::plan::Plan;
use crate::toolchain::{HostFamily, recursion_guard};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

/// The compile of one source to one output.
pub(crate) struct OneStep<'a> {
    pub nvcc: &'a Path,
    /// The job to compile.
    pub job: &'a Job,
}

/// Returns a bypass unless the plan compiles one source to one output.
pub(crate) fn check(plan: &Plan) -> Result<(), Bypass> {
    let is_single =
        plan.link.is_empty() && plan.units.len() == 1 && plan.units[0].results.len() == 1;
    if is_single {
        Ok(())
    } else {
        Err(Bypass::new(BypassReason::OneStep, ""))
    }
}

impl OneStep<'_> {
    /// Runs nvcc instead of all stages of `work`'s unit. What it prints is attributed to the last stage.
    pub(crate) fn make(&self, work: &UnitContext<'_>) -> Result<(), Detour> {
        let workspace = work.commands.workspace;
        let (output, last) = (work.unit.results[0], work.unit.stages.iter().max());
        let last = last.copied().unwrap_or_default();
        workspace.prepare(work.plan, &[output])?;
        let mut args = self.job.one_step_args(
            &workspace.temporaries(),
            &workspace.locate(work.plan, output),
        );
        if work.commands.toolchain.host == HostFamily::Gnu {
            args.extend(["-Xcompiler".into(), work.commands.debug_map()]);
        }
        let command = Command {
            program: self.nvcc.to_owned(),
            args,
            stdout: workspace.stream(last, OutputStream::Stdout),
            stderr: workspace.stream(last, OutputStream::Stderr),
        };
        // nvcc preprocesses again and prints the messages of the passes again, so theirs are dropped.
        for number in &work.unit.stages {
            for stream in OutputStream::ALL {
                let printed = workspace.stream(*number, stream);
                fs::write(&printed, "").map_err(|error| trouble(&printed, &error))?;
            }
        }
        let environment: [(OsString, OsString); 4] = [
            recursion_guard(),
            ("TMPDIR".into(), workspace.scratch().into()),
            // Folded into the job.
            ("NVCC_PREPEND_FLAGS".into(), OsString::new()),
            ("NVCC_APPEND_FLAGS".into(), OsString::new()),
        ];
        let slots = work.runner.slots;
        exec::run_all(&[command], &environment, 1, slots, work.runner.signals)
            .map_err(|failure| self.detour(failure))?;
        drop_notices(
            &workspace.stream(last, OutputStream::Stderr),
            &work.plan.notices,
        )
    }

    fn detour(&self, failure: Failure) -> Detour {
        let error = match failure {
            Failure::Interrupted(signal) => return Detour::Interrupted(signal),
            Failure::Status(_, status) => status.to_string(),
            Failure::Start(_, error) => error.to_string(),
            Failure::Work(never) => match never {},
        };
        let detail = format!("{}: {error}", self.nvcc.display());
        Fallback::new(FallbackReason::Stage, detail).into()
    }

    /// Checks that neither the compiler nor the assembler can have read files that no pass has seen.
    pub(crate) fn evidence(
        &self,
        work: &UnitContext<'_>,
        read_files: &ReadFiles,
    ) -> Result<(), NotStored> {
        // The host compiler reads x.h.gch instead of x.h. Its depfile would say so, but is not at hand here.
        for header in read_files.precompilable() {
            let mut name = header.as_os_str().to_owned();
            name.push(".gch");
            if Path::new(&name).exists() {
                return Err(format!("{} may have been read", name.display()));
            }
        }
        check_directives(work, directives::check)
    }
}

/// Removes the notices, which the plan has already, from what nvcc printed to the file `printed`.
fn drop_notices(printed: &Path, notices: &[u8]) -> Result<(), Detour> {
    let text = fs::read(printed).map_err(|error| trouble(printed, &error))?;
    let Some(rest) = text.strip_prefix(notices) else {
        let detail = "nvcc's messages do not begin with the notices of its dry run";
        return Err(Fallback::new(FallbackReason::PlanShape, detail).into());
    };
    Ok(fs::write(printed, rest).map_err(|error| trouble(printed, &error))?)
}

fn trouble(path: &Path, error: &io::Error) -> Fallback {
    Fallback::new(
        FallbackReason::WorkDirectory,
        format!("{}: {error}", path.display()),
    )
}
