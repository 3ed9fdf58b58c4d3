//! Splits a C++ text into pieces as the preprocessor sees them: tokens, and the comments, blanks and
//! escaped newlines between them, each with its physical line.
//!
//! The model is GCC's preprocessor for C++14 and later, applied to sources or to its own output (`-E`). If
//! the language mode, the compiler version or the macros of a compile decide how the text must be
//! read, the lexer reads it one way and remembers a [doubt](SourcePieces::doubt).
//! It recognises only directives that name headers, expands nothing and reads no file.

pub(super) mod bytes;
pub mod piece;
pub mod tokens;

use bytes::{
    BYTE_ORDER_MARK, ByteClass, before_splices, class, is_blank, is_delimiter, is_word, line_end,
    operator_length, past_splices, splice, unspliced,
};
use memchr::{memchr, memchr_iter, memchr3, memmem};
use piece::{PieceKind, Quotes, SourcePiece};

/// The position of the next token in its line, as far as it decides whether a header's name may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LexerPlace {
    LineStart,
    /// After the `#` of a directive.
    Hash,
    /// After `#include`.
    Include,
    /// Anywhere else in a directive.
    Directive,
    Code,
}

/// Iterates over the pieces of a text, which cover it without gaps.
pub struct SourcePieces<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
    place: LexerPlace,
    /// Whether the piece being read holds newlines.
    crossed: bool,
    /// Whether the last piece was a literal, which may have a suffix.
    after_literal: bool,
    doubt: Option<&'static str>,
}

