//! The lines of a text whose numbers are part of the digest, and the reason if all are.

use std::fmt;

/// The lines whose numbers are part of the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// None: nothing in the text captures lines.
    Nothing,
    /// Those of declarations that mention a function which captures its caller's line.
    Chunks {
        /// The capturing functions and classes.
        names: Vec<Vec<u8>>,
        /// The number of declarations.
        count: usize,
    },
    /// All: a declaration may capture a line without naming the function that it calls.
    Everything {
        /// The function or class that captures lines.
        name: Vec<u8>,
        /// Why its uses cannot be tracked.
        why: UntrackableCapture,
    },
}

impl fmt::Display for Keeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "keeps no line"),
            Self::Chunks { names, count } => {
                let names: Vec<_> = names
                    .iter()
                    .map(|name| String::from_utf8_lossy(name))
                    .collect();
                write!(f, "keeps {count} declarations: {}", names.join(", "))
            }
            Self::Everything { name, why } => {
                write!(
                    f,
                    "keeps every line: {} ({why:?})",
                    String::from_utf8_lossy(name)
                )
            }
        }
    }
}

/// Why the uses of a line-capturing name cannot be tracked, so that all lines keep their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntrackableCapture {
    /// A line is captured in a place that is not on the list of harmless ones.
    Shape,
    /// A line-capturing function is mentioned without being called.
    Mention,
    /// A class with a line-capturing constructor is used for more than a `throw`.
    Class,
    /// The language calls a function of this name by itself.
    Implicit,
    /// A directive mentions such a name.
    Directive,
    /// There are too many names.
    TooMany,
}
