//! Digests of a text's tokens. If two texts have equal digests, a preprocessor gives the same output for both.
//!
//! A text is converted to a *normal form*: plain comments and runs of blanks become one blank or
//! nothing, newlines stay. The normal form is itself a source with the same meaning, so two texts
//! with the same normal form have the same meaning. Parts about which a preprocessor may warn, or which it may
//! read in another way, are copied unchanged, or the text has no normal form at all. docs/design/semantic.md goes
//! through the cases. Reads no file, expands nothing and evaluates no condition.

use super::lexer::SourcePieces;
use super::lexer::bytes::{BYTE_ORDER_MARK, is_any_blank, unspliced};
use super::lexer::piece::{PieceKind, SourcePiece};
use memchr::{memchr, memchr_iter, memchr2_iter, memmem, memrchr};
use sha2::{Digest as _, Sha256};

/// The versions of the two normal forms, hashed before them.
const SCHEMA: [&[u8]; 2] = [b"pcache tokens 1, lines\n", b"pcache tokens 1, columns\n"];

/// The digests of a text that ignore its comments and blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigests {
    /// SHA-256 of the tokens, the significant blanks between them, and their lines.
    pub lines: [u8; 32],
    /// SHA-256 of the tokens with their lines and columns.
    pub columns: [u8; 32],
}

/// A source reduced to the parts that matter to the preprocessor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NormalForms {
    /// Each token keeps its line.
    pub lines: Vec<u8>,
    /// Each token keeps its line and its column.
    pub columns: Vec<u8>,
}

/// The digests of `text`; `None` if it has no normal form, so that its exact bytes matter.
pub fn digest(text: &[u8]) -> Option<TokenDigests> {
    let forms = normal_forms(text).ok()?;
    let [lines, columns] = SCHEMA;
    Some(TokenDigests {
        lines: Sha256::new_with_prefix(lines)
            .chain_update(forms.lines)
            .finalize()
            .into(),
        columns: Sha256::new_with_prefix(columns)
            .chain_update(forms.columns)
            .finalize()
            .into(),
    })
}

/// The normal forms of `text`, or why it has none.
pub fn normal_forms(text: &[u8]) -> Result<NormalForms, &'static str> {
    doubt(text).map_or(Ok(()), Err)?;
    let mut writer = Writer::new(text);
    let mut pieces = SourcePieces::new(text);
    for piece in pieces.by_ref() {
        writer.take(piece);
    }
    if let Some(why) = pieces.doubt().or(writer.doubt) {
        return Err(why);
    }
    let forms = writer.finish()?;
    if forms.lines.starts_with(BYTE_ORDER_MARK) != text.starts_with(BYTE_ORDER_MARK) {
        return Err("a byte order mark after blanks");
    }
    // A comment may have stood between an escaped newline and the end.
    ends_in_backslash(&forms.lines).map_or(Ok(forms), Err)
}

/// Why a text has no normal form, as far as that can be said without its tokens.
fn doubt(text: &[u8]) -> Option<&'static str> {
    if memchr(b'\r', text).is_some() {
        return Some("a carriage return");
    }
    let trigraph = |at: usize| {
        text.get(at + 2)
            .is_some_and(|last| b"=/'()!<>-".contains(last))
    };
    if memmem::find_iter(text, b"??").any(trigraph) || memmem::find(text, b"???").is_some() {
        return Some("a trigraph");
    }
    let blanks = |at: usize| {
        let rest = &text[at + 1..];
        let count = rest.iter().take_while(|&&byte| is_any_blank(byte)).count();
        count > 0 && rest.get(count) == Some(&b'\n')
    };
    if memchr_iter(b'\\', text).any(blanks) {
        // In groups that are skipped, GCC's warning depends on what precedes it.
        return Some("blanks in an escaped newline");
    }
    let last = text.iter().rev().find(|&&byte| !is_any_blank(byte));
    (last == Some(&b'\\')).then_some("a backslash at the end")
}

/// GCC warns of an escaped newline at the end of a file.
fn ends_in_backslash(text: &[u8]) -> Option<&'static str> {
    let blank = |byte: &&u8| is_any_blank(**byte) || **byte == b'\n';
    let last = text.iter().rev().find(|byte| !blank(byte));
    (last == Some(&b'\\')).then_some("a backslash at the end")
}

