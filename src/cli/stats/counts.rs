//! What was counted, by either source: the counters, or the journal's records added up. Both count
//! the same things in the same way.

use crate::journal::{self, Compile, CompileOutcome};
use crate::outcome::{BypassReason, FallbackReason, NvrtcReason};
use crate::stats::{Counter, Snapshot, StageKind};

/// Counts of units, but for detours, which are of compiles.
pub(super) struct Counts {
    pub(super) direct_hits: u64,
    pub(super) preprocessed_hits: u64,
    pub(super) semantic_hits: u64,
    pub(super) misses: u64,
    pub(super) coalesced: u64,
    pub(super) uncacheable: u64,
    /// `None` if the source does not tell.
    pub(super) errors: Option<u64>,
    /// Likewise: records that others have made or signed.
    pub(super) distrusted: Option<u64>,
    pub(super) saved_milliseconds: u64,
    pub(super) spent_milliseconds: u64,
    pub(super) bypassed: Vec<(BypassReason, u64)>,
    pub(super) fallbacks: Vec<(FallbackReason, u64)>,
    pub(super) stages: Vec<StageCounts>,
    pub(super) nvrtc: NvrtcCounts,
    /// The hits that servers served, programs compiled at run time included.
    pub(super) served: u64,
}

/// Counts of programs that were compiled at run time.
#[derive(Default)]
pub(super) struct NvrtcCounts {
    pub(super) hits: u64,
    pub(super) coalesced: u64,
    pub(super) misses: u64,
    pub(super) uncacheable: u64,
    pub(super) bypassed: Vec<(NvrtcReason, u64)>,
}

impl NvrtcCounts {
    fn of_counters(snapshot: &Snapshot) -> Self {
        Self {
            hits: snapshot.get(Counter::NvrtcHit),
            coalesced: snapshot.get(Counter::NvrtcCoalesced),
            misses: snapshot.get(Counter::NvrtcMiss),
            uncacheable: snapshot.get(Counter::NvrtcUncacheable),
            bypassed: snapshot.nvrtc_bypassed().collect(),
        }
    }

    fn add(&mut self, compile: &Compile) {
        match compile.level {
            CompileOutcome::DirectHit | CompileOutcome::PreprocessedHit => self.hits += 1,
            CompileOutcome::Coalesced => self.coalesced += 1,
            CompileOutcome::Miss => self.misses += 1,
            CompileOutcome::Bypass => {
                let mut known = self.bypassed.iter_mut();
                let known =
                    known.find(|(known, _)| Some(known.code()) == compile.reason.as_deref());
                if let Some((_, n)) = known {
                    *n += 1;
                }
            }
            CompileOutcome::Fallback | CompileOutcome::Interrupted | CompileOutcome::Failed => {}
        }
        let mut units = compile.units.iter();
        self.uncacheable += u64::from(units.any(|unit| unit.unstored.is_some()));
    }
}

/// Counts of one kind of stage.
pub(super) struct StageCounts {
    pub(super) kind: StageKind,
    pub(super) hits: u64,
    pub(super) misses: u64,
}

impl StageCounts {
    fn of_counters(kind: StageKind, snapshot: &Snapshot) -> Self {
        Self {
            kind,
            hits: snapshot.get(Counter::StageHit(kind)),
            misses: snapshot.get(Counter::StageMiss(kind)),
        }
    }

    fn none(kind: StageKind) -> Self {
        Self {
            kind,
            hits: 0,
            misses: 0,
        }
    }
}

impl Counts {
    pub(super) fn of_counters(snapshot: &Snapshot) -> Self {
        let stages = StageKind::ALL.iter();
        Self {
            direct_hits: snapshot.get(Counter::DirectHit),
            preprocessed_hits: snapshot.get(Counter::PreprocessedHit),
            semantic_hits: snapshot.get(Counter::SemanticHit),
            misses: snapshot.get(Counter::Miss),
            coalesced: snapshot.get(Counter::Coalesced),
            uncacheable: snapshot.get(Counter::Uncacheable),
            errors: Some(snapshot.get(Counter::Error)),
            distrusted: Some(snapshot.get(Counter::Distrusted)),
            saved_milliseconds: snapshot.get(Counter::SavedMilliseconds),
            spent_milliseconds: snapshot.get(Counter::SpentMilliseconds),
            bypassed: snapshot.bypassed().collect(),
            fallbacks: snapshot.fallbacks().collect(),
            stages: stages
                .map(|&kind| StageCounts::of_counters(kind, snapshot))
                .collect(),
            nvrtc: NvrtcCounts::of_counters(snapshot),
            served: snapshot.get(Counter::RemoteServed),
        }
    }

