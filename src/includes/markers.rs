//! The line markers of a preprocessed file: `# 12 "file" 1 3 4`, and `#line 12 "file"`.
//!
//! gcc documents them under "Preprocessor Output" in the cpp manual: flag 1 enters a file, 2 returns to
//! one, 3 is within a system header, 4 within `extern "C"`. Names are escaped as C strings.
//! A line within a raw string that looks like a marker is taken for one; `in_raw_strings` says whether there may be such
//! a line.

use memchr::memmem;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// A line marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker<'t> {
    /// The line number of the following line.
    pub line: u64,
    /// The file's name, still escaped, without its quotes.
    pub escaped: &'t [u8],
    /// Why the preprocessor wrote the marker.
    pub reason: Reason,
    /// Whether the following text comes from a system header (flag 3).
    pub origin: Origin,
}

/// Why the preprocessor wrote a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A file begins.
    Enter,
    /// An included file has ended.
    Return,
    /// The line number or the name changes: the first marker, and those of `#line`.
    Change,
}

/// Whether a file is a system header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Found in a system directory, or included from there.
    System,
    /// Any other.
    User,
}

/// A file that is part of the preprocessed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As the preprocessor spells it: relative to its working directory, unless absolute.
    pub path: OsString,
    /// [`Origin::User`] if it is entered as such at least once.
    pub origin: Origin,
    /// The index in the list of the file that entered it first. Files that the command line includes have the main
    /// file as their includer.
    pub includer: Option<usize>,
}

/// Every marker of a preprocessed file, in order. Lines that only begin like a marker are skipped.
pub fn markers(text: &[u8]) -> impl Iterator<Item = Marker<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(marker)
}

/// The distinct files that were read, in order of first appearance: the main file, and each that was
/// entered. Names that only `#line` gives are left out, and so are `<built-in>`, `<command-line>`
/// and the working directory that `-g` notes as `"/cwd//"`.
pub fn files(text: &[u8]) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = Vec::new();
    let mut indices = std::collections::HashMap::new();
    // The includes that are open at this point, by index.
    let mut stack: Vec<usize> = Vec::new();
    for (index, marker) in markers(text).enumerate() {
        let is_first = index == 0;
        if marker.reason == Reason::Return && stack.len() > 1 {
            stack.pop();
        }
        if !(is_first || marker.reason == Reason::Enter) || !names_a_file(marker.escaped) {
            continue;
        }
        let path = unescape(marker.escaped);
        let at = *indices.entry(path.clone()).or_insert(files.len());
        if at == files.len() {
            files.push(SourceFile {
                path: OsString::from_vec(path),
                origin: marker.origin,
                includer: stack.last().copied(),
            });
        }
        stack.push(at);
        files[at].origin = files[at].origin.max(marker.origin);
    }
    files
}

/// Whether a marker's name is that of a file, and not a word such as `<built-in>` or a directory.
fn names_a_file(escaped: &[u8]) -> bool {
    !escaped.is_empty() && !escaped.starts_with(b"<") && !escaped.ends_with(b"/")
}

/// Undoes C's escapes: `\\`, `\"`, the letters, and one to three octal digits.
pub fn unescape(escaped: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let octal = rest
            .iter()
            .take(3)
            .take_while(|b| matches!(b, b'0'..=b'7'))
            .count();
        if octal > 0 {
            let value = rest[..octal]
                .iter()
                .fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            plain.extend(u8::try_from(value));
            rest = &rest[octal..];
            continue;
        }
        let Some((&letter, after)) = rest.split_first() else {
            plain.push(b'\\');
            break;
        };
        rest = after;
        plain.push(match letter {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            other => other,
        });
    }
    plain
}

/// The marker that a line is.
pub fn marker(line: &[u8]) -> Option<Marker<'_>> {
    let rest = line.strip_prefix(b"#")?;
    let rest = trim_start(rest);
    let rest = match rest.strip_prefix(b"line") {
        Some(after) if after.starts_with(b" ") || after.starts_with(b"\t") => trim_start(after),
        _ => rest,
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let rest = trim_start(&rest[digits..]).strip_prefix(b"\"")?;
    let end = closing_quote(rest)?;
    let mut marker = Marker {
        line: number,
        escaped: &rest[..end],
        reason: Reason::Change,
        origin: Origin::User,
    };
    for flag in rest[end + 1..].split(u8::is_ascii_whitespace) {
        match flag {
            b"1" => marker.reason = Reason::Enter,
            b"2" => marker.reason = Reason::Return,
            b"3" => marker.origin = Origin::System,
            b"" | b"4" => {}
            // No preprocessor writes this flag, so the line is no marker.
            _ => return None,
        }
    }
    Some(marker)
}

