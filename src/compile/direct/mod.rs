//! Direct mode: an invocation answered from what it read last time, without starting a process.
//! `docs/design/direct.md` says what is checked, and why that is enough.

pub(crate) mod dependencies;
pub(crate) mod explain;
pub(crate) mod lookup;
pub(crate) mod recording;
pub(crate) mod search_orders;
pub(crate) mod token_set;
