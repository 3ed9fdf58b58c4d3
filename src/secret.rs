//! Hides secret values in text that is stored or shown: the values of variables and macros whose names indicate a
//! secret. Each is replaced by a digest, `NAME=<hidden:16 hexadecimal digits>`, so that two values can still be
//! distinguished. Only this module decides what is hidden. Keys are computed from the real values, without it.
//!
//! Where a value ends cannot always be seen in the text, so the functions differ in that: [`hide`] takes one word and
//! hides to its end, [`hide_flags`] and [`hide_commands`] take several words. All of them leave values that are
//! already hidden unchanged.

use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// A name that contains one of these words, in upper or lower case, is the name of a secret.
const SECRET_WORDS: [&[u8]; 7] = [
    b"TOKEN",
    b"SECRET",
    b"KEY",
    b"PASSWORD",
    b"PASSWD",
    b"AUTH",
    b"CREDENTIAL",
];

/// Precedes the value in the digest, so that no other kind of digest is equal to it.
const PURPOSE: &[u8] = b"pcache-nvcc hidden value 1\0";

/// The parts of a hidden value: its beginning, its digits, its end.
const START: &[u8] = b"<hidden:";
const DIGITS: usize = 16;
const END: &[u8] = b">";
const LENGTH: usize = START.len() + DIGITS + END.len();

/// Shown to users instead of a hidden value, whose digest means nothing to them.
const SHOWN: &str = "…";

/// Whether the value of a variable or macro of this name is secret.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS
        .iter()
        .any(|word| name.windows(word.len()).any(|part| part == *word))
}

/// Hides from the first secret value to the end of `word`, which is one word, such as an argument, or a text of
/// unknown structure.
pub(crate) fn hide(word: &[u8]) -> Cow<'_, [u8]> {
    match values(word, 0).next() {
        None => Cow::Borrowed(word),
        Some(start) => Cow::Owned([&word[..start], &hidden(&word[start..])].concat()),
    }
}

/// Hides the secret value in a text, as [`hide`] does in bytes.
pub(crate) fn hide_text(text: &str) -> Cow<'_, str> {
    match hide(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // The text was cut after an equals sign, so between two characters.
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Hides the value of a variable's `NAME=value`: all of it if the variable is secret, otherwise the secret values in
/// the flags that it holds.
pub(crate) fn hide_assignment(assignment: &[u8]) -> Vec<u8> {
    let Some(equals) = memchr::memchr(b'=', assignment) else {
        return assignment.to_vec();
    };
    let (name, value) = (&assignment[..equals], &assignment[equals + 1..]);
    let value = if is_secret(name) && !value.is_empty() && hidden_at(value).is_none() {
        hidden(value)
    } else {
        hide_flags(value)
    };
    [name, b"=", &value].concat()
}

/// Hides the secret values in several words with blanks between them, quoted by unknown rules. A value ends with its
/// word only if neither a quote nor a backslash precedes; otherwise it is hidden to the end of the text.
pub(crate) fn hide_flags(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut copied = 0;
    while let Some(start) = values(text, copied).next() {
        let end = text[start..].iter().position(|byte| is_blank(*byte));
        let end = end.map_or(text.len(), |length| start + length);
        let is_plain = !text[..end].iter().any(|byte| b"'\"\\`$".contains(byte));
        let end = if is_plain { end } else { text.len() };
        result.extend_from_slice(&text[copied..start]);
        if end > start {
            result.extend(hidden(&text[start..end]));
        }
        copied = end;
    }
    result.extend_from_slice(&text[copied..]);
    result
}

/// Text in which hidden values are replaced by what is shown to users.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut result = String::new();
    while let Some(start) = memchr::memmem::find(rest.as_bytes(), START) {
        let is_whole = hidden_at(&rest.as_bytes()[start..]).is_some();
        let end = start + if is_whole { LENGTH } else { START.len() };
        result.push_str(&rest[..start]);
        result.push_str(if is_whole { SHOWN } else { &rest[start..end] });
        rest = &rest[end..];
    }
    if result.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(result + rest)
    }
}