impl<'t> SourcePieces<'t> {
    /// The pieces of `text`, which must be the start of a file.
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            place: LexerPlace::LineStart,
            crossed: false,
            after_literal: false,
            doubt: None,
        }
    }

    /// Why the pieces so far may not be what a preprocessor sees, if there is a reason.
    pub fn doubt(&self) -> Option<&'static str> {
        self.doubt
    }

    fn read(&mut self, first: u8) -> PieceKind {
        let start = self.at;
        match class(first) {
            ByteClass::Blank => {
                let rest = &self.text[start + 1..];
                let more = rest.iter().take_while(|&&byte| is_blank(byte)).count();
                self.at = start + 1 + more;
                PieceKind::Blank
            }
            ByteClass::Word if start == 0 && self.text.starts_with(BYTE_ORDER_MARK) => {
                self.at = BYTE_ORDER_MARK.len();
                PieceKind::Mark
            }
            ByteClass::Word => self.word(),
            ByteClass::Digit => self.number(),
            ByteClass::Quote if self.place == LexerPlace::Include && first == b'"' => {
                self.header(first)
            }
            ByteClass::Quote => self.quoted(start, first),
            ByteClass::Newline => {
                self.at = start + 1;
                self.crossed = true;
                PieceKind::Newline
            }
            ByteClass::Slash => self.slash(),
            ByteClass::Dot if self.logical(start + 1).is_some_and(|b| b.is_ascii_digit()) => {
                self.number()
            }
            ByteClass::Punct | ByteClass::Dot => self.punct(),
            ByteClass::Backslash => match splice(&self.text[start..]) {
                0 => self.one(PieceKind::Other),
                length => {
                    self.at = start + length;
                    self.crossed = true;
                    PieceKind::Splice
                }
            },
            ByteClass::OddBlank => self.one(PieceKind::OddBlank),
            ByteClass::Return if self.text.get(start + 1) == Some(&b'\n') => {
                self.at = start + 2;
                self.crossed = true;
                PieceKind::Newline
            }
            ByteClass::Return | ByteClass::Other => self.one(PieceKind::Other),
        }
    }

    fn one(&mut self, kind: PieceKind) -> PieceKind {
        self.at += 1;
        kind
    }

    /// The byte at `at` or after the escaped newlines there.
    fn logical(&self, at: usize) -> Option<u8> {
        self.text.get(past_splices(self.text, at)).copied()
    }

    /// An identifier, or a literal with a prefix.
    fn word(&mut self) -> PieceKind {
        let start = self.at;
        let mut end = start + 1;
        while let Some(next) = self.over(end, is_word) {
            end = next;
        }
        self.at = end;
        let word = &self.text[start..end];
        let after = past_splices(self.text, end);
        match self.text.get(after) {
            Some(&quote @ (b'"' | b'\'')) => self.after_word(word, after, quote),
            _ => PieceKind::Identifier,
        }
    }

    /// The kind of a word before a quote: the prefix of a literal, or an identifier.
    fn after_word(&mut self, word: &[u8], at: usize, quote: u8) -> PieceKind {
        let is_spliced = self.crossed || at != self.at;
        let may_be_raw = word.ends_with(b"R") && quote == b'"';
        if word.iter().any(|&byte| byte == b'$' || byte >= 0x80) {
            self.doubts("whether a letter ends a word depends on the compiler's settings");
        }
        match word {
            _ if may_be_raw && is_spliced => self.doubts("a prefix with an escaped newline"),
            b"R" | b"u8R" | b"uR" | b"UR" | b"LR" if quote == b'"' => {
                if self.after_literal {
                    self.doubts("a raw string or the suffix of another one");
                }
                return self.raw(at);
            }
            b"u8" | b"u" | b"U" | b"L" if !is_spliced => return self.quoted(at, quote),
            _ => {}
        }
        PieceKind::Identifier
    }

    /// The position after the byte at `at`, skipping escaped newlines before it; `None` if the byte is not `wanted`.
    #[inline]
    fn over(&mut self, at: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        let &byte = self.text.get(at)?;
        if wanted(byte) {
            return Some(at + 1);
        }
        if byte != b'\\' {
            return None;
        }
        let after = past_splices(self.text, at);
        let is_more = after > at && wanted(*self.text.get(after)?);
        self.crossed |= is_more;
        is_more.then_some(after + 1)
    }

    fn number(&mut self) -> PieceKind {
        let start = self.at;
        let mut end = start + 1;
        loop {
            let last = self.text[end - 1];
            let is_sign =
                |byte| matches!(last, b'e' | b'E' | b'p' | b'P') && (byte == b'+' || byte == b'-');
            if let Some(next) =
                self.over(end, |byte| is_word(byte) || byte == b'.' || is_sign(byte))
            {
                end = next;
                continue;
            }
            let quote = past_splices(self.text, end);
            if self.text.get(quote) != Some(&b'\'') {
                break;
            }
            let around = [Some(last), self.logical(quote + 1)];
            let is_separator = around
                .iter()
                .all(|byte| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            let odd = |&byte: &u8| byte >= 0x80 || byte == b'$';
            if !is_separator || self.text[start..end].iter().any(odd) {
                self.doubts("a quote after a number may be a separator or not");
                break;
            }
            self.crossed |= quote != end;
            end = quote + 1;
        }
        self.at = end;
        PieceKind::Number
    }

    /// A literal whose quote is at `quote`.
    fn quoted(&mut self, quote: usize, close: u8) -> PieceKind {
        let quotes = match close {
            b'"' => Quotes::String,
            _ => Quotes::Char,
        };
        let mut at = quote + 1;
        while let Some(step) = memchr3(close, b'\\', b'\n', &self.text[at..]) {
            at += step;
            match self.text[at] {
                b'\n' => break,
                b'\\' => match splice(&self.text[at..]) {
                    0 => {
                        let escaped = past_splices(self.text, at + 1);
                        self.crossed |= escaped > at + 1;
                        at = match self.text.get(escaped) {
                            Some(b'\n') | None => escaped,
                            Some(_) => escaped + 1,
                        };
                    }
                    length => {
                        self.crossed = true;
                        at += length;
                    }
                },
                _ => {
                    self.at = at + 1;
                    return PieceKind::Literal(quotes);
                }
            }
        }
        self.skip_line(at);
        PieceKind::Other
    }

    /// Goes to the end of the logical line, which is at `at` or after it.
    fn skip_line(&mut self, at: usize) {
        let (end, crossed) = line_end(self.text, at);
        self.at = end;
        self.crossed |= crossed;
    }

    /// A header's name up to `close`, without escapes. If it has no end, `<` is an operator.
    fn header(&mut self, close: u8) -> PieceKind {
        let mut at = self.at + 1;
        let mut crossed = false;
        while let Some(step) = memchr3(close, b'\\', b'\n', &self.text[at..]) {
            at += step;
            match self.text[at] {
                b'\n' => break,
                b'\\' => {
                    let length = splice(&self.text[at..]);
                    crossed |= length > 0;
                    at += length.max(1);
                }
                _ => {
                    self.at = at + 1;
                    self.crossed |= crossed;
                    return PieceKind::HeaderName;
                }
            }
        }
        if close == b'>' {
            return self.operator();
        }
        self.crossed |= crossed;
        self.skip_line(at);
        PieceKind::Other
    }

    /// A raw string whose quote is at `quote`.
    fn raw(&mut self, quote: usize) -> PieceKind {
        let rest = &self.text[quote + 1..];
        let length = rest.iter().take_while(|&&byte| is_delimiter(byte)).count();
        if length > 16 || rest.get(length) != Some(&b'(') {
            self.doubts("a raw string has no proper delimiter");
            self.skip_line(quote);
            return PieceKind::Other;
        }
        let close = [b")", &rest[..length], b"\""].concat();
        let Some(closing) = memmem::find(&rest[length..], &close) else {
            self.doubts("a raw string has no end");
            self.at = self.text.len();
            self.crossed = true;
            return PieceKind::Other;
        };
        let end = quote + 1 + length + closing + close.len();
        if memchr(b'\n', &self.text[quote..end]).is_some() {
            self.crossed = true;
            if self.place != LexerPlace::LineStart && self.place != LexerPlace::Code {
                self.doubts("a raw string goes on after the line of a directive");
            }
        }
        self.at = end;
        PieceKind::Literal(Quotes::Raw)
    }

    /// A comment or an operator.
    fn slash(&mut self) -> PieceKind {
        let next = past_splices(self.text, self.at + 1);
        let kind = match self.text.get(next) {
            Some(b'/') => {
                self.skip_line(next + 1);
                PieceKind::LineComment
            }
            Some(b'*') => {
                self.block_comment(next + 1);
                PieceKind::BlockComment
            }
            _ => return self.punct(),
        };
        self.crossed = true;
        kind
    }

    /// Goes to the end of a comment whose text begins at `body`.
    fn block_comment(&mut self, body: usize) {
        let mut at = body;
        while let Some(step) = memchr(b'/', &self.text[at..]) {
            at += step;
            let before = before_splices(self.text, at);
            if before > body && self.text[before - 1] == b'*' {
                self.at = at + 1;
                return;
            }
            at += 1;
        }
        self.doubts("a comment has no end");
        self.at = self.text.len();
    }

    fn punct(&mut self) -> PieceKind {
        if self.place == LexerPlace::Include && self.text[self.at] == b'<' {
            return self.header(b'>');
        }
        self.operator()
    }

    fn operator(&mut self) -> PieceKind {
        let start = self.at;
        let rest = &self.text[start..];
        self.at += operator_length(rest);
        if self.place == LexerPlace::LineStart {
            match &self.text[start..self.at] {
                b"#" | b"%:" => self.place = LexerPlace::Hash,
                b"%" if self.logical(self.at) == Some(b':') => {
                    self.doubts("a directive with an escaped newline in its mark");
                }
                _ => {}
            }
        }
        PieceKind::Punct
    }

    #[cold]
    fn doubts(&mut self, why: &'static str) {
        self.doubt.get_or_insert(why);
    }

    /// Updates the position in the line after a piece of this `kind`.
    fn go_on(&mut self, kind: PieceKind, was: LexerPlace, start: usize) {
        self.place = match (was, kind) {
            (_, PieceKind::Newline) => LexerPlace::LineStart,
            (_, kind) if kind.is_gap() => was,
            (LexerPlace::LineStart, _) if self.place == LexerPlace::Hash => LexerPlace::Hash,
            (LexerPlace::LineStart | LexerPlace::Code, _) => LexerPlace::Code,
            (LexerPlace::Hash, PieceKind::Identifier) if self.names_header(start) => {
                LexerPlace::Include
            }
            _ => LexerPlace::Directive,
        };
    }

    /// Whether the word from `start` is a directive that takes the name of a header or a file.
    fn names_header(&mut self, start: usize) -> bool {
        let word = unspliced(&self.text[start..self.at]);
        matches!(
            &word[..],
            b"include" | b"include_next" | b"import" | b"embed"
        )
    }
}

impl Iterator for SourcePieces<'_> {
    type Item = SourcePiece;

    #[inline]
    fn next(&mut self) -> Option<SourcePiece> {
        let start = self.at;
        let &first = self.text.get(start)?;
        let (line, was) = (self.line, self.place);
        let kind = self.read(first);
        if self.crossed {
            self.crossed = false;
            self.line += memchr_iter(b'\n', &self.text[start..self.at]).count();
        }
        if was != LexerPlace::Code || kind == PieceKind::Newline {
            self.go_on(kind, was, start);
        }
        if kind != PieceKind::Splice {
            self.after_literal = matches!(kind, PieceKind::Literal(_));
        }
        Some(SourcePiece {
            kind,
            start,
            end: self.at,
            line,
        })
    }
}

#[cfg(test)]
mod tests;
