//! Runs commands, some side by side, with their output in files: in the order that a schedule gives, and in slots
//! that all processes share.

mod child;
mod crew;
mod failure;
mod jobserver;
mod schedule;
mod signals;
mod slots;

pub use child::Command;
pub use failure::Failure;
pub use schedule::{Step, Work, run_all, run_steps};
pub use signals::{Interrupted, Signals};
pub use slots::Slots;

#[cfg(test)]
mod tests;