/// Whether the text contains a hidden value.
pub(crate) fn is_hidden(text: &str) -> bool {
    let mut starts = memchr::memmem::find_iter(text.as_bytes(), START);
    starts.any(|start| hidden_at(&text.as_bytes()[start..]).is_some())
}

/// Limits the commas of a value that are considered, since the time grows with the square of their number.
const MOST_COMMAS: usize = 100;

/// The secret values of a command line, by their hidden forms. A text with secrets can be stored without them if it is
/// only read again for the same command line, which has them.
pub(crate) struct Values(HashMap<Vec<u8>, Vec<u8>>);

impl Values {
    /// The secret values in `words`.
    pub(crate) fn of<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Self {
        let mut by_hidden = HashMap::new();
        for word in words {
            let word = word.as_ref();
            for start in values(word, 0) {
                let value = &word[start..];
                // A list may go on after the value, so it may end at any comma. Beyond the limit the ends are not
                // tried: the stored text then cannot be restored, and is of no use.
                let commas = memchr::memchr_iter(b',', value).take(MOST_COMMAS);
                let ends = commas.chain([value.len()]);
                for value in ends.map(|end| &value[..end]) {
                    for spelling in [value.to_vec(), escaped(value)] {
                        by_hidden.insert(hidden(&spelling), spelling);
                    }
                }
            }
        }
        Self(by_hidden)
    }

    /// Hides the values in commands for a shell. `None` if they could not be restored.
    pub(crate) fn hide_commands(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut result = Vec::with_capacity(text.len());
        let mut copied = 0;
        let mut line = Shell::default();
        for start in values(text, 0) {
            // Another assignment within a value that is hidden already.
            if start < copied {
                continue;
            }
            let range = line.value(text, start);
            if range.is_empty() {
                continue;
            }
            result.extend_from_slice(&text[copied..start]);
            result.extend(hidden(&text[range.clone()]));
            copied = range.end;
        }
        result.extend_from_slice(&text[copied..]);
        (self.restore(&result).as_deref() == Some(text)).then_some(result)
    }

    /// Hides the value in one word. `None` if it could not be restored.
    pub(crate) fn hide(&self, word: &[u8]) -> Option<Vec<u8>> {
        let result = hide(word).into_owned();
        (self.restore(&result).as_deref() == Some(word)).then_some(result)
    }

    /// Restores the values in a text. `None` if one of them is not from this command line.
    pub(crate) fn restore(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut result = Vec::with_capacity(text.len());
        let mut copied = 0;
        for start in memchr::memmem::find_iter(text, START) {
            if let Some(hidden) = hidden_at(&text[start..]) {
                result.extend_from_slice(&text[copied..start]);
                result.extend_from_slice(self.0.get(hidden)?);
                copied = start + LENGTH;
            }
        }
        result.extend_from_slice(&text[copied..]);
        Some(result)
    }
}

/// The position up to which a shell has read, and the quote that is open there.
#[derive(Default)]
struct Shell {
    at: usize,
    quote: Option<u8>,
}

impl Shell {
    /// The value that begins at `start`: to the end of its word, without a closing quote that was opened before it.
    fn value(&mut self, text: &[u8], start: usize) -> Range<usize> {
        while self.at < start {
            self.step(text);
        }
        let opened = self.quote;
        while let Some(byte) = text.get(self.at)
            && !(is_blank(*byte) && self.quote.is_none())
        {
            self.step(text);
        }
        let end = self.at.min(text.len());
        match opened {
            Some(quote) if end > start && text[end - 1] == quote => start..end - 1,
            _ => start..end,
        }
    }

    fn step(&mut self, text: &[u8]) {
        match (text[self.at], self.quote) {
            (b'\\', None | Some(b'"')) => self.at += 1,
            (byte @ (b'\'' | b'"'), None) => self.quote = Some(byte),
            (byte, Some(quote)) if byte == quote => self.quote = None,
            _ => {}
        }
        self.at += 1;
    }
}

/// The offsets from `from` on at which secret values begin that are neither empty nor hidden: after `NAME=` and
/// `NAME(…)=`.
fn values(text: &[u8], from: usize) -> impl Iterator<Item = usize> {
    let equals = memchr::memchr_iter(b'=', text.get(from..).unwrap_or_default());
    equals.filter_map(move |equals| {
        let (before, start) = (&text[..from + equals], from + equals + 1);
        let value = text.get(start..)?;
        let is_visible = !value.is_empty() && hidden_at(value).is_none();
        (is_visible && is_secret(name(before))).then_some(start)
    })
}

