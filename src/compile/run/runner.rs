//! Runs stages as a schedule: each waits for the stages that write its inputs, and has an estimated cost.

use crate::compile::detour::Detour;
use crate::compile::run::stage_names;
use crate::exec::{self, Failure, Signals, Slots, Step, Work};
use crate::journal::{Recorder, StageEnd, StageHandle};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Plan, Stage, Tool};
use std::ffi::OsString;
use std::thread;

/// Runs the commands of an invocation.
pub(crate) struct Runner<'a> {
    /// The slots that stages need to run.
    pub slots: &'a Slots,
    pub signals: &'a Signals,
    /// Where stages are recorded.
    pub recorder: &'a Recorder,
    /// The value of `-t`.
    pub threads: Option<usize>,
}

impl Runner<'_> {
    /// Runs `stages`, whose commands `work` provides, in parallel unless one waits for another. A stage that fails
    /// is a fallback for `reason`.
    pub(crate) fn run(
        &self,
        stages: &[&Stage],
        work: &mut impl Work<Error = Detour>,
        environment: &[(OsString, OsString)],
        reason: FallbackReason,
    ) -> Result<(), Detour> {
        let failed = |step: usize, error: String| {
            let program = stages[step].program.display();
            Fallback::new(reason, format!("{program}: {error}")).into()
        };
        let (steps, width) = (steps(stages), width(self.threads));
        let result = exec::run_steps(&steps, work, environment, width, self.slots, self.signals);
        result.map_err(|failure| match failure {
            Failure::Interrupted(signal) => Detour::Interrupted(signal),
            Failure::Status(step, status) => failed(step, status.to_string()),
            Failure::Start(step, error) => failed(step, error.to_string()),
            Failure::Work(detour) => detour,
        })
    }
}

/// Records in the journal when stages begin, start and end.
pub(crate) struct StageLog<'a> {
    recorder: &'a Recorder,
    /// The name, architecture and journal entry of each stage.
    stages: Vec<(&'static str, Option<String>, Option<StageHandle>)>,
}

impl<'a> StageLog<'a> {
    /// The log of `stages`, given with their numbers. Numbers beyond those of `plan` are extra passes: of a host
    /// source, or of the headers of the last host compile.
    pub(crate) fn of(recorder: &'a Recorder, plan: &Plan, stages: &[(usize, &Stage)]) -> Self {
        let is_extra = |number: usize| number >= plan.stages.len();
        let stages = stages.iter().map(|(number, stage)| {
            if is_extra(*number) {
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

    /// Records that stage `step` begins.
    pub(crate) fn begin(&mut self, step: usize) {
        let (name, arch, handle) = &mut self.stages[step];
        *handle = Some(self.recorder.begin_stage(name, arch.clone()));
    }

    /// Records that the command of stage `step` has got a slot.
    pub(crate) fn start(&self, step: usize) {
        if let Some(handle) = self.stages[step].2 {
            self.recorder.start_stage(handle);
        }
    }

    /// Records that stage `step` has ended.
    pub(crate) fn end(&self, step: usize, end: StageEnd) {
        if let Some(handle) = self.stages[step].2 {
            self.recorder.end_stage(handle, end);
        }
    }
}

/// How many children may run at once: N with `-t N`, as many as there are cores with `-t 0`. Without `-t` the slots
/// are the only limit.
fn width(threads: Option<usize>) -> usize {
    match threads {
        Some(0) => thread::available_parallelism().map_or(1, usize::from),
        Some(width) => width,
        None => usize::MAX,
    }
}

/// The schedule of `stages`: each waits for those that write its inputs. The module id is written before all stages.
fn steps(stages: &[&Stage]) -> Vec<Step> {
    let feeds = |writer: &Stage, reader: &Stage| {
        writer.writes.iter().any(|file| reader.reads.contains(file))
    };
    let step = |stage: &&Stage| Step {
        after: (0..stages.len())
            .filter(|before| feeds(stages[*before], stage))
            .collect(),
        weight: weight(stage.tool),
    };
    stages.iter().map(step).collect()
}

/// The estimated cost of a stage: hundredths of a second that the tool takes for a unit with 18 MB of headers; other
/// units have similar proportions. Only the order matters: stages on the longest path to the end start first.
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
