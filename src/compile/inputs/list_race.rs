//! A list of path sets that a distant server may have, and the passes that run until it answers. Whichever comes first is
//! used: what the list leads to, or what the passes wrote.

use crate::compile::detour::{Brought, Detour};
use crate::compile::store_view::StoreView;
use crate::remote::PendingFetch;
use std::os::fd::BorrowedFd;

/// The number by which schedules know the list.
pub(crate) const LIST: usize = usize::MAX;

/// The request for the list of one invocation.
pub(crate) struct ListRace<'a> {
    pub cache: &'a StoreView<'a>,
    pub pending: PendingFetch,
    /// Looks the invocation up again. Returns whether there is a hit, which it keeps.
    pub look_up: &'a dyn Fn() -> bool,
}

impl ListRace<'_> {
    /// Its number and descriptor, until it is answered.
    pub(crate) fn rival(&self) -> Option<(usize, BorrowedFd<'_>)> {
        Some((LIST, self.pending.descriptor()?))
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// There is a hit, so that whatever runs is not needed.
    pub(crate) fn answered(&self) -> Result<(), Detour> {
        let is_won = self.cache.take_answer(&self.pending) && (self.look_up)();
        if is_won {
            Err(Detour::Overtaken(Brought::Invocation))
        } else {
            Ok(())
        }
    }
}