/// The name at the end of `text`, without the parameters of a macro.
fn name(text: &[u8]) -> &[u8] {
    let text = match text.strip_suffix(b")") {
        Some(inner) => &text[..memchr::memrchr(b'(', inner).unwrap_or(0)],
        None => text,
    };
    let is_part =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(byte) || !byte.is_ascii();
    let start = text.iter().rposition(|byte| !is_part(byte));
    &text[start.map_or(0, |before| before + 1)..]
}

/// The hidden value that `text` begins with.
fn hidden_at(text: &[u8]) -> Option<&[u8]> {
    let digits = text.strip_prefix(START)?.get(..DIGITS)?;
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let is_whole = digits.iter().all(is_digit) && text[START.len() + DIGITS..].starts_with(END);
    is_whole.then(|| &text[..LENGTH])
}

/// The hidden form of `value`.
fn hidden(value: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(PURPOSE);
    digest.update(value);
    let digits = hex::encode(&digest.finalize()[..DIGITS / 2]);
    [START, digits.as_bytes(), END].concat()
}

/// `value` with the escapes that nvcc prints for its shell.
fn escaped(value: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(value.len());
    for byte in value {
        if b"\"\\".contains(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::{
        Values, hide, hide_assignment, hide_flags, hide_text, is_hidden, is_secret, shown,
    };

    /// The text with three dots in place of each hidden value.
    fn seen(bytes: &[u8]) -> String {
        shown(std::str::from_utf8(bytes).unwrap()).into_owned()
    }

    #[test]
    fn names_tell_in_any_case_and_anywhere() {
        for name in [
            "API_TOKEN",
            "token",
            "ClientSecret",
            "KEY",
            "MONKEYS",
            "Password",
            "PASSWD2",
            "X_AUTH_Y",
            "credentials",
        ] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
        for name in ["", "PASS", "TOKE", "NAME", "K_E_Y", "LC_ALL"] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }

    #[track_caller]
    fn hides(word: &str, expected: &str) {
        let found = hide(word.as_bytes()).into_owned();
        assert_eq!(seen(&found), expected, "{word}");
        assert_eq!(hide(&found), found, "twice");
        assert_eq!(hide_text(word).as_bytes(), found);
    }

    #[test]
    fn words_lose_what_follows_a_secret_name() {
        hides("-DAPI_TOKEN=hunter2 abc", "-DAPI_TOKEN=…");
        hides("API_TOKEN=x", "API_TOKEN=…");
        hides("API_TOKEN= x", "API_TOKEN=…");
        hides("DAPI_TOKEN=\"x\"", "DAPI_TOKEN=…");
        hides("-DGET_KEY(a, b)=x", "-DGET_KEY(a, b)=…");
        hides(
            "--define-macro=A=1,my_passwd=x,B=2",
            "--define-macro=A=1,my_passwd=…",
        );
        hides("X-DHOST_KEY=x", "X-DHOST_KEY=…");
        hides("-Wp,-DA=1,-DAUTH=x", "-Wp,-DA=1,-DAUTH=…");
        hides("-D\u{e9}KEY\u{e9}=x", "-D\u{e9}KEY\u{e9}=…");
        hides("error: -DKEY=x\nand more", "error: -DKEY=…");
        hides("--auth-file=x", "--auth-file=…");
    }

    #[test]
    fn other_words_stay() {
        for word in [
            "",
            "=",
            "x=",
            ")=x",
            "-DN=1",
            "-DAPI_TOKEN",
            "-DAPI_TOKEN=",
            "-UKEY",
            "KEY == 1",
            "key /a=b",
            "-Ikey/x=y",
            "a.cu",
        ] {
            hides(word, word);
        }
    }

    #[test]
    fn equal_values_and_no_others_are_hidden_alike() {
        let value = |word: &[u8]| {
            hide(word)
                .split(|&byte| byte == b'=')
                .nth(1)
                .unwrap()
                .to_vec()
        };
        assert_eq!(value(b"KEY=a"), value(b"-DKEY=a"));
        assert_ne!(value(b"KEY=a"), value(b"KEY=b"));
        assert!(is_hidden(std::str::from_utf8(&hide(b"KEY=a")).unwrap()));
        assert!(!is_hidden("KEY=<hidden:xyz>") && !is_hidden("<hidden:"));
        assert_eq!(
            shown("<hidden:<hidden:0123456789abcdef> <hidden:"),
            "<hidden:… <hidden:"
        );
    }

    #[test]
    fn what_only_looks_hidden_is_hidden() {
        for value in [
            "<hidden:0123456789abcde>",
            "<hidden:0123456789ABCDEF>",
            "<hidden:0123456789abcdef",
        ] {
            let word = format!("KEY={value}");
            assert_eq!(seen(&hide(word.as_bytes())), "KEY=…", "{value}");
        }
    }

    #[test]
    fn flags_go_on_behind_a_value_that_certainly_ends() {
        for (text, expected) in [
            ("-DKEY=a -DN=1 -DTOKEN=b\t-x", "-DKEY=… -DN=1 -DTOKEN=…\t-x"),
            ("-DKEY=\"a b\" -DN=1", "-DKEY=…"),
            ("-DA='x' -DKEY=a b -DN=1", "-DA='x' -DKEY=…"),
            (r"-DKEY=a\ b -DN=1", "-DKEY=…"),
            ("-DN=1", "-DN=1"),
            ("-DKEY= -DN=1", "-DKEY= -DN=1"),
            ("KEY=", "KEY="),
        ] {
            let found = hide_flags(text.as_bytes());
            assert_eq!(seen(&found), expected);
            assert_eq!(hide_flags(&found), found, "twice");
        }
    }

    #[test]
    fn variables_are_hidden_as_a_whole_or_as_flags() {
        for (text, expected) in [
            ("MY_KEY=a b -c", "MY_KEY=…"),
            ("MY_KEY=", "MY_KEY="),
            ("FLAGS=-DKEY=a -DN=1", "FLAGS=-DKEY=… -DN=1"),
            ("FLAGS", "FLAGS"),
        ] {
            let found = hide_assignment(text.as_bytes());
            assert_eq!(seen(&found), expected);
            assert_eq!(hide_assignment(&found), found, "twice");
        }
    }

    #[test]
    fn commands_come_back_under_the_same_command_line() {
        let words = [
            "-D",
            "KEY=\"a b\"",
            "-DX=1,TOKEN=c,Y=2",
            "-DN=1",
            "-Xcompiler=-DAUTH=d,-DZ=3",
        ];
        let values = Values::of(words);
        let text = "#$ gcc -D \"KEY=\\\"a b\\\"\" -D \"X=1\" -D\"TOKEN=c\" -DAUTH=d -DN=1 -o \"W/a\" \n\
                    #$ cicc --x='TOKEN=c' \\\"\n";
        let kept = values.hide_commands(text.as_bytes()).unwrap();
        assert_eq!(
            seen(&kept),
            "#$ gcc -D \"KEY=…\" -D \"X=1\" -D\"TOKEN=…\" -DAUTH=… -DN=1 -o \"W/a\" \n#$ cicc --x='TOKEN=…' \\\"\n"
        );
        assert_eq!(values.restore(&kept).unwrap(), text.as_bytes());
        assert_eq!(Values::of(["-DN=1"]).restore(&kept), None);
    }

    #[test]
    fn what_could_not_be_restored_is_not_kept() {
        let values = Values::of(["-DKEY=a"]);
        assert!(values.hide_commands(b"gcc -DKEY=a").is_some());
        for text in [
            "gcc -DKEY=other",
            "gcc -DN=<hidden:0123456789abcdef>",
            "gcc -DKEY=a'x",
        ] {
            assert_eq!(values.hide_commands(text.as_bytes()), None, "{text}");
        }
        assert!(values.hide(b"-DKEY=a").is_some() && values.hide(b"-DKEY=b").is_none());
        assert_eq!(values.hide(b"plain").as_deref(), Some(&b"plain"[..]));
    }
}
