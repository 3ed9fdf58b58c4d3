//! What the units of an invocation read, collected while they are compiled, for direct mode.

use crate::compile::direct::dependencies::{ReadSet, ResolvedDependencies};
use crate::compile::direct::lookup::Direct;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::inputs::line_insensitive::ObservedPositions;
use crate::compile::unit::product::Ending;
use crate::compile::unit::run::Finished;
use crate::includes::lookups::Doubt;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is collected for direct mode.
pub(crate) struct Recording<'a> {
    state: RecordingState<'a>,
    /// What else than tokens the units could see; `None` if every byte counts.
    observed: Option<ObservedPositions>,
    /// Files that diagnostics mention: an edit of any byte of them makes the result stale.
    quoted: BTreeSet<PathBuf>,
}

enum RecordingState<'a> {
    /// Direct mode does not answer such an invocation.
    Off,
    /// Files are still added.
    Collecting(&'a Direct<'a>, ReadSet<'a>),
    /// All that the only unit read was resolved while its stages ran.
    Resolved(ResolvedDependencies<'a>),
    /// The result cannot be remembered; with what it depends on, if that was resolved before.
    Refused(Doubt, Option<ResolvedDependencies<'a>>),
}

/// What was recorded of a result.
pub(crate) struct Recorded<'a> {
    /// What it depends on: files, names and search orders; `None` if that was not resolved.
    pub dependencies: Option<ResolvedDependencies<'a>>,
    /// Why it is not remembered, if it is not.
    pub refusal: Option<Doubt>,
    /// What else than tokens the compile could see; `None` if every byte counts.
    pub observed: Option<ObservedPositions>,
    /// Files that diagnostics mention: an edit of any byte of them makes the result stale.
    pub quoted: BTreeSet<PathBuf>,
}

impl<'a> Recording<'a> {
    /// Begins before any pass of `works` runs.
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

    /// Resolves what the only unit read, whose passes read `known`. Calls after the first do nothing.
    pub(crate) fn resolve_early(&mut self, known: &ReadFiles) {
        self.change(|direct, mut reads| {
            reads.add(known)?;
            direct.resolve(&reads).map(RecordingState::Resolved)
        });
    }

    /// Adds what a unit read, if its result may be remembered.
    pub(crate) fn add(&mut self, unit: &Finished) {
        let both = self.observed.zip(unit.observed);
        self.observed = both.map(|(one, other)| one.max(other));
        let quoted = unit.product.sources.iter();
        self.quoted.extend(quoted.map(|source| source.path.clone()));
        if let Ending::Unstored(why) = &unit.ending {
            self.refuse(why);
        } else {
            self.change(|direct, mut reads| {
                reads.add(&unit.known)?;
                Ok(RecordingState::Collecting(direct, reads))
            });
        }
    }

    /// The result is not remembered. What is resolved already serves explanations.
    fn refuse(&mut self, why: &Doubt) {
        let state = std::mem::replace(&mut self.state, RecordingState::Off);
        self.state = match state {
            RecordingState::Off | RecordingState::Refused(..) => state,
            RecordingState::Collecting(..) => RecordingState::Refused(why.clone(), None),
            RecordingState::Resolved(found) => RecordingState::Refused(why.clone(), Some(found)),
        };
    }

    /// Everything that was found out.
    pub(crate) fn finish(mut self) -> Recorded<'a> {
        self.change(|direct, reads| direct.resolve(&reads).map(RecordingState::Resolved));
        let (dependencies, refusal) = match self.state {
            RecordingState::Resolved(found) => (Some(found), None),
            RecordingState::Refused(doubt, found) => (found, Some(doubt)),
            RecordingState::Off | RecordingState::Collecting(..) => (None, None),
        };
        Recorded {
            dependencies,
            refusal,
            observed: self.observed,
            quoted: self.quoted,
        }
    }

    fn change(
        &mut self,
        next: impl FnOnce(&'a Direct<'a>, ReadSet<'a>) -> Result<RecordingState<'a>, Doubt>,
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
