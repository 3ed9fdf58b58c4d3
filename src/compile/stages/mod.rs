//! The stage cache: stores the result of each stage under a key of its own, so that a changed unit only
//! runs the stages whose inputs have changed.

mod doubts;
mod host_texts;
mod keeping;
mod keys;
pub(crate) mod make;
mod nameless;
pub(crate) mod one_step;
pub(crate) mod record;
mod requests;
mod shape;
mod splice;
pub(crate) mod stage_cache;
mod stored;
mod two_steps;