/// What kind of line the writer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenLine {
    Empty,
    /// A `#` and nothing else so far.
    Hash,
    /// A directive of which the preprocessor uses only the tokens.
    Directive,
    /// No directive.
    Code,
    /// A directive that is copied byte for byte.
    Raw,
}

/// Writes both normal forms, piece by piece.
struct Writer<'t> {
    text: &'t [u8],
    forms: NormalForms,
    line: TokenLine,
    /// Whether a part of the line has been written.
    begun: bool,
    gap: Gap,
    name: TokenName,
    /// Whether a line that is copied names a header.
    names_header: bool,
    /// In a line that is copied: the position from which on GCC may read other tokens than the lexer.
    uncertain: Option<usize>,
    doubt: Option<&'static str>,
}

/// Blanks and plain comments that are not written yet.
#[derive(Default)]
struct Gap {
    any: bool,
    /// Newlines within comments.
    newlines: usize,
    /// The text from the last newline on, with comments replaced by blanks.
    columns: Vec<u8>,
}

/// Whether the name of a header may follow or be open, as in `__has_include(<a//b>)`. GCC sees no
/// comments, literals or escapes in such a name, but the lexer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenName {
    None,
    /// After `(`, which a macro for `__has_include` may precede.
    Paren,
    /// After `__has_include`.
    Asked,
    /// After a `<` that is still open.
    Open,
}

