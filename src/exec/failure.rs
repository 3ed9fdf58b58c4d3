//! Why a schedule ended before all steps were done.

use super::signals::Interrupted;
use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;

/// Why not all steps succeeded. No command is still running.
#[derive(Debug)]
pub enum Failure<E = Infallible> {
    /// The command of this step failed.
    Status(usize, ExitStatus),
    /// The command of this step could not be run.
    Start(usize, io::Error),
    /// A signal arrived.
    Interrupted(Interrupted),
    /// An error of [`Work`](super::Work).
    Work(E),
}
