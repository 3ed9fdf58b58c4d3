//! How many jobs may run at once.

use std::fmt;
use std::num::{NonZeroU16, NonZeroUsize};
use std::str::FromStr;
use thiserror::Error;

/// How many jobs may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// One for each core that the process may use.
    Cores,
    /// This many.
    Number(NonZeroU16),
}

/// Text that is not a number of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadJobs {
    /// Neither digits nor `cores`.
    #[error("not a number of jobs")]
    Shape,
    /// No stage could ever run.
    #[error("no jobs at all")]
    Zero,
    /// More than any machine runs.
    #[error("too many jobs")]
    TooMany,
}

impl Jobs {
    /// The number; `None` if the number of cores decides.
    pub fn number(self) -> Option<NonZeroUsize> {
        match self {
            Self::Cores => None,
            Self::Number(number) => Some(number.into()),
        }
    }
}

impl FromStr for Jobs {
    type Err = BadJobs;

    fn from_str(text: &str) -> Result<Self, BadJobs> {
        if text == "cores" {
            return Ok(Self::Cores);
        }
        // `parse` alone would accept a sign.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadJobs::Shape);
        }
        let number: u16 = text.parse().map_err(|_| BadJobs::TooMany)?;
        NonZeroU16::new(number)
            .map(Self::Number)
            .ok_or(BadJobs::Zero)
    }
}

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cores => f.write_str("cores"),
            Self::Number(number) => number.fmt(f),
        }
    }
}
