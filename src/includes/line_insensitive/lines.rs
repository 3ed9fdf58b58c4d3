//! The lines of a preprocessed text: code, markers and blank lines, and the line number that a compiler gives each.
//! Of C++, it understands only literals and comments that span lines, and text that `#if 0` hides.

use super::doubt::DigestRefusal;
use crate::includes::lexer::SourcePieces;
use crate::includes::lexer::piece::{PieceKind, Quotes};
use crate::includes::markers::closing_quote;
use memchr::{memchr, memmem, memrchr};
use std::ops::Range;

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineSort<'t> {
    /// Only spaces and tabs.
    Blank,
    /// Any other line that is no marker.
    Text,
    /// A marker that changes only the line number.
    Number,
    /// A marker that changes the file or the flags, or marks an entry or return.
    Change(Change<'t>),
}

/// The content of a marker besides the line number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change<'t> {
    /// The file's name, still escaped, without its quotes.
    pub name: &'t [u8],
    /// Bit n is set for flag n.
    pub flags: u8,
}

/// A line with its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    pub start: usize,
    /// The byte after its newline.
    pub end: usize,
    pub sort: LineSort<'t>,
    /// The line number that a compiler gives it; for a marker, that of the next line.
    pub number: u64,
}

/// Iterates over the lines of a text.
pub(super) struct Lines<'t> {
    text: &'t [u8],
    /// Raw strings and comments: no line within them is a marker.
    raw: &'t [Range<usize>],
    at: usize,
    next: u64,
    current: Change<'t>,
    /// Number of open conditionals in text that `#if 0` hides.
    hidden: u32,
    /// Number of other open conditionals.
    open: u32,
    doubt: Option<DigestRefusal>,
}

/// Flags 1 and 2: a file is entered, or returned to.
const MOVES: u8 = 1 << 1 | 1 << 2;

impl<'t> Lines<'t> {
    /// The lines of `text`, in which [`opaque`] has found `raw`.
    pub(super) fn new(text: &'t [u8], raw: &'t [Range<usize>]) -> Self {
        Self {
            text,
            raw,
            at: 0,
            next: 1,
            current: Change {
                name: b"",
                flags: 0,
            },
            hidden: 0,
            open: 0,
            doubt: None,
        }
    }

    /// Why a compiler may see lines other than these, if there is a reason.
    pub(super) fn doubt(&self) -> Option<DigestRefusal> {
        self.doubt
    }

    /// Whether the byte at `at` belongs to a raw string or comment that started before.
    fn is_in_literal(&mut self, at: usize) -> bool {
        while self.raw.first().is_some_and(|raw| raw.end <= at) {
            self.raw = &self.raw[1..];
        }
        self.raw.first().is_some_and(|raw| raw.start < at)
    }

