//! What `pcache` learns from the system besides its arguments; tests put their own in its place.

use crate::config::Environment;
use std::ffi::OsString;
use std::path::PathBuf;

/// Environment variables, streams, and the file of this program.
pub struct Env<'a> {
    /// Looks up an environment variable.
    pub var: &'a Environment<'a>,
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
    var: &'a dyn Fn(&str) -> Option<OsString>,
    streams: Streams,
) -> Env<'a> {
    Env {
        var,
        variables: Vec::new(),
        program: None,
        out_is_terminal: streams == Streams::Terminal,
        err_is_terminal: streams == Streams::Terminal,
    }
}
