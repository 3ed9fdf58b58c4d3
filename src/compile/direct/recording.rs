//! Collects for direct mode what the units of an invocation read while they are compiled.

use crate::compile::direct::dependencies::{ReadSet, ResolvedDependencies};
use crate::compile::direct::lookup::Direct;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::inputs::line_insensitive::ObservedPositions;
use crate::compile::unit::product::Ending;
use crate::compile::unit::run::Finished;
use crate::includes::lookups::NotStored;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What has been collected for direct mode so far.
pub(crate) struct Recording<'a> {
    state: RecordingState<'a>,
    /// Which source positions the units could observe; `None` if every byte of the sources matters.
    observed: Option<ObservedPositions>,
    /// Files that diagnostics mention: an edit of any byte of them makes the result stale.
    quoted: BTreeSet<PathBuf>,
}

enum RecordingState<'a> {
    /// Direct mode cannot answer this invocation.
    Off,
    /// Files are still being added.
    Collecting(&'a Direct<'a>, ReadSet<'a>),
    /// The dependencies of the only unit were resolved while its stages ran.
    Resolved(&'a Direct<'a>, ResolvedDependencies<'a>),
    /// The result cannot be stored for direct mode; with its dependencies, if they were resolved before.
    Refused(NotStored, Option<ResolvedDependencies<'a>>),
}

/// What was recorded of a result.
pub(crate) struct Recorded<'a> {
    /// The dependencies of the result; `None` if they were not resolved.
    pub dependencies: Option<ResolvedDependencies<'a>>,
    /// Why the result cannot be stored for direct mode, if it cannot.
    pub refusal: Option<NotStored>,
    /// Which source positions the compile could observe; `None` if every byte of the sources matters.
    pub observed: Option<ObservedPositions>,
    /// Files that diagnostics mention: an edit of any byte of them makes the result stale.
    pub quoted: BTreeSet<PathBuf>,
}

impl<'a> Recording<'a> {
    /// Begins the recording. Must be called before any pass of `works` runs.
    pub(crate) fn begin(direct: Option<&'a Direct<'a>>, works: &[UnitContext<'a>]) -> Self {
        let state = direct.map_or(RecordingState::Off, |direct| match ReadSet::begin(works) {
            Ok(reads) => RecordingState::Collecting(direct, reads),
            Err(doubt) => RecordingState::Refused(doubt, None),
        });
        Self {
            state,
            observed: Some(ObservedPositions::default()),
            quoted: BTreeSet::new(),
        }
    }

    /// Resolves the dependencies of the only unit, whose passes read `read_files`. Calls after the first do nothing.
    pub(crate) fn resolve_early(&mut self, read_files: &ReadFiles) {
        self.change(|direct, mut reads| {
            reads.add(read_files)?;
            resolve(direct, reads)
        });
    }

    /// Adds what a unit read, or refuses the result if the unit could not be stored.
    pub(crate) fn add(&mut self, unit: &Finished) {
        let positions = self.observed.zip(unit.observed);
        self.observed = positions.map(|(so_far, unit)| so_far.max(unit));
        let binaries = unit.product.binaries.iter().map(|binary| &binary.path);
        let quoted = unit.product.sources.paths.iter().chain(binaries);
        self.quoted.extend(quoted.cloned());
        if let Ending::Unstored(why) = &unit.ending {
            self.refuse(why);
        } else if unit.ending == Ending::DirectHit {
            // What it read is not known in full; it has a record of its own.
            self.state = RecordingState::Off;
        } else {
            if !unit.product.binaries.is_empty() {
                self.reopen();
            }
            self.change(|direct, mut reads| {
                reads.add(&unit.known)?;
                Ok(RecordingState::Collecting(direct, reads))
            });
        }
    }

    /// Refuses the result. Dependencies that are already resolved are kept for `pcache explain`.
    fn refuse(&mut self, why: &NotStored) {
        let state = std::mem::replace(&mut self.state, RecordingState::Off);
        self.state = match state {
            RecordingState::Off | RecordingState::Refused(..) => state,
            RecordingState::Collecting(..) => RecordingState::Refused(why.clone(), None),
            RecordingState::Resolved(_, dependencies) => {
                RecordingState::Refused(why.clone(), Some(dependencies))
            }
        };
    }

    /// Lets more files be added after the dependencies were resolved: what an assembler read is only known once it has
    /// run.
    fn reopen(&mut self) {
        let state = std::mem::replace(&mut self.state, RecordingState::Off);
        self.state = match state {
            RecordingState::Resolved(direct, dependencies) => {
                RecordingState::Collecting(direct, dependencies.read)
            }
            other => other,
        };
    }

    /// Resolves the dependencies, unless that has been done, and returns all that was recorded.
    pub(crate) fn finish(mut self) -> Recorded<'a> {
        self.change(resolve);
        let (dependencies, refusal) = match self.state {
            RecordingState::Resolved(_, dependencies) => (Some(dependencies), None),
            RecordingState::Refused(doubt, dependencies) => (dependencies, Some(doubt)),
            RecordingState::Off | RecordingState::Collecting(..) => (None, None),
        };
        Recorded {
            dependencies,
            refusal,
            observed: self.observed,
            quoted: self.quoted,
        }
    }

    /// Applies `next` if files are still being added; a doubt that it returns refuses the result.
    fn change(
        &mut self,
        next: impl FnOnce(&'a Direct<'a>, ReadSet<'a>) -> Result<RecordingState<'a>, NotStored>,
    ) {
        let state = std::mem::replace(&mut self.state, RecordingState::Off);
        self.state = match state {
            RecordingState::Collecting(direct, reads) => {
                next(direct, reads).unwrap_or_else(|doubt| RecordingState::Refused(doubt, None))
            }
            other => other,
        };
    }
}

fn resolve<'a>(
    direct: &'a Direct<'a>,
    reads: ReadSet<'a>,
) -> Result<RecordingState<'a>, NotStored> {
    let dependencies = direct.resolve(reads)?;
    Ok(RecordingState::Resolved(direct, dependencies))
}
