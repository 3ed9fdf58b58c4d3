//! What the system tells the program, apart from its arguments.

use crate::config::Environment;
use std::ffi::OsString;
use std::path::PathBuf;

/// What the program is told by the system, apart from its arguments.
pub struct Surroundings<'a> {
    /// Looks up an environment variable.
    pub env: &'a Environment<'a>,
    /// The names of all environment variables.
    pub variables: Vec<OsString>,
    /// The file of this program.
    pub program: Option<PathBuf>,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub err_is_terminal: bool,
}

/// Where both streams lead.
#[cfg(test)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    Terminal,
    File,
}

#[cfg(test)]
pub(super) fn leading_to<'a>(
    env: &'a dyn Fn(&str) -> Option<OsString>,
    streams: Streams,
) -> Surroundings<'a> {
    Surroundings {
        env,
        variables: Vec::new(),
        program: None,
        out_is_terminal: streams == Streams::Terminal,
        err_is_terminal: streams == Streams::Terminal,
    }
}
