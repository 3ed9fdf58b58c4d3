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

/// Names of units, in lower case: `G` and `GiB` are a power of 1024, `GB` is one of 1000, as coreutils have it.
const NAMES: [(&str, u64); 17] = [
    ("", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

impl FromStr for ByteSize {
    type Err = BadSize;

    /// Digits, with a fraction or without, and a unit in any case, with a blank between or without; rounded down to
    /// whole bytes.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let name = text[digits.len()..].to_ascii_lowercase();
        let (_, unit) = NAMES
            .iter()
            .find(|(unit, _)| *unit == name)
            .ok_or(BadSize::Shape)?;
        let digits = digits.strip_suffix(' ').unwrap_or(digits);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        // `parse` alone would accept a sign.
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) || fraction.len() > 9 {
            return Err(BadSize::Shape);
        }
        let whole: u64 = whole.parse().map_err(|_| BadSize::TooLarge)?;
        let scale = 10_u128.pow(fraction.len() as u32);
        let fraction: u128 = fraction.parse().map_err(|_| BadSize::Shape)?;
        let bytes = (u128::from(whole) * scale + fraction) * u128::from(*unit) / scale;
        match u64::try_from(bytes).map_err(|_| BadSize::TooLarge)? {
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