impl<'t> Writer<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            forms: NormalForms {
                lines: Vec::with_capacity(text.len()),
                columns: Vec::with_capacity(text.len()),
            },
            line: TokenLine::Empty,
            begun: false,
            gap: Gap::default(),
            name: TokenName::None,
            names_header: false,
            uncertain: None,
            doubt: None,
        }
    }

    #[inline]
    fn take(&mut self, piece: SourcePiece) {
        let bytes = piece.of(self.text);
        match piece.kind {
            PieceKind::Newline => self.end_line(piece),
            _ if self.line == TokenLine::Raw => self.keep_raw(piece),
            PieceKind::Blank => {
                self.gap.any = true;
                self.gap.columns.extend_from_slice(bytes);
            }
            PieceKind::LineComment | PieceKind::BlockComment => {
                if self.name == TokenName::Open {
                    self.doubt = Some("a comment or a part of a header's name");
                }
                if is_plain(bytes) {
                    self.gap.take(bytes);
                } else {
                    self.keep(bytes);
                }
            }
            PieceKind::OddBlank | PieceKind::Splice => self.keep(bytes),
            // Does not end the gap: a byte order mark has no effect on comments and blanks before the first token.
            PieceKind::Mark => self.push(bytes),
            _ => self.token(piece, bytes),
        }
    }

    #[inline]
    fn token(&mut self, piece: SourcePiece, bytes: &[u8]) {
        match (self.line, piece.kind) {
            (TokenLine::Code | TokenLine::Directive, _) => {}
            (TokenLine::Hash, PieceKind::Identifier) if is_plain_directive(bytes) => {
                self.line = TokenLine::Directive;
            }
            (TokenLine::Hash, _) => {
                self.write_gap();
                self.line = TokenLine::Raw;
                self.names_header = is_header_directive(bytes);
                return self.keep_raw(piece);
            }
            (_, PieceKind::Punct) if matches!(bytes, b"#" | b"%:") => self.line = TokenLine::Hash,
            (_, PieceKind::Identifier) if is_module_word(bytes) => {
                self.doubt = Some("a line that may be a directive of modules");
            }
            _ => self.line = TokenLine::Code,
        }
        if piece.kind == PieceKind::Other && bytes[0] == b'\\' {
            self.doubt = Some("a stray backslash");
        }
        if self.name != TokenName::None || matches!(bytes[0], b'_' | b'(') {
            self.watch_names(piece.kind, bytes);
        }
        self.keep(bytes);
    }

    fn watch_names(&mut self, kind: PieceKind, bytes: &[u8]) {
        let escapes = || self.line == TokenLine::Directive && memchr(b'\\', bytes).is_some();
        let before = self.name;
        self.name = match (before, kind) {
            (_, PieceKind::Identifier) if asks(bytes) => TokenName::Asked,
            (TokenName::Open, PieceKind::Punct) if memchr(b'>', bytes).is_some() => {
                TokenName::Asked
            }
            (TokenName::Paren | TokenName::Asked, PieceKind::Punct) if bytes[0] == b'<' => {
                TokenName::Open
            }
            (TokenName::Open, PieceKind::Literal(_) | PieceKind::Other) => {
                self.doubt = Some("a literal or a part of a header's name");
                before
            }
            (TokenName::Paren | TokenName::Asked, PieceKind::Literal(_) | PieceKind::Other)
                if escapes() =>
            {
                self.doubt = Some("an escape or a part of a header's name");
                before
            }
            (TokenName::None | TokenName::Paren, _) if bytes == b"(" => TokenName::Paren,
            (TokenName::Paren, _) => TokenName::None,
            _ => before,
        };
    }

    /// Writes the gap, and then `bytes` unchanged.
    #[inline]
    fn keep(&mut self, bytes: &[u8]) {
        self.write_gap();
        self.push(bytes);
        self.begun = true;
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.forms.lines.extend_from_slice(bytes);
        self.forms.columns.extend_from_slice(bytes);
    }

    /// Copies a piece of a line whose exact bytes matter.
    fn keep_raw(&mut self, piece: SourcePiece) {
        let is_uncertain = match piece.kind {
            PieceKind::Punct => self.text[piece.start] == b'<',
            PieceKind::Literal(_) | PieceKind::Other => self.names_header,
            _ => false,
        };
        if is_uncertain {
            self.uncertain.get_or_insert(piece.start);
        }
        self.push(piece.of(self.text));
    }

    #[inline]
    fn write_gap(&mut self) {
        if self.gap.any {
            self.write_any_gap();
        }
    }

    fn write_any_gap(&mut self) {
        let is_first = !self.begun;
        let NormalForms { lines, columns } = &mut self.forms;
        let newlines = std::iter::repeat_n(b'\n', self.gap.newlines);
        match self.gap.newlines {
            0 if !is_first => lines.push(b' '),
            0 => {}
            _ if is_first => lines.extend(newlines.clone()),
            _ => {
                lines.extend_from_slice(b" /*");
                lines.extend(newlines.clone());
                lines.extend_from_slice(b"*/");
            }
        }
        if self.gap.newlines > 0 {
            columns.extend_from_slice(b" /*");
            columns.extend(newlines);
        }
        columns.append(&mut self.gap.columns);
        self.gap = Gap {
            columns: std::mem::take(&mut self.gap.columns),
            ..Gap::default()
        };
    }

    /// Ends a line. Drops blanks at its end; a line without tokens becomes empty.
    fn end_line(&mut self, newline: SourcePiece) {
        if let Some(from) = self.uncertain.take() {
            self.judge_rest(&self.text[from..newline.start]);
        }
        if self.gap.newlines > 0 {
            if self.begun {
                self.gap.columns.clear();
                self.gap.columns.extend_from_slice(b"*/");
                self.write_gap();
            } else {
                let newlines = std::iter::repeat_n(b'\n', self.gap.newlines);
                self.forms.lines.extend(newlines.clone());
                self.forms.columns.extend(newlines);
            }
        }
        self.push(newline.of(self.text));
        self.gap.any = false;
        self.gap.newlines = 0;
        self.gap.columns.clear();
        self.line = TokenLine::Empty;
        self.begun = false;
        self.name = TokenName::None;
    }

    /// Checks the rest of the line of an `#include` or the like. It may be part of a name, in which GCC
    /// sees no comments and no escapes. That matters only if the line could then end elsewhere.
    fn judge_rest(&mut self, rest: &[u8]) {
        let runs_on = memmem::find(rest, b"/*").is_some() || memmem::find(rest, b"R\"").is_some();
        if runs_on || memchr(b'\\', rest).is_some() {
            self.doubt = Some("a directive that may be read in several ways");
        }
    }

    /// Ends the text. A last line without a newline stays without one.
    fn finish(mut self) -> Result<NormalForms, &'static str> {
        if let Some(from) = self.uncertain.take() {
            self.judge_rest(&self.text[from..]);
        }
        if (!self.begun && self.gap.any) || self.gap.newlines > 0 {
            let newlines = self.gap.newlines;
            for form in [&mut self.forms.lines, &mut self.forms.columns] {
                form.extend_from_slice(b" /*");
                form.extend(std::iter::repeat_n(b'\n', newlines));
                form.extend_from_slice(b"*/");
            }
        }
        self.doubt.map_or(Ok(self.forms), Err)
    }
}

