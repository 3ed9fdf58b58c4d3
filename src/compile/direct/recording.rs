//! What the units of an invocation read, collected while they are compiled, for direct mode.

use crate::compile::direct::dependencies::{ReadSet, ResolvedDependencies};
use crate::compile::direct::lookup::Direct;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::inputs::line_free::Sight;
use crate::compile::unit::product::Ending;
use crate::compile::unit::run::Finished;
use crate::includes::lookups::Doubt;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is collected for direct mode.
pub struct Recording<'a> {
    state: RecordingState<'a>,
    /// What else than tokens the units could see; `None` if every byte counts.
    sight: Option<Sight>,
    /// Files of which every byte counts, since what is printed speaks of them.
    quoted: BTreeSet<PathBuf>,
}

enum RecordingState<'a> {
    /// Direct mode does not answer such an invocation.
    Off,
    /// Files are still added.
    Collecting(&'a Direct<'a>, ReadSet<'a>),
    /// All that the only unit read was resolved while its stages ran.
    Resolved(ResolvedDependencies<'a>),
    /// The result cannot be remembered.
    Refused(Doubt),
}

/// What a result depends on.
pub struct Resolved<'a> {
    /// Files, names and search orders.
    pub dependencies: ResolvedDependencies<'a>,
    /// What else than tokens the compile could see; `None` if every byte counts.
    pub sight: Option<Sight>,
    /// Files of which every byte counts.
    pub quoted: BTreeSet<PathBuf>,
}

impl<'a> Recording<'a> {
    /// Begins before any pass of `works` runs.
    pub fn begin(direct: Option<&'a Direct<'a>>, works: &[UnitContext<'a>]) -> Self {
        let state = direct.map_or(RecordingState::Off, |direct| match ReadSet::begin(works) {
            Ok(reads) => RecordingState::Collecting(direct, reads),
            Err(doubt) => RecordingState::Refused(doubt),
        });
        Self {
            state,
            sight: Some(Sight::default()),
            quoted: BTreeSet::new(),
        }
    }

    /// Resolves what the only unit read, whose passes read `known`. Calls after the first do nothing.
    pub fn resolve_early(&mut self, known: &ReadFiles) {
        self.change(|direct, mut reads| {
            reads.add(known)?;
            direct.resolve(&reads).map(RecordingState::Resolved)
        });
    }

    /// Adds what a unit read, if its result may be remembered.
    pub fn add(&mut self, unit: &Finished) {
        let both = self.sight.zip(unit.sight);
        self.sight = both.map(|(one, other)| one.max(other));
        let quoted = unit.product.sources.iter();
        self.quoted.extend(quoted.map(|source| source.path.clone()));
        match (&unit.ending, &self.state) {
            (_, RecordingState::Off | RecordingState::Refused(_)) => {}
            (Ending::Unstored(why), _) => self.state = RecordingState::Refused(why.clone()),
            (_, RecordingState::Resolved(_)) => {}
            (_, RecordingState::Collecting(..)) => self.change(|direct, mut reads| {
                reads.add(&unit.known)?;
                Ok(RecordingState::Collecting(direct, reads))
            }),
        }
    }

    /// Everything that the result depends on; `None` if direct mode is off.
    ///
    /// # Errors
    /// The result cannot be remembered, for this reason.
    pub fn finish(mut self) -> Result<Option<Resolved<'a>>, Doubt> {
        self.change(|direct, reads| direct.resolve(&reads).map(RecordingState::Resolved));
        match self.state {
            RecordingState::Resolved(dependencies) => Ok(Some(Resolved {
                dependencies,
                sight: self.sight,
                quoted: self.quoted,
            })),
            RecordingState::Refused(doubt) => Err(doubt),
            RecordingState::Off | RecordingState::Collecting(..) => Ok(None),
        }
    }

    fn change(
        &mut self,
        next: impl FnOnce(&'a Direct<'a>, ReadSet<'a>) -> Result<RecordingState<'a>, Doubt>,
    ) {
        let state = std::mem::replace(&mut self.state, RecordingState::Off);
        self.state = match state {
            RecordingState::Collecting(direct, reads) => {
                next(direct, reads).unwrap_or_else(RecordingState::Refused)
            }
            other => other,
        };
    }
}
