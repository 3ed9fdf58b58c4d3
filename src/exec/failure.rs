//! Why steps end before all are done.

use super::signals::Interrupted;
use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;

/// Why not all steps ended well. No command is still running.
#[derive(Debug)]
pub enum Failure<E = Infallible> {
    /// The command of this step ended badly.
    Status(usize, ExitStatus),
    /// The command of this step could not be run.
    Start(usize, io::Error),
    /// A signal came.
    Interrupted(Interrupted),
    /// What the work itself says.
    Work(E),
}
