//! `PCACHE_STAGES=0`: the real nvcc makes what a unit leaves behind, as one step.

use crate::cmdline::Job;
use crate::compile::detour::Detour;
use crate::compile::inputs::assembly::check_directives;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::run::printed::OutputStream;
use crate::exec::{self, Command, Failure};
use crate::includes::lookups::Doubt;
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
    /// What it is asked for.
    pub job: &'a Job,
}

/// A bypass for a plan that is more than one source to one output.
pub(crate) fn check(plan: &Plan) -> Result<(), Bypass> {
    let is_one = plan.link.is_empty() && plan.units.len() == 1 && plan.units[0].results.len() == 1;
    if is_one {
        Ok(())
    } else {
        Err(Bypass::new(BypassReason::OneStep, ""))
    }
}

impl OneStep<'_> {
    /// Runs nvcc in the place of all stages of `work`'s unit. What it prints is the last stage's.
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
        // nvcc preprocesses again, and says again what the passes said.
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
        let ended = exec::run_all(&[command], &environment, 1, slots, work.runner.signals);
        ended.map_err(|failure| {
            let failed = |what: String| {
                let text = format!("{}: {what}", self.nvcc.display());
                Fallback::new(FallbackReason::Stage, text).into()
            };
            match failure {
                Failure::Interrupted(signal) => Detour::Interrupted(signal),
                Failure::Status(_, status) => failed(status.to_string()),
                Failure::Start(_, error) => failed(error.to_string()),
                Failure::Work(never) => match never {},
            }
        })?;
        drop_notices(
            &workspace.stream(last, OutputStream::Stderr),
            &work.plan.notices,
        )
    }

    /// A doubt where the compiler or the assembler may read what no pass has seen.
    pub(crate) fn evidence(&self, work: &UnitContext<'_>, known: &ReadFiles) -> Result<(), Doubt> {
        // The host compiler takes x.h.gch for x.h, which its own account would tell.
        for header in known.precompilable() {
            let mut name = header.as_os_str().to_owned();
            name.push(".gch");
            if Path::new(&name).exists() {
                return Err(format!("{} may have been read", name.display()));
            }
        }
        check_directives(work)
    }
}

/// Takes nvcc's own words, which the plan has already, from what it printed.
fn drop_notices(printed: &Path, notices: &[u8]) -> Result<(), Detour> {
    let all = fs::read(printed).map_err(|error| trouble(printed, &error))?;
    let Some(rest) = all.strip_prefix(notices) else {
        let text = "nvcc does not begin with the words of its dry run";
        return Err(Fallback::new(FallbackReason::PlanShape, text).into());
    };
    Ok(fs::write(printed, rest).map_err(|error| trouble(printed, &error))?)
}

fn trouble(path: &Path, error: &io::Error) -> Fallback {
    Fallback::new(
        FallbackReason::WorkDirectory,
        format!("{}: {error}", path.display()),
    )
}
