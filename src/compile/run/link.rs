//! The stages that join units: device link, archive, host link. They always run, and write where
//! nvcc would.

use crate::compile::detour::Detour;
use crate::compile::run::commands::{Commands, Outputs, search_path};
use crate::compile::run::printed::Printed;
use crate::compile::run::runner::Runner;
use crate::compile::run::stage_names;
use crate::exec::{self, Command, Failure, Step, Work};
use crate::journal::{Recorder, StageEnd, StageHandle};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Plan, Resolve, Stage, Tool};
use crate::toolchain::look_up;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{self, Stdio};

/// Runs the link stages of `plan`, one after the other.
pub(crate) fn run(
    plan: &Plan,
    commands: &Commands<'_>,
    runner: &Runner<'_>,
    printed: &mut Printed,
) -> Result<(), Detour> {
    for number in &plan.link {
        let stage = &plan.stages[*number];
        if stage.tool == Tool::Remove {
            // The work directory is new, so there is nothing to remove.
            continue;
        }
        let mut command = commands.command(plan, stage, *number, Outputs::InPlace)?;
        if let Resolve::PrintProgName(name) = &stage.resolve {
            command.program = printed_program(plan, &command, name)?;
        }
        let (recorder, name) = (runner.recorder, stage_names::name(stage));
        let handle = recorder.begin_stage(name, stage_names::arch(stage));
        exec::run_steps(
            &[Step::default()],
            &mut Joining(&command, recorder, handle),
            &commands.environment,
            1,
            runner.slots,
            runner.signals,
        )
        .map_err(|failure| detour(stage, failure))?;
        printed
            .stdout
            .extend(fs::read(&command.stdout).unwrap_or_default());
        printed
            .stderr
            .extend(fs::read(&command.stderr).unwrap_or_default());
    }
    Ok(())
}

/// One command, whose start and end are recorded in the journal.
struct Joining<'a>(&'a Command, &'a Recorder, StageHandle);

impl Work for Joining<'_> {
    type Error = Infallible;

    fn begin(&mut self, _step: usize) -> Result<Option<Command>, Infallible> {
        Ok(Some(self.0.clone()))
    }

    fn started(&mut self, _step: usize) {
        self.1.start_stage(self.2);
    }

    fn end(&mut self, _step: usize) -> Result<(), Infallible> {
        self.1.end_stage(self.2, StageEnd::Ran);
        Ok(())
    }
}

/// The program that the host compiler names, as in ``"`gcc -print-prog-name=ar`" cr …``.
fn printed_program(plan: &Plan, command: &Command, name: &OsString) -> Result<PathBuf, Fallback> {
    let unknown = || Fallback::new(FallbackReason::UnknownTool, name.display().to_string());
    let mut flag = OsString::from("-print-prog-name=");
    flag.push(name);
    let output = process::Command::new(&command.program)
        .arg(flag)
        .envs(plan.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map_err(|_| unknown())?;
    let printed = OsString::from_vec(output.stdout.trim_ascii_end().to_vec());
    look_up(&printed, &search_path(plan)).ok_or_else(unknown)
}

fn detour(stage: &Stage, failure: Failure) -> Detour {
    let program = stage.program.display();
    let detail = match failure {
        Failure::Interrupted(signal) => return Detour::Interrupted(signal),
        Failure::Status(_, status) => format!("{program}: {status}"),
        Failure::Start(_, error) => format!("{program}: {error}"),
    };
    Fallback::new(FallbackReason::Stage, detail).into()
}
