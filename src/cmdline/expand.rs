//! Splits text into arguments by nvcc's own rules: the environment flags, option files, and lists within one argument.
//!
//! The rules differ. All of them were found by comparing the plans of the real nvcc, and
//! `tests/unit/cmdline/real.rs` compares them again. Double quotes always protect separators.
//!
//! |                   | separators                           | `"`     | `\` |
//! |-------------------|--------------------------------------|---------|-----|
//! | environment flags | space, tab                           | kept    | kept; inside quotes `\"` does not close |
//! | option file       | space, tab, newline, carriage return | removed | removed; the next byte is literal |
//! | list              | comma                                | kept    | kept; inside quotes `\"` does not close |
//! | list of paths     | comma                                | removed | kept; inside quotes `\"` does not close |
//! | escaped list      | comma                                | kept    | removed; the next byte is literal |
//!
//! Empty elements of lists are dropped. Words of option files and elements of the first two kinds
//! of lists are trimmed of spaces and tabs.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Why a text cannot be split. nvcc refuses such text, or its meaning is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// A `"` without its partner.
    Quote,
    /// A `\` with nothing after it.
    Backslash,
    /// A NUL byte, at which nvcc stops reading.
    Nul,
    /// Doubled backslashes before a quote, where nvcc's two passes over the text disagree.
    Tangle,
}

impl Stray {
    /// The fault, in a few words.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Quote => "a stray double quote",
            Self::Backslash => "a stray backslash",
            Self::Nul => "a NUL byte",
            Self::Tangle => "doubled backslashes before a quote",
        }
    }
}

/// Splits the text of `NVCC_PREPEND_FLAGS` or `NVCC_APPEND_FLAGS`.
pub(super) fn split_flags(text: &[u8]) -> Result<Vec<OsString>, Stray> {
    let words = cut(text, |byte| matches!(byte, b' ' | b'\t'))?;
    Ok(words.into_iter().map(OsString::from_vec).collect())
}

/// Splits the value of an ordinary list.
pub(super) fn split_list(text: &[u8]) -> Result<Vec<OsString>, Stray> {
    let elements = cut(text, |byte| byte == b',')?;
    let elements = elements
        .iter()
        .map(|element| trim(element))
        .filter(|e| !e.is_empty());
    Ok(elements
        .map(|element| OsString::from_vec(element.to_vec()))
        .collect())
}

/// Splits the value of a list of paths.
pub(super) fn split_paths(text: &[u8]) -> Result<Vec<OsString>, Stray> {
    let elements = split_list(text)?
        .into_iter()
        .map(|element| without_quotes(element.as_bytes()));
    Ok(elements.filter(|element| !element.is_empty()).collect())
}

/// Splits at separators outside quotes. Outside quotes a backslash protects nothing, not even a
/// quote; inside, a quote after a backslash does not close, whatever precedes the backslash.
fn cut(text: &[u8], is_separator: fn(u8) -> bool) -> Result<Vec<Vec<u8>>, Stray> {
    let mut pieces = Vec::new();
    let mut piece: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut previous = 0;
    for &byte in text {
        if is_separator(byte) && !quoted {
            pieces.extend(piece.take());
        } else {
            if byte == b'"' && !(quoted && previous == b'\\') {
                quoted = !quoted;
            }
            piece.get_or_insert_default().push(byte);
        }
        previous = byte;
    }
    pieces.extend(piece);
    if quoted {
        return Err(Stray::Quote);
    }
    Ok(pieces)
}

fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte));
    let end = text.iter().rposition(|byte| !is_blank(byte));
    start
        .zip(end)
        .map_or(&[], |(start, end)| &text[start..=end])
}

/// Splits the contents of an option file.
pub(super) fn split_file(text: &[u8]) -> Result<Vec<OsString>, Stray> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            0 => return Err(Stray::Nul),
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => words.extend(word.take()),
            b'\\' => match bytes.next() {
                None => return Err(Stray::Backslash),
                Some(0) => return Err(Stray::Nul),
                Some(taken) => word.get_or_insert_default().push(taken),
            },
            _ => {
                quoted ^= byte == b'"';
                word.get_or_insert_default().push(byte);
            }
        }
    }
    words.extend(word);
    if quoted {
        return Err(Stray::Quote);
    }
    let words = words
        .iter()
        .map(|word| trim(word))
        .filter(|word| !word.is_empty());
    words.map(second_pass).collect()
}

/// nvcc's second pass over a word of an option file, which removes the quotes. The word is trimmed already, even of
/// spaces that a backslash protected.
fn second_pass(word: &[u8]) -> Result<OsString, Stray> {
    if word.windows(3).any(|three| three == br#"\\""#) {
        return Err(Stray::Tangle);
    }
    Ok(without_quotes(word))
}

/// The word without quotes, except those after a backslash, which are kept together with it.
fn without_quotes(word: &[u8]) -> OsString {
    let mut kept = Vec::with_capacity(word.len());
    for (index, &byte) in word.iter().enumerate() {
        if byte != b'"' || (index > 0 && word[index - 1] == b'\\') {
            kept.push(byte);
        }
    }
    OsString::from_vec(kept)
}

