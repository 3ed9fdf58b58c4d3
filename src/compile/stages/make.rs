//! Compiles a unit whose product is not in the store: takes each stage from the store, or runs it. Decides whether
//! the host compile runs in one step or two.

use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::lookup_race::{FIRST_LOOKUP, LookupRace};
use crate::compile::inputs::preprocess::PassResults;
use crate::compile::run::runner::StageLog;
use crate::compile::stages::one_step::OneStep;
use crate::compile::stages::stage_cache::{StageResults, Stages, count};
use crate::compile::stages::stored::HostTexts;
use crate::exec::{Command, Work};
use crate::journal::StageEnd;
use crate::outcome::FallbackReason;
use crate::remote::PendingFetch;
use crate::stats::Counter;
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

/// Takes every stage except the passes, which have run, from the store, or runs it. `rivals` are requests for the whole
/// product. `overlap` is called while the last of the stages runs, perhaps several times.
pub(crate) fn compile_stages(
    work: &UnitContext<'_>,
    one_step: Option<&OneStep<'_>>,
    id: &[u8],
    read: &PassResults,
    line_insensitive: Option<&LineInsensitive>,
    rivals: &[PendingFetch],
    overlap: &mut dyn FnMut(),
) -> Result<StageResults, Detour> {
    if let Some(one_step) = one_step {
        one_step.make(work)?;
        return Ok(StageResults {
            served: work.unit.stages.iter().copied().collect(),
            ..StageResults::default()
        });
    }
    // `--keep` must leave the files that nvcc's own stages write. A program in front of the compiler may treat
    // two steps differently from one, and may add flags that do not work in two steps.
    let is_plain_gcc = work.commands.toolchain.ends_in_gcc() && work.host.additions.is_none();
    let may_split = work.facts.keep.is_none() && is_plain_gcc;
    let split = may_split.then(|| work.plan.split_host_compile(work.unit));
    if let Some(split) = split.flatten() {
        let work = work.by_plan(&split.plan, &split.unit);
        let mut ran = BTreeSet::new();
        for texts in [HostTexts::ByDigest, HostTexts::Whole] {
            let split = Some((&split, texts));
            let stages = Stages::new(&work, read, line_insensitive, id, split)?.against(rivals);
            match run_stages(&work, stages.after(std::mem::take(&mut ran)), overlap)? {
                StagesEnd::Made(results) => return Ok(results),
                StagesEnd::LackText(before) => ran = before,
                StagesEnd::Misfit => break,
            }
        }
        work.runner
            .recorder
            .note("host compile", "in one step: two do not fit");
    }
    let stages = Stages::new(work, read, line_insensitive, id, None)?.against(rivals);
    Ok(match run_stages(work, stages, overlap)? {
        StagesEnd::Made(results) => results,
        StagesEnd::LackText(_) | StagesEnd::Misfit => StageResults::default(),
    })
}

/// How the stages of a unit ended.
enum StagesEnd {
    Made(StageResults),
    /// One of them reads a text that is only known by its digest. These have run.
    LackText(BTreeSet<usize>),
    /// The host compile cannot be done in two steps.
    Misfit,
}

/// Counts the passes of a unit that is to be compiled stage by stage.
pub(crate) fn count_passes(work: &UnitContext<'_>) {
    for number in &work.unit.passes {
        count(work, work.stage(*number), Counter::StageMiss);
    }
}

/// Runs all stages except the passes.
fn run_stages(
    work: &UnitContext<'_>,
    mut stages: Stages<'_>,
    overlap: &mut dyn FnMut(),
) -> Result<StagesEnd, Detour> {
    let numbers: Vec<_> = work
        .unit
        .stages
        .iter()
        .copied()
        .filter(|number| !work.unit.passes.contains(number))
        .collect();
    let run = run_side_by_side(work, &mut stages, &numbers, overlap);
    match (run, stages.counted()) {
        (Err(Detour::Fallback(_)), Some(ran)) => Ok(StagesEnd::LackText(ran)),
        (Err(Detour::Fallback(_)), None) if stages.are_misfit() => Ok(StagesEnd::Misfit),
        (Err(detour), _) => Err(detour),
        (Ok(()), _) => Ok(StagesEnd::Made(stages.made())),
    }
}

/// Takes the stages `numbers` of `work`'s plan from the store, or runs them, in parallel unless one waits for another.
/// `overlap` is called while one of them runs alone.
fn run_side_by_side(
    work: &UnitContext<'_>,
    stages: &mut Stages<'_>,
    numbers: &[usize],
    overlap: &mut dyn FnMut(),
) -> Result<(), Detour> {
    let chosen: Vec<_> = numbers.iter().map(|number| work.stage(*number)).collect();
    let numbered: Vec<_> = numbers
        .iter()
        .copied()
        .zip(chosen.iter().copied())
        .collect();
    let log = StageLog::of(work.runner.recorder, work.plan, &numbered);
    let mut rest = Rest {
        stages,
        numbers,
        overlap,
        log,
        work,
        overtaken: BTreeSet::new(),
    };
    work.runner.run(
        &chosen,
        &mut rest,
        &work.commands.environment,
        FallbackReason::Stage,
    )
}

/// The stages of a unit as steps of a schedule.
struct Rest<'a, 'b> {
    stages: &'b mut Stages<'a>,
    /// The number of each step's stage.
    numbers: &'b [usize],
    overlap: &'b mut dyn FnMut(),
    log: StageLog<'b>,
    work: &'b UnitContext<'b>,
    /// The steps whose results servers have brought while they ran.
    overtaken: BTreeSet<usize>,
}

impl Work for Rest<'_, '_> {
    type Error = Detour;

    fn begin(&mut self, step: usize) -> Result<Option<Command>, Detour> {
        let is_overtaken = self.overtaken.contains(&step);
        if !is_overtaken {
            self.log.begin(step);
        }
        let brought = self.work.cache.brought();
        let command = self.stages.begin(self.numbers[step])?;
        if command.is_none() {
            let is_served = is_overtaken || self.work.cache.brought() > brought;
            self.log.end(step, StageEnd::found(is_served));
        }
        Ok(command)
    }

    fn started(&mut self, step: usize) {
        self.log.start(step);
    }

    fn end(&mut self, step: usize) -> Result<(), Detour> {
        self.log.end(step, StageEnd::Ran);
        Ok(self.stages.end(self.numbers[step])?)
    }

    fn rivals(&self) -> Vec<(usize, BorrowedFd<'_>)> {
        let race = self.work.lookup_race.into_iter();
        let lookups = race.flat_map(LookupRace::rivals);
        self.stages.rivals().chain(lookups).collect()
    }

    fn overtaken_by(&mut self, rival: usize) -> Result<Option<usize>, Detour> {
        if rival >= FIRST_LOOKUP {
            let race = self.work.lookup_race;
            race.map_or(Ok(()), |race| race.answered(rival))?;
            return Ok(None);
        }
        let number = self.stages.overtaken_by(rival)?;
        let step = self.numbers.iter().position(|one| Some(*one) == number);
        self.overtaken.extend(step);
        Ok(step)
    }

    fn meanwhile(&mut self) {
        (self.overlap)();
    }
}
