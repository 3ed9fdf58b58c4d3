//! Which driver version keys hold.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The driver version that keys hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverVersion {
    /// The version of this machine's driver.
    Auto,
    /// This one, whatever this machine has: digits and dots, or `none`.
    Fixed(String),
}

/// Text that is not a driver version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a driver version")]
pub struct BadDriverVersion;

impl DriverVersion {
    /// What keys hold for a machine without a driver.
    pub const NONE: &'static str = "none";
}

impl FromStr for DriverVersion {
    type Err = BadDriverVersion;

    fn from_str(text: &str) -> Result<Self, BadDriverVersion> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        match text {
            "auto" => Ok(Self::Auto),
            Self::NONE => Ok(Self::Fixed(text.into())),
            version if version.split('.').all(is_number) => Ok(Self::Fixed(version.into())),
            _ => Err(BadDriverVersion),
        }
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(version) => f.write_str(version),
        }
    }
}