impl Gap {
    /// Adds a plain comment.
    fn take(&mut self, comment: &[u8]) {
        self.any = true;
        let newlines = memchr_iter(b'\n', comment).count();
        self.newlines += newlines;
        if let Some(last) = memrchr(b'\n', comment) {
            // Keeps the bytes of the comment's last line: a compiler may compare the text before a token with the
            // columns of other lines, and also the first byte of the token's line.
            self.columns.clear();
            self.columns.extend_from_slice(&comment[last + 1..]);
        } else {
            let masked = comment.iter().enumerate().map(|(at, &byte)| match byte {
                b'\t' => byte,
                _ if at < 2 || at + 2 >= comment.len() => byte,
                _ => b' ',
            });
            self.columns.extend(masked);
        }
    }
}

/// Whether a comment has no effect on the preprocessor, with any warnings enabled.
fn is_plain(comment: &[u8]) -> bool {
    let is_odd = |byte: u8| !(matches!(byte, 0x20..0x7f) || byte == b'\t' || byte == b'\n');
    let odd = comment.iter().fold(false, |odd, &byte| odd | is_odd(byte));
    let inside = &comment[2..];
    !odd && match comment[1] {
        b'*' => memmem::find(inside, b"/*").is_none(),
        _ => memchr(b'\n', comment).is_none(),
    } && !escapes(inside)
        && !falls_through(inside)
}

/// Whether a comment holds an escaped newline or the start of a universal character name.
fn escapes(comment: &[u8]) -> bool {
    memchr_iter(b'\\', comment).any(|at| {
        let rest = &comment[at + 1..];
        let next = rest.iter().find(|&&byte| !is_any_blank(byte));
        next == Some(&b'\n') || matches!(rest.first(), Some(b'u' | b'U' | b'N'))
    })
}

/// Whether a comment may tell GCC that a case falls through.
fn falls_through(comment: &[u8]) -> bool {
    let is_at = |at: usize, word: &[u8]| {
        let bytes = comment.get(at..at + word.len());
        bytes.is_some_and(|bytes| bytes.eq_ignore_ascii_case(word))
    };
    let mut falls = memchr2_iter(b'f', b'F', comment).filter(|&at| is_at(at, b"fall"));
    let Some(first) = falls.next() else {
        return false;
    };
    memchr2_iter(b't', b'T', &comment[first..]).any(|at| is_at(first + at, b"thr"))
}

/// Whether `word` is a directive of which the preprocessor uses only the tokens.
fn is_plain_directive(word: &[u8]) -> bool {
    let plain: [&[u8]; 10] = [
        b"define",
        b"undef",
        b"if",
        b"ifdef",
        b"ifndef",
        b"elif",
        b"elifdef",
        b"elifndef",
        b"else",
        b"endif",
    ];
    plain.contains(&&*unspliced(word))
}

/// Whether `word` is a directive that takes the name of a header or another file.
fn is_header_directive(word: &[u8]) -> bool {
    let word = unspliced(word);
    matches!(&*word, b"include" | b"include_next" | b"import" | b"embed")
}

/// Whether a word asks for headers, or may do so once its escaped newlines are gone.
fn asks(word: &[u8]) -> bool {
    word.starts_with(b"__has_") || (word[0] == b'_' && memchr(b'\\', word).is_some())
}

/// Whether `word` starts a line that names a header if modules are enabled.
fn is_module_word(word: &[u8]) -> bool {
    let word = unspliced(word);
    matches!(
        &*word,
        b"import" | b"module" | b"export" | b"__import" | b"__module" | b"__export"
    )
}

#[cfg(test)]
mod tests;
