//! The stages of a unit whose product is not in the store: taken one by one, or run. Decides whether
//! the host compile has one step or two.

use super::Detour;
use super::passes::Read;
use super::schedule;
use super::semantic::Alike;
use super::stages::{self, Made, Stages};
use super::unit::UnitWork;
use crate::plan::{Plan, Unit};
use crate::stats::Counter;
use crate::toolchain::{Front, HostFamily};

impl UnitWork<'_> {
    /// Takes every stage but the passes, which have run, from the store, or runs it.
    pub fn make(
        &self,
        id: &[u8],
        read: &Read,
        alike: Option<&Alike>,
        beside: &mut dyn FnMut(),
    ) -> Result<Made, Detour> {
        if let Some(whole) = &self.whole {
            whole.make(self)?;
            return Ok(Made {
                served: self.unit.stages.iter().copied().collect(),
                assembled: None,
            });
        }
        // `--keep` leaves the files that nvcc's own steps write; a program in front of the compiler may treat
        // two steps in another way than one, and add flags that two steps do not allow.
        let toolchain = self.commands.toolchain;
        let is_known = toolchain.host == HostFamily::Gnu
            && toolchain.front == Front::Programs
            && self.host.additions.is_none();
        let may_split = self.facts.keep.is_none() && is_known;
        let split = may_split.then(|| self.plan.split_host_compile(self.unit));
        if let Some(split) = split.flatten() {
            let work = self.with(&split.plan, &split.unit);
            let stages = Stages::new(&work, read, alike, id, Some(&split))?;
            if let Some(made) = work.run_stages(stages, beside)? {
                return Ok(made);
            }
            self.account
                .note("host compile", "in one step: two do not fit");
        }
        let stages = Stages::new(self, read, alike, id, None)?;
        let made = self.run_stages(stages, beside)?;
        Ok(made.unwrap_or_default())
    }

    /// Counts the passes of a unit that is to be made stage by stage.
    pub fn count_passes(&self) {
        let passes = self.unit.passes.iter().filter(|_| self.whole.is_none());
        passes.for_each(|number| stages::count(self, self.stage(*number), Counter::StageMiss));
    }

    /// None where the host compile cannot be done in the two steps that `stages` has.
    fn run_stages(
        &self,
        mut stages: Stages<'_>,
        beside: &mut dyn FnMut(),
    ) -> Result<Option<Made>, Detour> {
        let rest = self.unit.stages.iter().copied();
        let rest: Vec<_> = rest
            .filter(|number| !self.unit.passes.contains(number))
            .collect();
        match schedule::run(self, &mut stages, &rest, beside) {
            Err(Detour::Fallback(_)) if stages.are_misfit() => Ok(None),
            Err(detour) => Err(detour),
            Ok(()) => Ok(Some(stages.made())),
        }
    }

    /// The same work by another plan.
    fn with<'a>(&'a self, plan: &'a Plan, unit: &'a Unit) -> UnitWork<'a> {
        UnitWork {
            plan,
            unit,
            facts: self.facts,
            passes: self.passes,
            commands: self.commands,
            cache: self.cache,
            whole: None,
            exact: self.exact,
            host: self.host,
            signals: self.signals,
            began: self.began,
            mounts: self.mounts,
            account: self.account,
        }
    }
}