    pub(super) fn of_journal<'a>(compiles: impl Iterator<Item = &'a Compile>) -> Self {
        let mut counts = Self {
            direct_hits: 0,
            preprocessed_hits: 0,
            semantic_hits: 0,
            misses: 0,
            coalesced: 0,
            uncacheable: 0,
            errors: None,
            distrusted: None,
            saved_milliseconds: 0,
            spent_milliseconds: 0,
            bypassed: BypassReason::ALL
                .iter()
                .map(|reason| (*reason, 0))
                .collect(),
            fallbacks: FallbackReason::ALL
                .iter()
                .map(|reason| (*reason, 0))
                .collect(),
            stages: StageKind::ALL
                .iter()
                .copied()
                .map(StageCounts::none)
                .collect(),
            nvrtc: NvrtcCounts {
                bypassed: NvrtcReason::ALL.iter().map(|reason| (*reason, 0)).collect(),
                ..NvrtcCounts::default()
            },
            served: 0,
        };
        compiles.for_each(|compile| counts.add(compile));
        counts
    }

    /// All units that were hits or misses.
    pub(super) fn units(&self) -> u64 {
        sum([self.hits(), self.misses])
    }

    /// The hits of all that was looked up, programs compiled at run time included, and all.
    pub(super) fn looked_up(&self) -> (u64, u64) {
        let hits = sum([self.hits(), self.nvrtc.hits, self.nvrtc.coalesced]);
        (hits, sum([hits, self.misses, self.nvrtc.misses]))
    }

    /// All units that were hits.
    pub(super) fn hits(&self) -> u64 {
        sum([self.direct_hits, self.preprocessed_hits, self.coalesced])
    }

    /// All hits that needed no server, programs compiled at run time included.
    pub(super) fn local_hits(&self) -> u64 {
        let nvrtc = [self.nvrtc.hits, self.nvrtc.coalesced];
        sum([self.hits(), sum(nvrtc)]).saturating_sub(self.served)
    }

    fn add(&mut self, compile: &Compile) {
        self.served += match compile.units.as_slice() {
            [] if compile.remote => compile.width(),
            units => units.iter().filter(|unit| unit.remote).count() as u64,
        };
        self.saved_milliseconds = sum([self.saved_milliseconds, compile.saved()]);
        self.spent_milliseconds = sum([self.spent_milliseconds, compile.spent()]);
        if compile.nvrtc {
            self.nvrtc.add(compile);
            return;
        }
        let reason = compile.reason.as_deref();
        match compile.level {
            CompileOutcome::DirectHit => {
                self.direct_hits += compile.width();
                self.semantic_hits += if compile.semantic { compile.width() } else { 0 };
            }
            CompileOutcome::Bypass => {
                let mut known = self.bypassed.iter_mut();
                let known = known.find(|(known, _)| Some(known.code()) == reason);
                if let Some((_, n)) = known {
                    *n += 1;
                }
            }
            CompileOutcome::Fallback => {
                let mut known = self.fallbacks.iter_mut();
                let known = known.find(|(known, _)| Some(known.code()) == reason);
                if let Some((_, n)) = known {
                    *n += 1;
                }
            }
            CompileOutcome::PreprocessedHit
            | CompileOutcome::Coalesced
            | CompileOutcome::Miss
            | CompileOutcome::Interrupted
            | CompileOutcome::Failed => {}
        }
        for unit in &compile.units {
            match unit.level {
                CompileOutcome::Coalesced => self.coalesced += 1,
                CompileOutcome::Miss => self.misses += 1,
                _ => self.preprocessed_hits += 1,
            }
            self.semantic_hits += u64::from(unit.semantic);
            self.uncacheable += u64::from(unit.unstored.is_some());
        }
        self.add_stages(compile);
    }

    /// Counts preprocessing only if other stages followed it, as the counters do: every hit after preprocessing has it
    /// too, and it never comes from the cache.
    fn add_stages(&mut self, compile: &Compile) {
        let is_pass = |stage: &journal::StageRun| stage.name == StageKind::Preprocess.code();
        let made = |unit: Option<usize>| {
            let mut stages = compile.stages.iter();
            stages.any(|other| other.unit == unit && kind(&other.name).is_some() && !is_pass(other))
        };
        for stage in &compile.stages {
            let (Some(kind), Some(_)) = (kind(&stage.name), stage.unit) else {
                continue;
            };
            if is_pass(stage) && !made(stage.unit) {
                continue;
            }
            let mut known = self.stages.iter_mut();
            if let Some(known) = known.find(|known| known.kind == kind) {
                known.hits += u64::from(stage.hit);
                known.misses += u64::from(!stage.hit);
            }
        }
    }
}

/// The sum, at most `u64::MAX`: counts of a damaged page or journal can be any numbers.
pub(super) fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// What the counters count a stage as.
pub(in crate::cli) fn kind(name: &str) -> Option<StageKind> {
    match name {
        "host_preprocess" => Some(StageKind::Preprocess),
        "stub_compile" => Some(StageKind::HostCompile),
        name => {
            let mut kinds = StageKind::ALL.iter().copied();
            kinds.find(|kind| kind.code() == name)
        }
    }
}