/// Whether a line within a raw string may look like a marker. What only looks like the beginning of a raw string is taken
/// for one.
pub(super) fn in_raw_strings(text: &[u8]) -> bool {
    memmem::find_iter(text, b"R\"").any(|at| {
        let rest = &text[at + 2..];
        let length = rest.iter().take(17).position(|byte| *byte == b'(');
        let Some((delimiter, content)) = length.map(|length| rest.split_at(length)) else {
            return false;
        };
        if delimiter.iter().any(|byte| b" \t\n\\\")".contains(byte)) {
            return false;
        }
        let end = [b")", delimiter, b"\""].concat();
        let end = memmem::find(content, &end).unwrap_or(content.len());
        memmem::find(&content[..end], b"\n#").is_some()
    })
}

/// The position of the quote that closes a string whose text starts at `text`.
pub(super) fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blank = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    &text[blank..]
}

#[cfg(test)]
mod tests {
    use super::{Marker, Origin, Reason, files, in_raw_strings, markers, unescape};
    use proptest::collection::vec;
    use proptest::prelude::{Just, any, prop_oneof, proptest};

    #[test]
    fn flags_and_lines_are_read() {
        let text =
            b"# 0 \"a.cu\"\nint x;\n# 1 \"/usr/x.h\" 1 3 4\n#line 7 \"b\\\"y\"\n# 2 \"a.cu\" 2\n";
        let found: Vec<Marker<'_>> = markers(text).collect();
        assert_eq!(found.len(), 4);
        assert_eq!(
            (found[1].reason, found[1].origin),
            (Reason::Enter, Origin::System)
        );
        assert_eq!((found[2].line, found[2].escaped), (7, b"b\\\"y".as_slice()));
        assert_eq!(found[3].reason, Reason::Return);
    }

    #[test]
    fn what_only_begins_like_a_marker_is_passed_over() {
        for line in [
            "# 1 \"a",
            "#pragma once",
            "# x \"a\"",
            "# 1 a",
            "# 1 \"a\" b",
            "x # 1 \"a\"",
            "#",
        ] {
            assert_eq!(markers(line.as_bytes()).count(), 0, "{line}");
        }
    }

    #[test]
    fn raw_strings_with_lines_like_markers_are_noticed() {
        for text in [
            "R\"(\n# 1 \"a\"\n)\"",
            "u8R\"x(a)\"\n#\n)x\"",
            "\"R\" \"R\"(\n#\n)\"",
        ] {
            assert!(in_raw_strings(text.as_bytes()), "{text}");
        }
        for text in [
            "R\"(a)\";\n# 1 \"a\"\n",
            "\"ERR\";\n# 1 \"a\"\n",
            "R\"(\n x # 1)\"\n#",
        ] {
            assert!(!in_raw_strings(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn files_are_those_that_were_read() {
        let text = b"# 0 \"a.cu\"\n# 1 \"/w//\"\n# 0 \"<built-in>\"\n# 0 \"<command-line>\"\n\
            # 1 \"/usr/include/p.h\" 1 3 4\n# 0 \"<command-line>\" 2\n# 1 \"a.cu\"\n\
            # 1 \"s.h\" 1 3\n# 2 \"a.cu\" 2\n# 1 \"s.h\" 1\n# 3 \"a.cu\" 2\n# 9 \"grammar.y\"\n# 1 \"s.h\" 1 3\n";
        let found: Vec<_> = files(text)
            .into_iter()
            .map(|file| (file.path.into_string(), file.origin))
            .collect();
        assert_eq!(
            found,
            [
                (Ok("a.cu".to_owned()), Origin::User),
                (Ok("/usr/include/p.h".to_owned()), Origin::System),
                (Ok("s.h".to_owned()), Origin::User),
            ]
        );
    }

    #[test]
    fn names_are_unescaped_as_c_strings() {
        assert_eq!(
            unescape(br#"a\\b\"c\303\251\t\7z\1234"#),
            b"a\\b\"c\xc3\xa9\t\x07zS4"
        );
        assert_eq!(unescape(b"a\\"), b"a\\");
    }

    proptest! {
        #[test]
        fn any_bytes_have_markers_or_none(text in vec(prop_oneof![
            Just(b'#'), Just(b' '), Just(b'1'), Just(b'"'), Just(b'\\'), Just(b'\n'), any::<u8>(),
        ], 0..200)) {
            for marker in markers(&text) {
                unescape(marker.escaped);
            }
            files(&text);
        }
    }
}
