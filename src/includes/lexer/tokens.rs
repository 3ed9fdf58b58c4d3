//! The tokens of a text and the ends of its logical lines, without comments and blanks.

use super::SourcePieces;
use super::piece::{PieceKind, Token};

/// Iterates over the tokens and ends of logical lines of a text.
pub struct Tokens<'t> {
    pieces: SourcePieces<'t>,
    starts_line: bool,
}

impl<'t> Tokens<'t> {
    /// The tokens of `text`, which must be the start of a file.
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            pieces: SourcePieces::new(text),
            starts_line: true,
        }
    }

    /// Why the tokens so far may not be what a preprocessor sees, if there is a reason.
    pub fn doubt(&self) -> Option<&'static str> {
        self.pieces.doubt()
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    #[inline]
    fn next(&mut self) -> Option<Token> {
        let mut blank_before = false;
        loop {
            let piece = self.pieces.next()?;
            if piece.kind.is_gap() {
                blank_before |= !matches!(piece.kind, PieceKind::Splice | PieceKind::Mark);
                continue;
            }
            let starts_line = self.starts_line;
            self.starts_line = piece.kind == PieceKind::Newline;
            return Some(Token {
                kind: piece.kind,
                start: piece.start,
                end: piece.end,
                line: piece.line,
                blank_before,
                starts_line,
            });
        }
    }
}
