//! Compiles the units of an invocation one after the other, writes their outputs, stores what all of them
//! read for direct mode, and counts and records how each ended.

use crate::cmdline::Job;
use crate::compile::deliver::delivery::{self, Delivery};
use crate::compile::detour::Detour;
use crate::compile::direct::explain::{Collector, ExplainedUnit};
use crate::compile::direct::keep::CompiledResult;
use crate::compile::direct::lookup::Direct;
use crate::compile::direct::recording::{Recorded, Recording};
use crate::compile::inputs::context::UnitContext;
use crate::compile::request::direct_key::DirectKeyInputs;
use crate::compile::run::printed::Printed;
use crate::compile::stages::one_step::OneStep;
use crate::compile::store_view::StoreView;
use crate::compile::unit::module::OutputScope;
use crate::compile::unit::product::Ending;
use crate::compile::unit::run::{Finished, compile_unit};
use crate::includes::lookups::NotStored;
use crate::journal::{self, CompileOutcome, Recorder, UnitOutcome};
use crate::key::{Digest, RootSet};
use crate::stats::Counter;
use std::ffi::OsStr;

/// How a unit of an invocation ended, once all outputs are written.
pub(super) struct Ended {
    ending: Ending,
    /// As in [`Finished`].
    is_served: bool,
    key: Digest,
    /// Milliseconds that its stages took when they ran.
    milliseconds: u64,
}

/// The units of one invocation.
pub(super) struct Units<'a> {
    pub job: &'a Job,
    pub works: &'a [UnitContext<'a>],
    /// Compiles the only unit in one step (`PCACHE_STAGES=0`); `None` if its stages run separately.
    pub one_step: Option<OneStep<'a>>,
    /// Stores the result for direct mode; `None` if direct mode cannot answer this invocation.
    pub direct: Option<&'a Direct<'a>>,
    /// The fields of direct mode's key; `None` if a source does not exist.
    pub request: Option<&'a DirectKeyInputs<'a>>,
}

impl Units<'_> {
    /// Runs every unit, stores what all of them read for direct mode, and writes their outputs.
    pub(super) fn run(&self) -> Result<(Delivery, Vec<Ended>), Detour> {
        let mut recording = Recording::begin(self.whole(), self.works);
        let mut finished = self.compile(&mut recording)?;
        let mut delivery = Delivery {
            printed: Printed {
                stdout: Vec::new(),
                stderr: self
                    .works
                    .first()
                    .map_or_else(Vec::new, |work| work.plan.notices.clone()),
            },
            ..Delivery::default()
        };
        let mut endings = Vec::new();
        for (work, unit) in self.works.iter().zip(&mut finished) {
            let product = std::mem::take(&mut unit.product);
            endings.push(Ended {
                ending: unit.ending.clone(),
                is_served: unit.is_served,
                key: unit.key,
                milliseconds: product.milliseconds,
            });
            delivery.append(Delivery::of(self.job, work, product)?);
        }
        // Before the outputs change directories that are searched for headers.
        self.remember(recording, &finished, &endings, &delivery);
        if let Some(signal) = self
            .works
            .first()
            .and_then(|work| work.runner.signals.pending())
        {
            return Err(Detour::Interrupted(signal));
        }
        delivery.write(&delivery.targets()?)?;
        Ok((delivery, endings))
    }

    /// Direct mode for the whole invocation. Link stages always run, so an invocation that has any is never a direct
    /// hit.
    fn whole(&self) -> Option<&Direct<'_>> {
        let links = self
            .works
            .first()
            .is_some_and(|work| !work.plan.link.is_empty());
        self.direct.filter(|_| !links)
    }

    /// Compiles every unit, and adds what it read to `recording`.
    fn compile(&self, recording: &mut Recording<'_>) -> Result<Vec<Finished>, Detour> {
        let mut finished = Vec::with_capacity(self.works.len());
        for (number, work) in self.works.iter().enumerate() {
            let recorder = work.runner.recorder;
            recorder.enter_unit(Some(number));
            let is_whole = self.works.len() == 1 && self.whole().is_some();
            let unit = if is_whole {
                compile_unit(work, self.one_step.as_ref(), &mut |read_files| {
                    recording.resolve_early(read_files);
                })?
            } else {
                self.compile_one(number, work)?
            };
            recording.add(&unit);
            if let Some(why) = &unit.semantic_off_reason {
                recorder.note("semantic", format_args!("every byte matters: {why}"));
            }
            delivery::write_temporaries(work, &unit.product)?;
            finished.push(unit);
            recorder.enter_unit(None);
        }
        Ok(finished)
    }

    /// One unit of several, or one that is linked: finds it directly, or compiles it and stores what it read.
    fn compile_one(&self, number: usize, work: &UnitContext<'_>) -> Result<Finished, Detour> {
        let direct = self.direct.map(|direct| direct.of_unit(number));
        let found = direct.as_ref().and_then(|direct| direct.look_up_unit(work));
        if let Some(unit) = found {
            return Ok(unit);
        }
        let mut recording = Recording::begin(direct.as_ref(), std::slice::from_ref(work));
        let unit = compile_unit(work, self.one_step.as_ref(), &mut |read_files| {
            recording.resolve_early(read_files);
        })?;
        recording.add(&unit);
        let kept = match &direct {
            Some(direct) => direct.keep_unit(work, &unit, recording.finish()),
            None => Ok(()),
        };
        if let Err(doubt) = kept {
            let recorder = work.runner.recorder;
            recorder.note("direct", format_args!("unit not remembered: {doubt}"));
        }
        Ok(unit)
    }

    /// Stores what the invocation depended on, for explanations, and its result for direct mode.
    fn remember(
        &self,
        recording: Recording<'_>,
        finished: &[Finished],
        endings: &[Ended],
        delivery: &Delivery,
    ) {
        let Some(first) = self.works.first() else {
            return;
        };
        let recorded = recording.finish();
        let is_new = |ended: &Ended| matches!(ended.ending, Ending::Miss | Ending::Unstored(_));
        // Only direct hits and misses are explained later.
        let is_explained = self.direct.is_some() || endings.iter().any(is_new);
        let request = self.request.filter(|_| is_explained);
        let facts = request.and_then(|request| {
            let collector = Collector {
                request,
                job: self.job,
                toolchain: first.commands.toolchain,
                has_messages: !delivery.printed.is_empty(),
                has_times: finished
                    .iter()
                    .any(|unit| unit.known.times().next().is_some()),
                exact: finished
                    .iter()
                    .find_map(|unit| unit.semantic_off_reason.as_deref()),
                units: finished.iter().map(explained).collect(),
            };
            collector.keep(first.cache, recorded.dependencies.as_ref())
        });
        let result = self.made(finished, endings, facts.clone());
        let doubt = self.remember_direct(recorded, delivery, result).err();
        let recorder = first.runner.recorder;
        if let Some(doubt) = &doubt {
            recorder.note("direct", format_args!("not remembered: {doubt}"));
        }
        recorder.update(|record| {
            record.facts = facts;
            record.forgotten = doubt;
        });
    }

    /// Stores the result for direct mode, if direct mode can answer this invocation.
    fn remember_direct(
        &self,
        recorded: Recorded<'_>,
        delivery: &Delivery,
        result: CompiledResult,
    ) -> Result<(), NotStored> {
        if let Some(doubt) = recorded.refusal {
            return Err(doubt);
        }
        match (self.whole(), recorded.dependencies) {
            (Some(direct), Some(dependencies)) => {
                let dependencies = dependencies.with_quoted(&recorded.quoted);
                direct.keep(dependencies, recorded.observed, delivery, result)
            }
            _ => Ok(()),
        }
    }

    /// What direct mode stores about the result besides its files.
    fn made(
        &self,
        finished: &[Finished],
        endings: &[Ended],
        facts: Option<String>,
    ) -> CompiledResult {
        let passes: u64 = finished.iter().map(|unit| unit.passes).sum();
        let stages: u64 = endings.iter().map(|ended| ended.milliseconds).sum();
        let is_tied = finished
            .iter()
            .any(|unit| unit.scope == OutputScope::ThisOutput);
        CompiledResult {
            units: self.works.len() as u64,
            scope: if is_tied {
                OutputScope::ThisOutput
            } else {
                OutputScope::AnyOutput
            },
            milliseconds: passes + stages,
            facts,
            roots: finished
                .iter()
                .fold(RootSet::default(), |roots, unit| roots.and(unit.roots)),
        }
    }
}

