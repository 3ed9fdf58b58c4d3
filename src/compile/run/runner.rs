//! Runs stages as a schedule: which waits for which, and a guess at what each costs.

use crate::compile::detour::Detour;
use crate::compile::run::stage_names;
use crate::exec::{self, Failure, Signals, Slots, Step, Work};
use crate::journal::{Recorder, StageEnd, StageHandle};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Plan, Stage, Tool};
use std::ffi::OsString;
use std::thread;

/// What runs the commands of an invocation.
pub(crate) struct Runner<'a> {
    /// Who may run a stage now.
    pub slots: &'a Slots,
    /// Notices signals.
    pub signals: &'a Signals,
    /// Where it is told what runs.
    pub recorder: &'a Recorder,
    /// What `-t` says.
    pub threads: Option<usize>,
}

impl Runner<'_> {
    /// Runs `stages` by `work`, side by side as far as they do not wait for each other.
    pub(crate) fn run(
        &self,
        stages: &[&Stage],
        work: &mut impl Work<Error = Detour>,
        environment: &[(OsString, OsString)],
        reason: FallbackReason,
    ) -> Result<(), Detour> {
        let failed = |step: usize, what: String| {
            let program = stages[step].program.display();
            Fallback::new(reason, format!("{program}: {what}")).into()
        };
        let (steps, width) = (steps(stages), width(self.threads));
        let ended = exec::run_steps(&steps, work, environment, width, self.slots, self.signals);
        ended.map_err(|failure| match failure {
            Failure::Interrupted(signal) => Detour::Interrupted(signal),
            Failure::Status(step, status) => failed(step, status.to_string()),
            Failure::Start(step, error) => failed(step, error.to_string()),
            Failure::Work(detour) => detour,
        })
    }
}

/// What becomes of stages, told to the account of the compile.
pub(crate) struct StageLog<'a> {
    recorder: &'a Recorder,
    /// Each with its name and architecture.
    stages: Vec<(&'static str, Option<String>, Option<StageHandle>)>,
}

impl<'a> StageLog<'a> {
    /// Of `stages` with their numbers; those that `plan` does not have are passes of ours: of a host source, of the
    /// headers of the last host compile.
    pub(crate) fn of(recorder: &'a Recorder, plan: &Plan, stages: &[(usize, &Stage)]) -> Self {
        let is_ours = |number: usize| number >= plan.stages.len();
        let stages = stages.iter().map(|(number, stage)| {
            if is_ours(*number) {
                ("extra_pass", None, None)
            } else {
                (stage_names::name(stage), stage_names::arch(stage), None)
            }
        });
        Self {
            recorder,
            stages: stages.collect(),
        }
    }

    /// Stage `step` begins.
    pub(crate) fn begin(&mut self, step: usize) {
        let (name, arch, told) = &mut self.stages[step];
        *told = Some(self.recorder.begin_stage(name, arch.clone()));
    }

    /// Its command has a slot.
    pub(crate) fn start(&self, step: usize) {
        if let Some(told) = self.stages[step].2 {
            self.recorder.start_stage(told);
        }
    }

    /// It is done.
    pub(crate) fn end(&self, step: usize, end: StageEnd) {
        if let Some(told) = self.stages[step].2 {
            self.recorder.end_stage(told, end);
        }
    }
}

/// `-t N` runs N children at once, `-t 0` as many as there are cores. Without it the slots are the
/// only limit.
fn width(threads: Option<usize>) -> usize {
    match threads {
        Some(0) => thread::available_parallelism().map_or(1, usize::from),
        Some(width) => width,
        None => usize::MAX,
    }
}

/// Each stage waits for those that write what it reads. The module id is there before all.
fn steps(stages: &[&Stage]) -> Vec<Step> {
    let feeds =
        |one: &Stage, other: &Stage| one.writes.iter().any(|file| other.reads.contains(file));
    let step = |stage: &&Stage| Step {
        after: (0..stages.len())
            .filter(|before| feeds(stages[*before], stage))
            .collect(),
        weight: weight(stage.tool),
    };
    stages.iter().map(step).collect()
}

/// Hundredths of a second that the tool takes for a unit with 18 MB of headers, which the others are
/// like in proportion. Only the order counts: the longest way to the end goes first.
fn weight(tool: Tool) -> u64 {
    match tool {
        Tool::Preprocess | Tool::HostPreprocess => 100,
        Tool::Cudafe | Tool::Cicc => 260,
        Tool::Ptxas => 30,
        Tool::HostCompile | Tool::StubCompile => 165,
        Tool::EmptyFatbinary
        | Tool::Fatbinary
        | Tool::Assemble
        | Tool::Nvlink
        | Tool::HostLink
        | Tool::Archive
        | Tool::Remove => 1,
    }
}
