//! Which lines of a text keep their numbers, and why all of them do.

use std::fmt;

/// Which lines keep their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// None: nothing in the text takes lines.
    Nothing,
    /// Those of declarations that mention a function which takes its caller's line.
    Chunks {
        /// Those functions and classes.
        names: Vec<Vec<u8>>,
        /// How many declarations.
        count: usize,
    },
    /// All: a line may be taken by a declaration that does not name whom it calls.
    Everything {
        /// The function or class that takes it.
        name: Vec<u8>,
        /// What its name does where it cannot be followed.
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

/// Why all lines keep their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntrackableCapture {
    /// A line is taken in a place that is on no list of harmless ones.
    Shape,
    /// A function that takes lines is mentioned, and not called.
    Mention,
    /// A class with such a constructor is more than thrown.
    Class,
    /// The language calls a function of this name by itself.
    Implicit,
    /// A directive mentions such a name.
    Directive,
    /// There are too many names.
    TooMany,
}
