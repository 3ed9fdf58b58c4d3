//! The stage cache: the result of each stage under a key of its own, so that a changed unit only
//! redoes what has changed.

mod keys;
pub(crate) mod make;
mod nameless;
pub(crate) mod one_step;
pub(crate) mod record;
mod shape;
mod splice;
pub(crate) mod stage_cache;
mod two_steps;
