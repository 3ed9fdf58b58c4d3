//! The directory below which paths do not matter.

use std::fmt;
use std::path::PathBuf;

/// Where the base directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseDir {
    /// At the top of the source's checkout, or else of its project.
    Auto,
    /// Nowhere: a path below no other root is part of the key.
    None,
    /// Here: an absolute path.
    At(PathBuf),
}

impl fmt::Display for BaseDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::At(path) => path.display().fmt(f),
        }
    }
}
