//! Values that are not to be kept or shown: those of variables and macros whose names say that they are secret. In
//! the place of each stands a digest, `NAME=<hidden:16 hexadecimal digits>`, so that two of them can still be told
//! apart. The one place that decides what is hidden; keys are made of the real values and do not pass through here.
//!
//! What is `NAME=value` in which text cannot always be told from the text, so that the functions differ in where a
//! value ends: [`hide`] takes one word and hides to its end, [`hide_flags`] and [`hide_commands`] take several words.
//! Each leaves alone what is hidden already.

use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// A name that holds one of these, in any case, is that of a secret.
const TELLING: [&[u8]; 7] = [
    b"TOKEN",
    b"SECRET",
    b"KEY",
    b"PASSWORD",
    b"PASSWD",
    b"AUTH",
    b"CREDENTIAL",
];

/// What the digest of a value begins with, so that it is the digest of nothing else.
const PURPOSE: &[u8] = b"pcache-nvcc hidden value 1\0";

/// A hidden value: its beginning, its digits, its end.
const START: &[u8] = b"<hidden:";
const DIGITS: usize = 16;
const END: &[u8] = b">";
const LENGTH: usize = START.len() + DIGITS + END.len();

/// What people see in the place of a hidden value, where its digest tells nothing.
const SHOWN: &str = "…";

/// Whether the value of a variable or macro of this name is secret.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    TELLING
        .iter()
        .any(|word| name.windows(word.len()).any(|found| found == *word))
}

/// One word, such as an argument, or a text of unknown shape: hides from the first secret value to the end.
pub(crate) fn hide(word: &[u8]) -> Cow<'_, [u8]> {
    match values(word, 0).next() {
        None => Cow::Borrowed(word),
        Some(at) => Cow::Owned([&word[..at], &hidden(&word[at..])].concat()),
    }
}

/// [`hide`] for text.
pub(crate) fn hide_text(text: &str) -> Cow<'_, str> {
    match hide(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // What is left was cut behind an equals sign, and so between two characters.
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// A variable's `NAME=value`: all of the value, or what is secret in the flags that it holds.
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

/// Several words with blanks between them, quoted by whatever rules. A value ends with its word only where neither a
/// quote nor a backslash has come before; it is hidden to the end of the text otherwise.
pub(crate) fn hide_flags(text: &[u8]) -> Vec<u8> {
    let mut found = Vec::with_capacity(text.len());
    let mut done = 0;
    while let Some(at) = values(text, done).next() {
        let end = text[at..].iter().position(|byte| is_blank(*byte));
        let end = end.map_or(text.len(), |end| at + end);
        let is_plain = !text[..end].iter().any(|byte| b"'\"\\`$".contains(byte));
        let end = if is_plain { end } else { text.len() };
        found.extend_from_slice(&text[done..at]);
        if end > at {
            found.extend(hidden(&text[at..end]));
        }
        done = end;
    }
    found.extend_from_slice(&text[done..]);
    found
}

/// Text with what is hidden in it as people see it.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let mut left = text;
    let mut found = String::new();
    while let Some(at) = memchr::memmem::find(left.as_bytes(), START) {
        let is_whole = hidden_at(&left.as_bytes()[at..]).is_some();
        let end = at + if is_whole { LENGTH } else { START.len() };
        found.push_str(&left[..at]);
        found.push_str(if is_whole { SHOWN } else { &left[at..end] });
        left = &left[end..];
    }
    if found.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(found + left)
    }
}

/// Whether a value is hidden in the text.
pub(crate) fn is_hidden(text: &str) -> bool {
    let mut found = memchr::memmem::find_iter(text.as_bytes(), START);
    found.any(|at| hidden_at(&text.as_bytes()[at..]).is_some())
}

/// A value with more costs its square in time.
const MOST_COMMAS: usize = 100;

/// The secret values of a command line, by what stands for them: where a text that holds them has to be kept, and
/// is read again under the same command line, it can be kept without them.
pub(crate) struct Values(HashMap<Vec<u8>, Vec<u8>>);

