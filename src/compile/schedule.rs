//! The stages of a unit as a schedule: which waits for which, and a guess at what each costs. Runs
//! them from the stage cache or for real. Does not know how slots are given out.

use super::Detour;
use super::commands::Outputs;
use super::stages::{self, Stages};
use super::unit::UnitWork;
use crate::exec::{self, Command, Failure, Step, Work};
use crate::journal::StageAccount;
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Stage, Tool};
use std::thread;

/// Takes the stages `numbers` of `work`'s plan from the store, or runs them, side by side as far as
/// they do not wait for each other. `beside` is called while one of them runs by itself.
pub fn run(
    work: &UnitWork<'_>,
    stages: &mut Stages<'_>,
    numbers: &[usize],
    beside: &mut dyn FnMut(),
) -> Result<(), Detour> {
    struct Rest<'a, 'b>(
        &'b mut Stages<'a>,
        &'b [usize],
        &'b mut dyn FnMut(),
        Told<'b>,
    );

    impl Work for Rest<'_, '_> {
        type Error = Detour;

        fn begin(&mut self, step: usize) -> Result<Option<Command>, Detour> {
            self.3.begin(step);
            let command = self.0.begin(self.1[step])?;
            if command.is_none() {
                self.3.end(step, true);
            }
            Ok(command)
        }

        fn started(&mut self, step: usize) {
            self.3.start(step);
        }

        fn end(&mut self, step: usize) -> Result<(), Detour> {
            self.3.end(step, false);
            Ok(self.0.end(self.1[step])?)
        }

        fn meanwhile(&mut self) {
            self.2();
        }
    }

    let chosen = numbers.iter().map(|number| work.stage(*number));
    let chosen: Vec<_> = chosen.collect();
    let named: Vec<_> = numbers
        .iter()
        .copied()
        .zip(chosen.iter().copied())
        .collect();
    run_steps(
        work,
        &chosen,
        &mut Rest(stages, numbers, beside, Told::of(work, &named)),
        FallbackReason::Stage,
    )
}

/// Runs passes, which need not be the plan's own; the numbers name their streams.
pub fn run_passes(work: &UnitWork<'_>, passes: &[(usize, &Stage)]) -> Result<(), Detour> {
    struct Passes<'a, 'b>(&'b UnitWork<'a>, &'b [(usize, &'b Stage)], Told<'b>);

    impl Work for Passes<'_, '_> {
        type Error = Detour;

        fn begin(&mut self, step: usize) -> Result<Option<Command>, Detour> {
            let Self(work, passes, told) = self;
            told.begin(step);
            let (number, pass) = passes[step];
            let commands = work.commands;
            commands.workspace.prepare(work.plan, &pass.writes)?;
            let command = commands.command(work.plan, pass, number, Outputs::Private)?;
            Ok(Some(command))
        }

        fn started(&mut self, step: usize) {
            self.2.start(step);
        }

        fn end(&mut self, step: usize) -> Result<(), Detour> {
            self.2.end(step, false);
            Ok(())
        }
    }

    let stages: Vec<_> = passes.iter().map(|(_, stage)| *stage).collect();
    run_steps(
        work,
        &stages,
        &mut Passes(work, passes, Told::of(work, passes)),
        FallbackReason::Preprocess,
    )
}

/// What becomes of stages, told to the account of the compile.
struct Told<'a> {
    work: &'a UnitWork<'a>,
    /// Each with its name and architecture.
    stages: Vec<(&'static str, Option<String>, Option<StageAccount>)>,
}

impl<'a> Told<'a> {
    fn of(work: &'a UnitWork<'_>, stages: &[(usize, &Stage)]) -> Self {
        // nvcc has no such passes: of a host source, of the headers of the last host compile.
        let is_ours = |number: usize| number >= work.plan.stages.len();
        let stages = stages.iter().map(|(number, stage)| match is_ours(*number) {
            true => ("extra_pass", None, None),
            false => (stages::name(stage), stages::arch(stage), None),
        });
        Self {
            work,
            stages: stages.collect(),
        }
    }

    fn begin(&mut self, step: usize) {
        let (name, arch, told) = &mut self.stages[step];
        *told = Some(self.work.account.begin_stage(name, arch.clone()));
    }

    fn start(&self, step: usize) {
        let told = self.stages[step].2;
        if let Some(told) = told {
            self.work.account.start_stage(told);
        }
    }

    fn end(&self, step: usize, hit: bool) {
        let told = self.stages[step].2;
        if let Some(told) = told {
            self.work.account.end_stage(told, hit);
        }
    }
}

fn run_steps(
    work: &UnitWork<'_>,
    stages: &[&Stage],
    crew: &mut impl Work<Error = Detour>,
    reason: FallbackReason,
) -> Result<(), Detour> {
    let failed = |step: usize, what: String| {
        let program = stages[step].program.display();
        Fallback::new(reason, format!("{program}: {what}")).into()
    };
    let environment = &work.commands.environment;
    let (width, slots) = (width(work.facts.threads), &work.cache.slots);
    exec::run_steps(
        &steps(stages),
        crew,
        environment,
        width,
        slots,
        work.signals,
    )
    .map_err(|failure| match failure {
        Failure::Interrupted(signal) => Detour::Interrupted(signal),
        Failure::Status(step, status) => failed(step, status.to_string()),
        Failure::Start(step, error) => failed(step, error.to_string()),
        Failure::Work(detour) => detour,
    })
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
