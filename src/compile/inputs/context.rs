//! The context of one translation unit: all that is known before its passes run. It is read-only; later results are
//! passed from function to function.

use crate::cmdline::Observed;
use crate::compile::inputs::extra_passes::UnitPasses;
use crate::compile::inputs::host::{Answers, HostCompiler};
use crate::compile::inputs::lookup_race::LookupRace;
use crate::compile::request::facts::RequestFacts;
use crate::compile::run::commands::Commands;
use crate::compile::run::runner::Runner;
use crate::compile::store_view::StoreView;
use crate::includes::lookups::NotStored;
use crate::includes::mounts::Mounts;
use crate::journal::{place, text};
use crate::key::Roots;
use crate::plan::{Plan, Stage, Unit};
use crate::stat::CoarseTime;

/// One translation unit of an invocation.
#[derive(Clone, Copy)]
pub(crate) struct UnitContext<'a> {
    /// Facts of the invocation.
    pub facts: &'a RequestFacts,
    pub plan: &'a Plan,
    pub unit: &'a Unit,
    /// Its passes.
    pub passes: &'a UnitPasses,
    pub commands: &'a Commands<'a>,
    pub runner: &'a Runner<'a>,
    pub cache: &'a StoreView<'a>,
    /// Why semantic matching is off, if the command line or a setting says so.
    pub exact: Option<&'a str>,
    /// The host compiler's answers about the job's flags.
    pub host: &'a Answers,
    /// The roots of the invocation.
    pub roots: &'a Roots,
    /// A time before any pass, by the clock that stamps files.
    pub started: CoarseTime,
    /// Notices changes of mounts since then.
    pub mounts: &'a Mounts,
    /// What may make the whole compile unnecessary.
    pub lookup_race: Option<&'a LookupRace<'a>>,
}

impl<'a> UnitContext<'a> {
    /// This unit with the stages of another plan.
    pub(crate) fn by_plan(&self, plan: &'a Plan, unit: &'a Unit) -> Self {
        Self {
            plan,
            unit,
            ..*self
        }
    }

    /// A stage of the plan.
    pub(crate) fn stage(&self, number: usize) -> &'a Stage {
        &self.plan.stages[number]
    }

    /// The unit's source in the form that the journal uses.
    pub(crate) fn source(&self) -> String {
        let source = &self.plan.file(self.unit.source).path;
        text(place(&self.facts.directory.physical, source).as_os_str())
    }

    /// Checks that the host compiler still gives the same answers.
    pub(crate) fn check_host(&self) -> Result<(), NotStored> {
        let compiler = HostCompiler {
            toolchain: self.commands.toolchain,
            digests: self.cache.digests,
        };
        compiler.confirm(self.host)
    }

    /// Checks that the files of PCACHE_EXTRA_FILES are those of the key. What reads them is unknown, so it may have read
    /// them at any time.
    pub(crate) fn check_settings(&self) -> Result<(), NotStored> {
        let now = self.cache.keyed_settings.assignments(self.cache.digests);
        let now = now.map_err(|error| error.to_string())?;
        if self.facts.environment.ends_with(&now) {
            Ok(())
        } else {
            Err("a file of PCACHE_EXTRA_FILES changed during the compile".to_owned())
        }
    }

    /// Whether device code may hold lines of the sources verbatim.
    pub(crate) fn copies_sources(&self) -> bool {
        self.facts.observed >= Observed::Text
    }

    /// Whether device code may depend on the sizes of the sources: ptxas looks at the files that line information
    /// names.
    pub(crate) fn measures_sources(&self) -> bool {
        self.facts.observed >= Observed::Sizes
    }
}
