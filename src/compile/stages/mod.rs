//! The stage cache: the result of each stage under a key of its own, so that a changed unit only
//! redoes what has changed. One stage at a time: `begin` takes it from the store or says what to
//! run, `end` stores it. Unaware of when stages run, and of the unit's own record.

mod keys;
pub(super) mod make;
mod nameless;
pub(super) mod one_step;
pub mod portable;
pub(super) mod record;
mod shape;
mod splice;
pub(super) mod stage_cache;
mod two_steps;