/// Splits the value of a list with escapes.
pub(super) fn split_escaped(text: &[u8]) -> Result<Vec<OsString>, Stray> {
    let mut elements = vec![Vec::new()];
    let mut quoted = false;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b',' && !quoted {
            elements.push(Vec::new());
            continue;
        }
        let taken = match byte {
            b'\\' => bytes.next().ok_or(Stray::Backslash)?,
            _ => byte,
        };
        quoted ^= byte == b'"';
        if let Some(element) = elements.last_mut() {
            element.push(taken);
        }
    }
    if quoted {
        return Err(Stray::Quote);
    }
    elements.retain(|element| !element.is_empty());
    Ok(elements.into_iter().map(OsString::from_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::{Stray, split_escaped, split_file, split_flags, split_list, split_paths};
    use std::ffi::OsString;

    type Cut = fn(&[u8]) -> Result<Vec<OsString>, Stray>;

    #[track_caller]
    fn cuts(cut: Cut, text: &str, expected: &[&str]) {
        let expected: Vec<OsString> = expected.iter().map(OsString::from).collect();
        assert_eq!(cut(text.as_bytes()), Ok(expected), "{text:?}");
    }

    #[track_caller]
    fn refuses(cut: Cut, text: &str, stray: Stray) {
        assert_eq!(cut(text.as_bytes()), Err(stray), "{text:?}");
    }

    #[test]
    fn environment_flags_keep_their_quotes_and_backslashes() {
        cuts(split_flags, " -DA\t -DB ", &["-DA", "-DB"]);
        cuts(split_flags, "", &[]);
        cuts(split_flags, "-DA\n-DB", &["-DA\n-DB"]);
        cuts(split_flags, r#"-DA="x y" -DB"#, &[r#"-DA="x y""#, "-DB"]);
        cuts(split_flags, r"-DA=x\ y", &[r"-DA=x\", "y"]);
        cuts(split_flags, r#"-DA="x\"y""#, &[r#"-DA="x\"y""#]);
        cuts(split_flags, r#"-DA="\\" -DB=""#, &[r#"-DA="\\" -DB=""#]);
        refuses(split_flags, r#"-DA=\"x\""#, Stray::Quote);
    }

    #[test]
    fn option_files_lose_their_quotes_and_backslashes() {
        cuts(split_file, "-DA\r\n-DB\t-DC ", &["-DA", "-DB", "-DC"]);
        cuts(split_file, r#""-DA=x y" -DB"#, &["-DA=x y", "-DB"]);
        cuts(split_file, r"-I/a\ b", &["-I/a b"]);
        cuts(split_file, r#"-DA=\"x\""#, &["-DA=x"]);
        cuts(split_file, r#"-DA=\\\"x"#, &[r#"-DA=\"x"#]);
        cuts(split_file, r#"-D "" -DB"#, &["-D", "", "-DB"]);
        cuts(split_file, "# -DA", &["#", "-DA"]);
        cuts(split_file, "\\ -DA\\\t \" b.cu\" \\ ", &["-DA", " b.cu"]);
        refuses(split_file, r#"-DA="x"#, Stray::Quote);
        refuses(split_file, r"-DA=\", Stray::Backslash);
        refuses(split_file, "-DA\0-DB", Stray::Nul);
        refuses(split_file, r#"-DA=\\\\"x""#, Stray::Tangle);
    }

    #[test]
    fn other_lists_keep_their_backslashes() {
        cuts(split_list, ",a,, b ,", &["a", "b"]);
        cuts(split_list, r"a\,b\", &[r"a\", r"b\"]);
        cuts(split_list, r#""a,b",c"#, &[r#""a,b""#, "c"]);
        cuts(split_list, r#""a\",b""#, &[r#""a\",b""#]);
        refuses(split_list, r#"a\"b"#, Stray::Quote);
    }

    #[test]
    fn lists_of_paths_lose_their_quotes() {
        cuts(split_paths, r#""/a b",/c\"#, &["/a b", r"/c\"]);
        cuts(split_paths, r#""a"b"c,d""#, &["abc,d"]);
        cuts(split_paths, r#"" a", "",b"#, &[" a", "b"]);
        refuses(split_paths, r#""/a"#, Stray::Quote);
    }

    #[test]
    fn escaped_lists_are_cut_at_commas_outside_double_quotes() {
        cuts(split_escaped, "a,b", &["a", "b"]);
        cuts(split_escaped, ",a,,b,", &["a", "b"]);
        cuts(split_escaped, "", &[]);
        cuts(split_escaped, r"-Wl\,-z\,now", &["-Wl,-z,now"]);
        cuts(split_escaped, r#"A="x,y""#, &[r#"A="x,y""#]);
        cuts(split_escaped, r#"A=\"x,y\""#, &[r#"A="x"#, r#"y""#]);
        cuts(split_escaped, "'a,b'", &["'a", "b'"]);
        cuts(split_escaped, "[a,b]", &["[a", "b]"]);
        cuts(split_escaped, r"A=\\x", &[r"A=\x"]);
        refuses(split_escaped, r#"A="x,y"#, Stray::Quote);
        refuses(split_escaped, r"a\", Stray::Backslash);
    }
}
