//! Why a text has no digest that is blind to lines that only move.

/// Why a text has no such digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineDoubt {
    /// A NUL or a carriage return.
    Byte,
    /// A comment in a directive, or before what may be one.
    Comment,
    /// An escaped newline outside raw strings.
    Splice,
    /// What looks like a marker and is none.
    Marker,
    /// A conditional that is not plainly false.
    Conditional,
    /// Brackets without partners.
    Brackets,
    /// Text that tools may read in different ways.
    Lexer,
}
