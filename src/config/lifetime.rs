//! Lifetimes in the form in which users write them: `7d`.

use std::fmt;
use std::str::FromStr;

/// A number of seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u64);

/// Text that is not a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLifetime {
    /// Not digits with a unit.
    #[error("not a lifetime")]
    Shape,
    /// An entry with such a lifetime would expire at once.
    #[error("a lifetime of zero")]
    Zero,
    /// More than 2^64 - 1 seconds.
    #[error("too long a lifetime")]
    TooLong,
}

/// Units by their letters, in seconds, longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Lifetime {
    /// `days` days; zero is raised to one.
    pub const fn days(days: u32) -> Self {
        Self(if days == 0 { 1 } else { days as u64 } * 86_400)
    }

    /// The number of seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Lifetime {
    type Err = BadLifetime;

    /// Digits, then one of `s`, `m`, `h`, `d` in lower case.
    fn from_str(text: &str) -> Result<Self, BadLifetime> {
        let is_suffix = |(letter, _): &&(char, u64)| text.ends_with(*letter);
        let (letter, unit) = UNITS.iter().find(is_suffix).ok_or(BadLifetime::Shape)?;
        let digits = text.strip_suffix(*letter).unwrap_or_default();
        // `parse` alone would accept a sign.
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadLifetime::Shape);
        }
        let number: u64 = digits.parse().map_err(|_| BadLifetime::TooLong)?;
        match number.checked_mul(*unit).ok_or(BadLifetime::TooLong)? {
            0 => Err(BadLifetime::Zero),
            seconds => Ok(Self(seconds)),
        }
    }
}

/// The shortest exact form, which [`FromStr`] reads back.
impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, unit)| self.0.is_multiple_of(*unit)) {
            Some((letter, unit)) => write!(f, "{}{letter}", self.0 / unit),
            None => write!(f, "{}s", self.0),
        }
    }
}
