//! Runs commands in parallel, with their output in files. A schedule decides their order, and slots that all processes
//! share decide how many run at once.

mod child;
mod crew;
mod failure;
mod jobserver;
mod schedule;
mod signals;
mod slots;
mod trace;

pub use child::Command;
pub use failure::Failure;
pub use schedule::{Step, Work, run_all, run_steps};
pub use signals::{Interrupted, Signals};
pub use slots::{Slots, used_slots};
pub use trace::{AskedPaths, paths_asked};

#[cfg(test)]
mod tests;
