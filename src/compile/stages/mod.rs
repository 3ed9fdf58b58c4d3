//! The stage cache: the result of each stage under a key of its own, so that a changed unit only
//! redoes what has changed.

mod keys;
pub mod make;
mod nameless;
pub mod one_step;
pub mod record;
mod shape;
mod splice;
pub mod stage_cache;
mod two_steps;
