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
    /// The library of `pcache run`, if this program carries it.
    pub library: Option<&'a [u8]>,
    /// Whether standard output is coloured.
    pub out_colours: Colours,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub err_is_terminal: bool,
}

/// Whether a stream is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Because it is a terminal with colours, or because the user forces it.
    Shown,
    /// Because it is anything else, or because the user does not want them.
    None,
}

/// An environment whose standard error is a terminal.
#[cfg(test)]
pub(super) fn on_terminal<'a>(var: &'a dyn Fn(&str) -> Option<OsString>) -> Env<'a> {
    Env {
        var,
        variables: Vec::new(),
        program: None,
        library: None,
        out_colours: Colours::None,
        out_is_terminal: true,
        err_is_terminal: true,
    }
}
