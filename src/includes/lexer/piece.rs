//! What a piece or a token of a text is, and where it stands.

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PieceKind {
    /// A name or keyword.
    Identifier,
    /// A preprocessing number, which includes more than numbers: `1'000`, `0x1p-3`, `1.e+x`.
    Number,
    /// With its prefix, without the suffix of a user-defined literal: that is the identifier after it.
    Literal(Quotes),
    /// The name after `#include` and its like, with quotes or angle brackets.
    HeaderName,
    /// An operator or punctuator, the longest that there is. (One with an escaped newline in its
    /// middle is two.)
    Punct,
    /// What is no token of the language: a stray byte, or a quote without its partner and what
    /// follows it on the line.
    Other,
    /// The end of a logical line.
    Newline,
    /// A run of spaces and tabs.
    Blank,
    /// One of the other bytes that GCC takes for blanks: form feed, vertical tab, NUL.
    OddBlank,
    /// `/* … */`
    BlockComment,
    /// `// …`, up to the newline.
    LineComment,
    /// A backslash, blanks perhaps, and a newline, between other pieces.
    Splice,
    /// A byte order mark at the beginning.
    Mark,
}

/// Kinds of literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quotes {
    /// `"…"`
    String,
    /// `'…'`
    Char,
    /// `R"d(…)d"`
    Raw,
}

impl PieceKind {
    /// Whether the piece is a preprocessing token; ends of lines are not.
    pub fn is_token(self) -> bool {
        !self.is_gap() && self != Self::Newline
    }

    /// Whether the piece stands between tokens.
    pub fn is_gap(self) -> bool {
        matches!(
            self,
            Self::Blank
                | Self::OddBlank
                | Self::BlockComment
                | Self::LineComment
                | Self::Splice
                | Self::Mark
        )
    }
}

/// A part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePiece {
    /// What it is.
    pub kind: PieceKind,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
    /// The physical line of its first byte, counted from 1.
    pub line: usize,
}

/// A preprocessing token or the end of a logical line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// A token's kind, or [`PieceKind::Newline`].
    pub kind: PieceKind,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
    /// The physical line of its first byte, counted from 1.
    pub line: usize,
    /// Whether blanks or comments precede it on its logical line.
    pub blank_before: bool,
    /// Whether it is the first one of its logical line.
    pub starts_line: bool,
}

impl SourcePiece {
    /// The piece's bytes.
    pub fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.start..self.end]
    }
}

impl Token {
    /// The token's bytes, with escaped newlines that are inside it.
    pub fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.start..self.end]
    }
}