fn explained(unit: &Finished) -> ExplainedUnit<'_> {
    ExplainedUnit {
        key: &unit.key,
        fields: &unit.fields,
        known: &unit.known,
    }
}

impl Ended {
    /// Counts and records a unit of an invocation that succeeded. Of an invocation that did not, only the detour
    /// is counted.
    pub(super) fn count(&self, cache: &StoreView<'_>, recorder: &Recorder, source: &OsStr) {
        let (level, semantic, note) = shown(&self.ending);
        let counter = match level {
            CompileOutcome::DirectHit => Counter::DirectHit,
            CompileOutcome::Coalesced => Counter::Coalesced,
            CompileOutcome::Miss => Counter::Miss,
            _ => Counter::PreprocessedHit,
        };
        cache.stats.add(counter, 1);
        if semantic {
            cache.stats.add(Counter::SemanticHit, 1);
        }
        let remote = self.is_served && level.is_hit();
        if remote {
            cache.stats.add(Counter::RemoteServed, 1);
        }
        let unstored = match &self.ending {
            Ending::Unstored(why) => Some(why.clone()),
            _ => None,
        };
        if unstored.is_some() {
            cache.stats.add(Counter::Uncacheable, 1);
        }
        let why = unstored
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        let (source_name, key) = (source.display(), hex::encode(self.key));
        recorder.note("unit", format_args!("{source_name}: {note}{why} ({key})"));
        recorder.update(|record| {
            // The worst outcome of all units. The first one replaces the initial value, which is worse still.
            record.level = if record.units.is_empty() {
                level
            } else {
                record.level.max(level)
            };
            record.semantic |= semantic;
            record.remote |= remote;
            record.stored += if level.is_hit() { self.milliseconds } else { 0 };
        });
        recorder.add_unit(UnitOutcome {
            source: journal::text(source),
            level,
            semantic,
            remote,
            unstored,
            key,
        });
    }
}

/// How a unit ended: for the journal, whether lines had moved, and in words.
fn shown(ending: &Ending) -> (CompileOutcome, bool, &'static str) {
    match ending {
        Ending::DirectHit => (CompileOutcome::DirectHit, false, "direct hit"),
        Ending::Hit => (CompileOutcome::PreprocessedHit, false, "preprocessed hit"),
        Ending::SemanticHit => (
            CompileOutcome::PreprocessedHit,
            true,
            "preprocessed hit, with lines moved",
        ),
        Ending::Coalesced => (
            CompileOutcome::Coalesced,
            false,
            "hit, after waiting for another process",
        ),
        Ending::Miss => (CompileOutcome::Miss, false, "miss"),
        Ending::Unstored(_) => (CompileOutcome::Miss, false, "miss, not stored"),
    }
}