impl Values {
    /// Those of these words.
    pub(crate) fn of<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Self {
        let mut found = HashMap::new();
        for word in words {
            let word = word.as_ref();
            for at in values(word, 0) {
                let value = &word[at..];
                // A list may go on behind it. Of a long one, the ends are not looked for: what is kept then is not
                // put in again, and serves no more.
                let commas = memchr::memchr_iter(b',', value).take(MOST_COMMAS);
                let ends = commas.chain([value.len()]);
                for value in ends.map(|end| &value[..end]) {
                    for spelled in [value.to_vec(), escaped(value)] {
                        found.insert(hidden(&spelled), spelled);
                    }
                }
            }
        }
        Self(found)
    }

    /// Commands as a shell reads them, without the values; `None` where these could not be put in again.
    pub(crate) fn hide_commands(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = Vec::with_capacity(text.len());
        let mut done = 0;
        let mut line = Shell::default();
        for at in values(text, 0) {
            // Another assignment within a value that is hidden.
            if at < done {
                continue;
            }
            let range = line.value(text, at);
            if range.is_empty() {
                continue;
            }
            found.extend_from_slice(&text[done..at]);
            found.extend(hidden(&text[range.clone()]));
            done = range.end;
        }
        found.extend_from_slice(&text[done..]);
        (self.restore(&found).as_deref() == Some(text)).then_some(found)
    }

    /// One word without the value; `None` where it could not be put in again.
    pub(crate) fn hide(&self, word: &[u8]) -> Option<Vec<u8>> {
        let found = hide(word).into_owned();
        (self.restore(&found).as_deref() == Some(word)).then_some(found)
    }

    /// The text with the values; `None` where one of them is not of this command line.
    pub(crate) fn restore(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = Vec::with_capacity(text.len());
        let mut done = 0;
        for at in memchr::memmem::find_iter(text, START) {
            if let Some(hidden) = hidden_at(&text[at..]) {
                found.extend_from_slice(&text[done..at]);
                found.extend_from_slice(self.0.get(hidden)?);
                done = at + LENGTH;
            }
        }
        found.extend_from_slice(&text[done..]);
        Some(found)
    }
}

/// How far a shell has read, and the quote that is open there.
#[derive(Default)]
struct Shell {
    at: usize,
    quote: Option<u8>,
}

impl Shell {
    /// The value that begins at `at`: to the end of its word, without the quote in which it and its name stand.
    fn value(&mut self, text: &[u8], at: usize) -> Range<usize> {
        while self.at < at {
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
            Some(quote) if end > at && text[end - 1] == quote => at..end - 1,
            _ => at..end,
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

/// Where secret values begin in `text` from `from` on that are neither empty nor hidden: behind `NAME=` and
/// `NAME(…)=`.
fn values(text: &[u8], from: usize) -> impl Iterator<Item = usize> {
    let equals = memchr::memchr_iter(b'=', text.get(from..).unwrap_or_default());
    equals.filter_map(move |equals| {
        let (before, at) = (&text[..from + equals], from + equals + 1);
        let value = text.get(at..)?;
        let is_there = !value.is_empty() && hidden_at(value).is_none();
        (is_there && is_secret(name(before))).then_some(at)
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

/// The hidden value with which `text` begins.
fn hidden_at(text: &[u8]) -> Option<&[u8]> {
    let digits = text.strip_prefix(START)?.get(..DIGITS)?;
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let is_whole = digits.iter().all(is_digit) && text[START.len() + DIGITS..].starts_with(END);
    is_whole.then(|| &text[..LENGTH])
}

/// What stands for `value`.
fn hidden(value: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(PURPOSE);
    digest.update(value);
    let digits = hex::encode(&digest.finalize()[..DIGITS / 2]);
    [START, digits.as_bytes(), END].concat()
}

/// As nvcc quotes it for its shell.
fn escaped(value: &[u8]) -> Vec<u8> {
    let mut found = Vec::with_capacity(value.len());
    for byte in value {
        if b"\"\\".contains(byte) {
            found.push(b'\\');
        }
        found.push(*byte);
    }
    found
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::{
        Values, hide, hide_assignment, hide_flags, hide_text, is_hidden, is_secret, shown,
    };

    /// With three dots in the place of everything that is hidden.
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