    fn directive(&mut self, line: &'t [u8]) -> LineSort<'t> {
        let rest = trim_start(&trim_start(line)[1..]);
        let number = match rest.strip_prefix(b"line") {
            Some(after) if after.first().is_some_and(|b| is_blank(*b)) => trim_start(after),
            _ => rest,
        };
        if number.first().is_some_and(u8::is_ascii_digit) {
            return self.marker(number);
        }
        let word = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        match (&rest[..word], self.hidden) {
            (b"if" | b"ifdef" | b"ifndef", 1..) => self.hidden += 1,
            (b"endif", 1..) => self.hidden -= 1,
            (b"else" | b"elif" | b"elifdef" | b"elifndef", 1) => {
                self.doubt = Some(DigestRefusal::Conditional)
            }
            (b"if", 0) if rest[word..].trim_ascii() == b"0" => self.hidden = 1,
            (b"if" | b"ifdef" | b"ifndef", 0) => self.open += 1,
            (b"endif", 0) => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        LineSort::Text
    }

    /// Reads a marker from its line number on.
    fn marker(&mut self, text: &'t [u8]) -> LineSort<'t> {
        let Some((number, change)) = read_marker(text, self.current) else {
            self.doubt = Some(DigestRefusal::Marker);
            return LineSort::Text;
        };
        let moves = change.flags & MOVES != 0;
        let stays = Change {
            name: change.name,
            flags: change.flags & !MOVES,
        };
        let differs = moves || stays != self.current;
        // A compiler does not see hidden markers.
        if self.hidden == 0 {
            if self.open > 0 {
                self.doubt = Some(DigestRefusal::Conditional);
            }
            self.current = stays;
            self.next = number;
        }
        if differs {
            LineSort::Change(change)
        } else {
            LineSort::Number
        }
    }
}

impl<'t> Iterator for Lines<'t> {
    type Item = Line<'t>;

    #[inline]
    fn next(&mut self) -> Option<Line<'t>> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
        self.at = start + length;
        let line = &rest[..length];
        let number = self.next;
        self.next += 1;
        let sort = if self.is_in_literal(start) {
            LineSort::Text
        } else {
            match line.iter().find(|&&byte| !is_blank(byte)) {
                Some(b'\n') | None => LineSort::Blank,
                Some(b'#') => self.directive(line),
                Some(_) => LineSort::Text,
            }
        };
        let is_spliced = sort == LineSort::Text && line.trim_ascii_end().ends_with(b"\\");
        if is_spliced && !self.is_in_literal(self.at) {
            self.doubt = Some(DigestRefusal::Splice);
        }
        let number = match sort {
            LineSort::Number | LineSort::Change(_) => self.next,
            _ => number,
        };
        Some(Line {
            start,
            end: self.at,
            sort,
            number,
        })
    }
}

/// The line number and the change of a marker. A marker without a name repeats `current`, the last one's.
fn read_marker<'t>(text: &'t [u8], current: Change<'t>) -> Option<(u64, Change<'t>)> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    let rest = text[digits..].trim_ascii();
    if rest.is_empty() {
        return Some((number, current));
    }
    let rest = rest.strip_prefix(b"\"")?;
    let end = closing_quote(rest)?;
    let mut flags = 0;
    for flag in rest[end + 1..].split(u8::is_ascii_whitespace) {
        match flag {
            b"" => {}
            [flag @ b'1'..=b'4'] => flags |= 1 << (flag - b'0'),
            _ => return None,
        }
    }
    Some((
        number,
        Change {
            name: &rest[..end],
            flags,
        },
    ))
}

/// The raw strings and `/*` comments of a text, in order. Fails if the text cannot be read line by line.
pub(super) fn opaque(text: &[u8]) -> Result<Vec<Range<usize>>, DigestRefusal> {
    // NUL is a mark in this digest's own input; a carriage return may be another kind of newline.
    if memchr(0, text).is_some() || memchr(b'\r', text).is_some() {
        return Err(DigestRefusal::Byte);
    }
    let mut suspects: Vec<usize> = memmem::find_iter(text, b"R\"").collect();
    suspects.extend(memmem::find_iter(text, b"//"));
    suspects.extend(memmem::find_iter(text, b"/*"));
    suspects.sort_unstable();
    let mut opaque: Vec<Range<usize>> = Vec::new();
    let mut read = 0;
    for at in suspects {
        if at < read {
            continue;
        }
        let line = memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
        let start = line.max(read);
        if is_marker(&text[start..]) {
            continue;
        }
        read = read_line(text, start, at, &mut opaque)?;
    }
    Ok(opaque)
}

/// Reads from `start` to the end of the line that holds `suspect`, or of a literal there. Adds raw strings and comments
/// to `opaque`. Fails if comments precede or follow a directive, because no other part would see that directive.
fn read_line(
    text: &[u8],
    start: usize,
    suspect: usize,
    opaque: &mut Vec<Range<usize>>,
) -> Result<usize, DigestRefusal> {
    let mut pieces = SourcePieces::new(&text[start..]);
    let mut end = start;
    let mut has_comment = false;
    let mut first = None;
    for piece in pieces.by_ref() {
        end = start + piece.end;
        if piece.kind.is_token() {
            first = first.or(Some(text[start + piece.start]));
        }
        match piece.kind {
            PieceKind::LineComment => has_comment = true,
            PieceKind::BlockComment => {
                has_comment = true;
                opaque.push(start + piece.start..end);
            }
            PieceKind::Literal(Quotes::Raw) => opaque.push(start + piece.start..end),
            PieceKind::Newline if end > suspect => break,
            _ => {}
        }
    }
    if has_comment && matches!(first, Some(b'#' | b'%')) {
        return Err(DigestRefusal::Comment);
    }
    match pieces.doubt() {
        Some(_) => Err(DigestRefusal::Lexer),
        None => Ok(end),
    }
}

/// Whether `text` begins with a marker.
fn is_marker(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"#").map(trim_start);
    rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blank = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blank..]
}
