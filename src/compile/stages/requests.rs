//! What distant servers are asked for while stages run that their answers may make unnecessary.

use crate::compile::detour::{Brought, Detour};
use crate::compile::store_view::StoreView;
use crate::plan::Plan;
use crate::remote::PendingFetch;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

/// Requests that have yet to be answered.
#[derive(Default)]
pub(super) struct Requests<'a> {
    /// For the results of these stages.
    stages: BTreeMap<usize, PendingFetch>,
    /// For the whole product. They are numbered behind all stages.
    product: &'a [PendingFetch],
    first: usize,
}

impl<'a> Requests<'a> {
    /// Those for the product of a unit of `plan`.
    pub(super) fn of(plan: &Plan, product: &'a [PendingFetch]) -> Self {
        Self {
            stages: BTreeMap::new(),
            product,
            first: plan.stages.len(),
        }
    }

    /// Adds one for the result of a stage.
    pub(super) fn add(&mut self, stage: usize, asked: Option<PendingFetch>) {
        self.stages.extend(asked.map(|asked| (stage, asked)));
    }

    /// Whether a server has yet to answer for the stage.
    pub(super) fn has(&self, stage: usize) -> bool {
        self.stages.contains_key(&stage)
    }

    /// The stage has run.
    pub(super) fn forget(&mut self, stage: usize) {
        self.stages.remove(&stage);
    }

    /// Their numbers and descriptors.
    pub(super) fn rivals(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let stages = self.stages.iter();
        let stages = stages.map(|(number, pending)| (*number, pending));
        let product = (self.first..).zip(self.product);
        let all = stages.chain(product);
        all.filter_map(|(number, pending)| Some((number, pending.descriptor()?)))
    }

    /// Takes the answer to one. Returns the stage that need not run any more, if any.
    ///
    /// # Errors
    /// The whole product is in the store.
    pub(super) fn answered(
        &mut self,
        cache: &StoreView<'_>,
        number: usize,
    ) -> Result<Option<usize>, Detour> {
        if let Some(asked) = self.stages.remove(&number) {
            return Ok(cache.take_answer(&asked).then_some(number));
        }
        let place = number.checked_sub(self.first);
        let product = place.and_then(|place| self.product.get(place));
        if product.is_some_and(|asked| cache.take_answer(asked)) {
            return Err(Detour::Overtaken(Brought::Unit));
        }
        Ok(None)
    }
}
