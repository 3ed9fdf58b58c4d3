//! The reasons why a text has no line-insensitive digest.

/// Why a text has no line-insensitive digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestRefusal {
    /// A NUL or a carriage return.
    Byte,
    /// A comment in a directive, or before a possible one.
    Comment,
    /// An escaped newline outside raw strings.
    Splice,
    /// A line that looks like a marker but is not.
    Marker,
    /// An `#if 0` with an `#else` or `#elif`, or a line marker within any other conditional.
    Conditional,
    /// An unbalanced bracket.
    Brackets,
    /// Text that tools may read in different ways.
    Lexer,
}
