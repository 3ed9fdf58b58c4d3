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
    /// The form of a value.
    pub kind: &'static str,
    /// The default, as it appears in documentation.
    pub default: &'static str,
    /// What it does, in one sentence without a full stop.
    pub help: &'static str,
    /// Whether the file of a checkout may have it: the worst value costs time, and makes no program run, read or write
    /// anything elsewhere.
    pub in_checkouts: bool,
    /// Reads a value from text, and returns it in the form of the configuration file. The error says what is
    /// wrong with the text, and what to write instead.
    pub read: fn(&OsStr) -> Result<Scalar, String>,
}
