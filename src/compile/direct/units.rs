//! Units of invocations that have several, or that link: each is looked up and stored by itself. Under the unit's path
//! set lies the key of the unit's own record, which only a preprocessing would find otherwise.

use crate::compile::deliver::delivery;
use crate::compile::direct::lookup::Direct;
use crate::compile::direct::record::{SCHEMA, UnitPointer};
use crate::compile::direct::recording::Recorded;
use crate::compile::direct::rules_text;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::{Entered, ReadFiles};
use crate::compile::unit::key::stage_order;
use crate::compile::unit::module::OutputScope;
use crate::compile::unit::needs::Needs;
use crate::compile::unit::product::Ending;
use crate::compile::unit::run::Finished;
use crate::compile::unit::stored;
use crate::includes::lookups::NotStored;
use crate::includes::markers::Origin;
use crate::includes::path_set::PathSet;
use crate::key::{Digest, Explanation, RootSet};

impl Direct<'_> {
    /// The result of the unit `work` if nothing that it depends on has changed. `self` must have been made for that unit.
    pub(crate) fn look_up_unit(&self, work: &UnitContext<'_>) -> Option<Finished> {
        self.look_through(
            work.runner.recorder,
            &|set, contents| self.fetch_unit(work, set, contents).map(|(unit, _)| unit),
            &|set, contents| self.fetch_unit_alike(work, set, contents),
        )
    }

    fn fetch_unit(
        &self,
        work: &UnitContext<'_>,
        set: &PathSet,
        contents: &[Digest],
    ) -> Option<(Finished, UnitPointer)> {
        let brought = self.cache.brought();
        let read = self.read(set, contents, |pointer: &UnitPointer| {
            (pointer.schema, pointer.needs)
        });
        let (_, pointer) = read?;
        let mut key = Digest::default();
        hex::decode_to_slice(&pointer.unit, &mut key).ok()?;
        let (_, stages) = stage_order(work);
        let mut product = stored::fetch(work, &key, &stages)?.product()?;
        if let Some(artefact) = &pointer.depfile {
            let text = self.cache.artefact(artefact)?;
            product.depfile = Some(rules_text::present(&text, self.job, &self.roots)?);
        }
        let mut known = ReadFiles::default();
        for path in set.files(&self.roots)? {
            let (by, origin) = (None, Origin::User);
            known.add(path, Entered { by, origin });
        }
        let unit = Finished {
            ending: Ending::DirectHit,
            is_served: self.cache.brought() > brought,
            key,
            fields: Explanation::default(),
            passes: 0,
            known,
            scope: if pointer.needs.output {
                OutputScope::ThisOutput
            } else {
                OutputScope::AnyOutput
            },
            roots: pointer.needs.roots,
            message_roots: RootSet::default(),
            observed: None,
            semantic_off_reason: None,
            product,
        };
        Some((unit, pointer))
    }

    /// The result of an earlier state of the files with the same tokens. Stores it under the present contents too.
    fn fetch_unit_alike(
        &self,
        work: &UnitContext<'_>,
        set: &PathSet,
        contents: &[Digest],
    ) -> Option<Finished> {
        let fetch = |then: &[Digest]| self.fetch_unit(work, set, then);
        let ((unit, pointer), _) = self.of_equal_tokens(set, contents, fetch)?;
        if let Ok(bytes) = serde_json::to_vec(&pointer) {
            self.keep_scoped(set, contents, pointer.needs, &bytes);
        }
        Some(unit)
    }

    /// Stores where the result of the unit `work` is, under what the unit has read.
    pub(crate) fn keep_unit(
        &self,
        work: &UnitContext<'_>,
        unit: &Finished,
        recorded: Recorded<'_>,
    ) -> Result<(), NotStored> {
        if let Some(doubt) = recorded.refusal {
            return Err(doubt);
        }
        let Some(dependencies) = recorded.dependencies.filter(|_| !self.cache.readonly) else {
            return Ok(());
        };
        let dependencies = dependencies.with_quoted(&recorded.quoted);
        let mut roots = dependencies.roots.and(unit.roots).and(unit.message_roots);
        let unstored = || self.cache.why_unstored();
        let depfile = delivery::depfile(self.job, work).map_err(|_| "a pass is gone")?;
        let depfile = match depfile {
            None => None,
            Some(text) => {
                let stored = rules_text::stored(&text, self.job, &self.roots);
                let (text, left) = stored.ok_or(rules_text::NO_STORED_FORM)?;
                roots = roots.and(left);
                Some(self.cache.keep_internal(&text).ok_or_else(unstored)?)
            }
        };
        let needs = Needs {
            output: unit.scope == OutputScope::ThisOutput,
            messages: !unit.product.printed.is_empty(),
            time: dependencies.has_times,
            roots,
        };
        let pointer = UnitPointer {
            schema: SCHEMA,
            needs,
            unit: hex::encode(unit.key),
            depfile,
            sources: self.sources(),
        };
        self.keep_result(dependencies, recorded.observed, &pointer, needs)
    }
}
