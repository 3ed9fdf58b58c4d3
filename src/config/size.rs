//! Sizes in bytes in the form in which users write them: `10G`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Text that is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSize {
    /// Not digits with an optional unit.
    #[error("not a size")]
    Shape,
    /// No entry fits into such a cache.
    #[error("a size of zero")]
    Zero,
    /// More than 2^64 - 1 bytes.
    #[error("too large a size")]
    TooLarge,
}

/// Units by their letters, powers of 1024, largest first.
const UNITS: [(char, u64); 4] = [
    ('T', 1 << 40),
    ('G', 1 << 30),
    ('M', 1 << 20),
    ('K', 1 << 10),
];

impl ByteSize {
    /// `bytes` bytes; zero is raised to one.
    pub const fn new(bytes: u64) -> Self {
        Self(if bytes == 0 { 1 } else { bytes })
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size rounded for display: `9.8 GiB`.
    pub fn approximate(bytes: u64) -> String {
        match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
            Some((letter, unit)) => format!("{:.1} {letter}iB", bytes as f64 / *unit as f64),
            None => format!("{bytes} B"),
        }
    }
}

impl FromStr for ByteSize {
    type Err = BadSize;

    /// Digits, then nothing or one of `K`, `M`, `G`, `T` in either case.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
            "" => 1,
            suffix => {
                let is_suffix = |(letter, _): &&(char, u64)| suffix == letter.to_string();
                UNITS.iter().find(is_suffix).ok_or(BadSize::Shape)?.1
            }
        };
        // `parse` alone would accept a sign.
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadSize::Shape);
        }
        let number: u64 = digits.parse().map_err(|_| BadSize::TooLarge)?;
        match number.checked_mul(unit).ok_or(BadSize::TooLarge)? {
            0 => Err(BadSize::Zero),
            bytes => Ok(Self(bytes)),
        }
    }
}

/// The shortest exact form, which [`FromStr`] reads back.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, unit)| self.0.is_multiple_of(*unit)) {
            Some((letter, unit)) => write!(f, "{}{letter}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}
