//! Classes of bytes, escaped newlines, and the lengths of operators.

use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// The byte order mark of UTF-8, with which a file may begin.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The kind of piece that a byte may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteClass {
    Other,
    Word,
    Digit,
    Blank,
    OddBlank,
    Newline,
    Return,
    Quote,
    Slash,
    Dot,
    Backslash,
    Punct,
}

const CLASSES: [ByteClass; 256] = classes();

const fn classes() -> [ByteClass; 256] {
    let mut classes = [ByteClass::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80..=0xff => ByteClass::Word,
            b'0'..=b'9' => ByteClass::Digit,
            b' ' | b'\t' => ByteClass::Blank,
            0 | 11 | 12 => ByteClass::OddBlank,
            b'\n' => ByteClass::Newline,
            b'\r' => ByteClass::Return,
            b'"' | b'\'' => ByteClass::Quote,
            b'/' => ByteClass::Slash,
            b'.' => ByteClass::Dot,
            b'\\' => ByteClass::Backslash,
            b'!' | b'#' | b'%' | b'&' | b'(' | b')' | b'*' | b'+' | b',' | b'-' | b':' | b';'
            | b'<' | b'=' | b'>' | b'?' | b'[' | b']' | b'^' | b'{' | b'|' | b'}' | b'~' => {
                ByteClass::Punct
            }
            _ => ByteClass::Other,
        };
        byte += 1;
    }
    classes
}

/// The kind of piece that `byte` may begin.
#[inline]
pub(crate) fn class(byte: u8) -> ByteClass {
    CLASSES[usize::from(byte)]
}

/// Whether `byte` may be within a word.
#[inline]
pub(crate) fn is_word(byte: u8) -> bool {
    matches!(class(byte), ByteClass::Word | ByteClass::Digit)
}

/// Whether `byte` is a space or a tab.
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether GCC treats `byte` as a blank within a line.
pub(crate) fn is_any_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0 | 11 | 12)
}

/// Whether the delimiter of a raw string may hold `byte`.
pub(crate) fn is_delimiter(byte: u8) -> bool {
    !is_any_blank(byte) && !matches!(byte, b'(' | b')' | b'\\' | b'\n' | b'"')
}

/// The length of the escaped newline at the start of `text`; 0 if there is none.
pub(crate) fn splice(text: &[u8]) -> usize {
    let Some((b'\\', rest)) = text.split_first() else {
        return 0;
    };
    let blanks = rest.iter().take_while(|&&byte| is_any_blank(byte)).count();
    match rest[blanks..] {
        [b'\n', ..] => 1 + blanks + 1,
        [b'\r', b'\n', ..] => 1 + blanks + 2,
        _ => 0,
    }
}

/// The position after the escaped newlines at `at`.
pub(crate) fn past_splices(text: &[u8], mut at: usize) -> usize {
    while text.get(at) == Some(&b'\\') {
        match splice(&text[at..]) {
            0 => break,
            length => at += length,
        }
    }
    at
}

/// The position before the escaped newlines that end at `at`.
pub(crate) fn before_splices(text: &[u8], mut at: usize) -> usize {
    while let Some(start) = splice_before(text, at) {
        at = start;
    }
    at
}

/// The start of the escaped newline that ends at `at`.
fn splice_before(text: &[u8], at: usize) -> Option<usize> {
    let line = text[..at].strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let blanks = line.iter().rev().take_while(|&&byte| is_any_blank(byte));
    let end = line.len() - blanks.count();
    (end > 0 && line[end - 1] == b'\\').then(|| end - 1)
}

/// The position of the newline that ends the logical line from `at` on, or the end of the text; and whether
/// escaped newlines precede it.
pub(crate) fn line_end(text: &[u8], mut at: usize) -> (usize, bool) {
    let begin = at;
    let mut crossed = false;
    while let Some(step) = memchr(b'\n', &text[at..]) {
        let newline = at + step;
        match splice_before(text, newline + 1) {
            Some(backslash) if backslash >= begin => crossed = true,
            _ if newline > begin && text[newline - 1] == b'\r' => return (newline - 1, crossed),
            _ => return (newline, crossed),
        }
        at = newline + 1;
    }
    (text.len(), crossed)
}

/// `text` without escaped newlines.
pub(crate) fn unspliced(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'\\', b'\n', text).is_none() {
        return text.into();
    }
    let mut joined = Vec::with_capacity(text.len());
    let mut at = 0;
    loop {
        at = past_splices(text, at);
        match text.get(at) {
            Some(&byte) => joined.push(byte),
            None => return joined.into(),
        }
        at += 1;
    }
}

/// The length of the operator at the start of `text`, which must not be empty.
pub(crate) fn operator_length(text: &[u8]) -> usize {
    match text {
        [b'%', b':', b'%', b':', ..] => 4,
        [b'<', b':', b':', b':' | b'>', ..] => 2,
        [b'<', b':', b':', ..] => 1,
        [b'<', b'=', b'>', ..]
        | [b'<', b'<', b'=', ..]
        | [b'>', b'>', b'=', ..]
        | [b'.', b'.', b'.', ..]
        | [b'-', b'>', b'*', ..] => 3,
        [
            b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'=' | b'!' | b'<' | b'>',
            b'=',
            ..,
        ]
        | [b'.', b'*', ..]
        | [b'-', b'>', ..]
        | [b'<', b'%' | b':', ..]
        | [b'%', b'>' | b':', ..]
        | [b':', b'>', ..] => 2,
        [
            first @ (b':' | b'+' | b'-' | b'<' | b'>' | b'&' | b'|' | b'#'),
            second,
            ..,
        ] if first == second => 2,
        _ => 1,
    }
}
