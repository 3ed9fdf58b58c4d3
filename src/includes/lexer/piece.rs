//! Pieces and tokens of a text: their kind and position.

/// The kind of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PieceKind {
    /// A name or keyword.
    Identifier,
    /// A preprocessing number, which includes more than numbers: `1'000`, `0x1p-3`, `1.e+x`.
    Number,
    /// A literal with its prefix. The suffix of a user-defined literal is the identifier after it.
    Literal(Quotes),
    /// The name after `#include` and the like, with its quotes or angle brackets.
    HeaderName,
    /// An operator or punctuator, the longest possible. (One with an escaped newline in its
    /// middle is two pieces.)
    Punct,
    /// Not a token of the language: a stray byte, or an unmatched quote with the rest of its line.
    Other,
    /// The end of a logical line.
    Newline,
    /// A run of spaces and tabs.
    Blank,
    /// One of the other bytes that GCC treats as blanks: form feed, vertical tab, NUL.
    OddBlank,
    /// `/* … */`
    BlockComment,
    /// `// …`, up to the newline.
    LineComment,
    /// An escaped newline between other pieces: a backslash, optional blanks, and a newline.
    Splice,
    /// A byte order mark at the start of the text.
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

    /// Whether the piece only separates tokens.
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
    /// Its kind.
    pub kind: PieceKind,
    /// Position of its first byte.
    pub start: usize,
    /// Position after its last byte.
    pub end: usize,
    /// The physical line of its first byte, counted from 1.
    pub line: usize,
}

/// A preprocessing token or the end of a logical line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The kind of the token; [`PieceKind::Newline`] for the end of a line.
    pub kind: PieceKind,
    /// Position of its first byte.
    pub start: usize,
    /// Position after its last byte.
    pub end: usize,
    /// The physical line of its first byte, counted from 1.
    pub line: usize,
    /// Whether blanks or comments precede it on its logical line.
    pub blank_before: bool,
    /// Whether it is the first token of its logical line.
    pub starts_line: bool,
}

impl SourcePiece {
    /// The piece's bytes.
    pub fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.start..self.end]
    }
}

impl Token {
    /// The token's bytes, including escaped newlines inside it.
    pub fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.start..self.end]
    }
}
