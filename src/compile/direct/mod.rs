//! Direct mode: looks a result up by the digests of the files that the last compile read, without starting a
//! process. `docs/design/direct.md` says what is checked, and why that is enough.

pub(crate) mod dependencies;
pub(crate) mod explain;
pub(crate) mod keep;
pub(crate) mod lookup;
mod named;
pub(crate) mod record;
pub(crate) mod recording;
mod reruns;
mod rules_text;
pub(crate) mod search_orders;
pub(crate) mod token_set;
mod units;
mod verbose_text;
