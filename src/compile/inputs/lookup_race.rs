//! What a distant server may have for direct mode, and the passes that run until it answers. Whichever comes first is used:
//! what the answer leads to, or what the passes wrote.

use crate::compile::detour::{Brought, Detour};
use crate::compile::store_view::StoreView;
use crate::remote::PendingFetch;
use std::os::fd::BorrowedFd;

/// The numbers by which schedules know the requests begin here: behind those of all stages.
pub(crate) const FIRST_LOOKUP: usize = usize::MAX / 2;

/// The requests of direct mode for one invocation.
pub(crate) struct LookupRace<'a> {
    pub cache: &'a StoreView<'a>,
    pub pending: Vec<PendingFetch>,
    /// Looks the invocation up again, and waits for what an answer leads to. Returns whether there is a hit, which it keeps.
    pub look_up: &'a dyn Fn() -> bool,
}

impl LookupRace<'_> {
    /// The numbers and descriptors of requests that are not answered.
    pub(crate) fn rivals(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let numbered = (FIRST_LOOKUP..).zip(&self.pending);
        numbered.filter_map(|(number, pending)| Some((number, pending.descriptor()?)))
    }

    /// Takes the answer to a request.
    ///
    /// # Errors
    /// There is a hit, so that whatever runs is not needed.
    pub(crate) fn answered(&self, number: usize) -> Result<(), Detour> {
        let pending = number
            .checked_sub(FIRST_LOOKUP)
            .and_then(|at| self.pending.get(at));
        let is_here = pending.is_some_and(|pending| self.cache.take_answer(pending));
        if is_here && (self.look_up)() {
            return Err(Detour::Overtaken(Brought::Invocation));
        }
        Ok(())
    }
}
