//! Bytes that clang reads otherwise than GCC: as blanks, or as ends of lines. Reads no file.

use super::spliced;
use memchr::{memchr, memmem};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The characters beyond ASCII that clang skips as blanks (`UnicodeWhitespaceCharRanges` in its sources).
const BLANKS: [RangeInclusive<char>; 9] = [
    '\u{85}'..='\u{85}',
    '\u{a0}'..='\u{a0}',
    '\u{1680}'..='\u{1680}',
    '\u{180e}'..='\u{180e}',
    '\u{2000}'..='\u{200a}',
    '\u{2028}'..='\u{2029}',
    '\u{202f}'..='\u{202f}',
    '\u{205f}'..='\u{205f}',
    '\u{3000}'..='\u{3000}',
];

/// `text` with a newline in place of each carriage return that no newline follows: it ends a line for clang.
pub(crate) fn with_lines_of_clang(text: &[u8]) -> Cow<'_, [u8]> {
    let ends_line = |at: usize| text[at] == b'\r' && text.get(at + 1) != Some(&b'\n');
    if memchr(b'\r', text).is_none() || !(0..text.len()).any(ends_line) {
        return Cow::Borrowed(text);
    }
    let bytes = (0..text.len()).map(|at| if ends_line(at) { b'\n' } else { text[at] });
    Cow::Owned(bytes.collect())
}

/// Whether a directive may hold a blank that the scan takes for a part of a word.
pub(crate) fn hides_directives(text: &[u8]) -> bool {
    // The first bytes of all of them.
    let may_begin = |byte: &u8| matches!(byte, 0 | 0xc2 | 0xe1..=0xe3);
    text.iter().any(may_begin) && {
        let text = spliced(text);
        let mut lines = text.split(|&byte| byte == b'\n');
        // A comment may have begun in a directive that goes on behind it.
        let marks: [&[u8]; 3] = [b"#", b"%:", b"*/"];
        let may_direct = |line: &[u8]| marks.iter().any(|mark| memmem::find(line, mark).is_some());
        lines.any(|line| line.iter().any(may_begin) && may_direct(line) && has_blank(line))
    }
}

fn has_blank(line: &[u8]) -> bool {
    let is_blank = |character: char| BLANKS.iter().any(|range| range.contains(&character));
    let mut pieces = line.utf8_chunks();
    line.contains(&0) || pieces.any(|piece| piece.valid().chars().any(is_blank))
}

#[cfg(test)]
mod tests {
    use super::{hides_directives, with_lines_of_clang};

    #[test]
    fn carriage_return_ends_a_line() {
        let read = |text: &str| String::from_utf8(with_lines_of_clang(text.as_bytes()).into());
        for (text, expected) in [
            ("#include <a>\r\n", "#include <a>\r\n"),
            ("int x;\r#include <a>\r\n\r", "int x;\n#include <a>\r\n\n"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn blanks_that_only_clang_knows_are_noticed_in_directives() {
        for text in [
            "#\u{a0}include <a>\n",
            "\u{2003}#include <a>\n",
            "#if \\\nASK\u{3000}(<a>)\n",
            "#if /*\n*/ ASK\u{a0}(<a>)\n",
            "%:\0include <a>\n",
        ] {
            assert!(hides_directives(text.as_bytes()), "{text:?}");
        }
        for text in ["// \u{a0}\n#include <a>\n", "#include \"é\u{1f600}.h\"\n"] {
            assert!(!hides_directives(text.as_bytes()), "{text:?}");
        }
    }
}
