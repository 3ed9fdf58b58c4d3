//! One row of the table of settings.

use super::value::Scalar;
use std::ffi::OsStr;

/// One row of the table, for documentation and listings.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key in `config.toml`.
    pub key: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What a value looks like.
    pub kind: &'static str,
    /// The default, as documentation writes it.
    pub default: &'static str,
    /// What it does, in one sentence without an end.
    pub help: &'static str,
    /// Reads text that is given as its value: the value as the configuration file has it; or what is
    /// wrong with the text, and the way out.
    pub read: fn(&OsStr) -> Result<Scalar, String>,
}
