//! Direct mode: an invocation answered from what it read last time, without starting a process.
//! `docs/design/direct.md` says what is checked, and why that is enough.

pub mod dependencies;
pub mod explain;
pub mod lookup;
pub mod recording;
pub mod search_orders;
pub mod token_set;
