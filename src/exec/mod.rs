//! Runs commands, some side by side, with their output in files. Unaware of plans, keys and stores.

mod run;
mod signals;

pub use run::{Command, Failure, run_all};
pub use signals::{Interrupted, Signals};
