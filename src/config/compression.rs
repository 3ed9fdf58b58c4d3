//! What is stored compressed.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// What is stored compressed, and how hard zstd tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing new.
    None,
    /// What only this program reads.
    Internal(CompressionLevel),
    /// Results too.
    All(CompressionLevel),
}

/// A level of zstd: a low one is fast, a high one saves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionLevel(i32);

/// Text that does not say what to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadCompression {
    /// Neither `all` nor `internal` nor `none`.
    #[error("not what can be compressed")]
    Shape,
    /// A level that zstd does not have, or one with `none`.
    #[error("no such level")]
    Level,
}

impl CompressionLevel {
    /// On the PTX, cubins and assembly of LightGBM, it leaves 24 % less than level 1, and costs 20 ms for a compile of
    /// 10 s; level 12 leaves 3 % less and costs twice as much.
    pub const USUAL: Self = Self(9);

    /// Above it, zstd needs much more memory.
    const HIGHEST: i32 = 19;

    /// The number that zstd takes.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl Compression {
    /// The default: internal texts.
    pub const DEFAULT: Self = Self::Internal(CompressionLevel::USUAL);

    /// The level for what only this program reads.
    pub fn internal(self) -> Option<CompressionLevel> {
        match self {
            Self::None => None,
            Self::Internal(level) | Self::All(level) => Some(level),
        }
    }

    /// The level for results.
    pub fn results(self) -> Option<CompressionLevel> {
        match self {
            Self::None | Self::Internal(_) => None,
            Self::All(level) => Some(level),
        }
    }
}

impl FromStr for Compression {
    type Err = BadCompression;

    fn from_str(text: &str) -> Result<Self, BadCompression> {
        let (name, level) = match text.split_once(':') {
            None => (text, CompressionLevel::USUAL),
            Some((name, level)) => {
                let number = level.parse().map_err(|_| BadCompression::Level)?;
                if !(1..=CompressionLevel::HIGHEST).contains(&number) || level.starts_with('+') {
                    return Err(BadCompression::Level);
                }
                (name, CompressionLevel(number))
            }
        };
        match name {
            "all" => Ok(Self::All(level)),
            "internal" => Ok(Self::Internal(level)),
            "none" if text == name => Ok(Self::None),
            "none" => Err(BadCompression::Level),
            _ => Err(BadCompression::Shape),
        }
    }
}

/// The form that [`FromStr`] reads back.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, level) = match self {
            Self::None => return f.write_str("none"),
            Self::Internal(level) => ("internal", level),
            Self::All(level) => ("all", level),
        };
        if *level == CompressionLevel::USUAL {
            f.write_str(name)
        } else {
            write!(f, "{name}:{}", level.number())
        }
    }
}
