//! Escapes the characters of shown text that could control a terminal: control characters (C0, DEL and
//! C1), and those that change the direction of text. Names of files, arguments and variables may contain any of them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether `c` may control a terminal instead of being printed.
pub fn is_steering(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes one line: all such characters are escaped as in Rust, `\n` and `\u{1b}`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false, |text, c| text.extend(c.escape_default()))
}

/// Escapes several lines: as [`line()`], but newlines and tabs are kept.
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_layout = |c| matches!(c, '\n' | '\t');
    escaped(text, is_layout, |text, c| text.extend(c.escape_default()))
}

/// Escapes JSON text in JSON's own way, so that parsers read the same strings. Except for newlines, such characters
/// only occur within strings there.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| c == '\n',
        |text, c| {
            // All of them fit in four digits. Writing to a String cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        },
    )
}

fn escaped(
    text: &str,
    stays: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    let needs_escape = |c: char| is_steering(c) && !stays(c);
    if !text.contains(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if needs_escape(c) {
            escape(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::{is_steering, json, line, lines};

    const ODD: &str = "a\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{202e}\u{2069}\r\n\tb";

    #[test]
    fn what_steers_is_escaped_and_layout_stays_where_it_is_ours() {
        let escaped = r"a\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{202e}\u{2069}\r";
        assert_eq!(line(ODD), format!("{escaped}\\n\\tb"));
        assert_eq!(lines(ODD), format!("{escaped}\n\tb"));
        for text in ["", "plain", "é → 漢字 \u{200f}"] {
            assert_eq!(
                (line(text), lines(text), json(text)),
                (text.into(), text.into(), text.into())
            );
        }
    }

    #[test]
    fn readers_of_json_find_the_same_strings() {
        let text = serde_json::to_string_pretty(&[ODD]).unwrap();
        let escaped = json(&text);
        assert!(!escaped.chars().any(|c| is_steering(c) && c != '\n'));
        assert_eq!(
            serde_json::from_str::<[String; 1]>(&escaped).unwrap(),
            [ODD]
        );
    }
}
