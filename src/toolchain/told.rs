//! Parses the report of a shell that GCC starts in place of one of its parts (`-wrapper`): arguments, file, directory
//! and variables. Starts nothing.

use memchr::memmem;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A variable as a shell prints it: `export NAME='value'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The value in the shell's own quotes.
    pub quoted: Vec<u8>,
}

impl Variable {
    /// Takes the first line of `export -p` from `text`; newlines in quotes do not end it. The inner `None` = the line
    /// has no value.
    fn take(text: &mut &[u8]) -> Option<Option<Self>> {
        let end = end_of_quoted_line(text)?;
        let line = &text[..end];
        *text = &text[end + 1..];
        let assignment = line.strip_prefix(b"export ");
        Some(assignment.and_then(|assignment| {
            let equals = memchr::memchr(b'=', assignment)?;
            Some(Self {
                name: str::from_utf8(&assignment[..equals]).ok()?.to_owned(),
                quoted: assignment[equals + 1..].to_vec(),
            })
        }))
    }

    /// The value without its quotes; `None` if something in it is escaped.
    pub fn plain(&self) -> Option<&[u8]> {
        let (quote, rest) = self.quoted.split_first()?;
        let value = rest.strip_suffix(&[*quote])?;
        let is_special = |byte: &u8| b"'\"\\$`".contains(byte);
        (b"'\"".contains(quote) && !value.iter().any(is_special)).then_some(value)
    }
}

/// The position of the first newline in `text` that is not quoted for a shell by `'…'`, `"…"`, `$'…'` or a backslash.
fn end_of_quoted_line(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (byte, quote) {
            (b'\n', None) => return Some(at),
            (b'\\', None | Some(b'"' | b'$')) => drop(bytes.next()),
            (b'\'', None) if at > 0 && text[at - 1] == b'$' => quote = Some(b'$'),
            (b'\'' | b'"', None) => quote = Some(*byte),
            (b'\'', Some(b'\'' | b'$')) | (b'"', Some(b'"')) => quote = None,
            _ => {}
        }
    }
    None
}

/// A command that GCC starts, as the shell in its place reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The file of its program; `None` if the shell finds none.
    pub file: Option<PathBuf>,
    /// The working directory.
    pub directory: PathBuf,
    /// The variables, in the form in which the shell could read them again.
    pub variables: Vec<Variable>,
    /// The program, as GCC names it, and its arguments. The temporary file between compiler and assembler, whose name
    /// differs each time, is replaced by `-`.
    pub words: Vec<OsString>,
}

/// Placeholder for a temporary file between two parts, as if there were a pipe between them.
const BETWEEN: &str = "-";

impl Part {
    /// Parses what [`Inquiry::Parts`](super::host::Inquiry::Parts) printed on standard error: the output of a program
    /// in front of GCC, and then the parts. `None` if the text has another form.
    pub fn parse_all(text: &[u8]) -> Option<(&[u8], Vec<Self>)> {
        const FIRST: &[u8] = b"=program\n";
        let (output, mut text) = text.split_at(memmem::find(text, FIRST)?);
        let mut parts = Vec::new();
        while !text.is_empty() {
            parts.push(Self::parse(&mut text)?);
        }
        let (_, others) = parts.split_last()?;
        let between: Vec<_> = others.iter().filter_map(Self::output).cloned().collect();
        let words = parts.iter_mut().flat_map(|part| &mut part.words);
        for word in words.filter(|word| between.contains(word)) {
            *word = BETWEEN.into();
        }
        Some((output, parts))
    }

    fn output(&self) -> Option<&OsString> {
        let mut words = self.words.iter();
        words.find(|word| *word == "-o").and_then(|_| words.next())
    }

    fn parse(text: &mut &[u8]) -> Option<Self> {
        let mut part = Self::default();
        (take_line(text)? == b"=program").then_some(())?;
        let mut line = take_line(text)?;
        if line != b"=directory" {
            part.file = Some(OsStr::from_bytes(line).into());
            line = take_line(text)?;
        }
        (line == b"=directory").then_some(())?;
        part.directory = OsStr::from_bytes(take_line(text)?).into();
        (take_line(text)? == b"=variables").then_some(())?;
        while !text.starts_with(b"=words ") {
            part.variables.extend(Variable::take(text)?);
        }
        let count = take_line(text)?.strip_prefix(b"=words ")?;
        let count: usize = str::from_utf8(count).ok()?.parse().ok()?;
        for _ in 0..=count {
            let end = memchr::memchr(0, text)?;
            part.words.push(OsStr::from_bytes(&text[..end]).into());
            *text = &text[end + 1..];
        }
        (take_line(text)? == b"").then_some(part)
    }
}

fn take_line<'t>(text: &mut &'t [u8]) -> Option<&'t [u8]> {
    let end = memchr::memchr(b'\n', text)?;
    let line = &text[..end];
    *text = &text[end + 1..];
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::{BETWEEN, Part};
    use std::path::Path;

    #[test]
    fn what_a_shell_in_a_parts_place_prints_is_read() {
        let text = b"Welcome!\n=program\n/usr/lib/cc1plus\n=directory\n/src\n=variables\nexport CPATH='/x'\n\
            export OLDPWD\nexport TWO='a\nexport CPATH=b'\nexport ODD=\"a\\\"\n\"'\"'\nexport ANSI=$'\\'\n'\n\
            =words 3\ncc1plus\0-DX=a\nb\0-o\0/tmp/1.s\0\n\
            =program\n=directory\n/\n=variables\n=words 2\nas\0\0/tmp/1.s\0\n";
        let (said, found) = Part::parse_all(text).unwrap();
        assert_eq!(said, b"Welcome!\n");
        let [compiler, assembler] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            compiler.file.as_deref(),
            Some(Path::new("/usr/lib/cc1plus"))
        );
        assert_eq!(compiler.directory, Path::new("/src"));
        assert_eq!(compiler.words, ["cc1plus", "-DX=a\nb", "-o", BETWEEN]);
        let variables = compiler.variables.iter();
        let variables: Vec<_> = variables
            .map(|variable| (variable.name.as_str(), variable.plain()))
            .collect();
        let expected: [(&str, Option<&[u8]>); 4] = [
            ("CPATH", Some(b"/x")),
            ("TWO", Some(b"a\nexport CPATH=b")),
            ("ODD", None),
            ("ANSI", None),
        ];
        assert_eq!(variables, expected);
        assert_eq!((&assembler.file, assembler.words.len()), (&None, 3));
        assert_eq!(assembler.words[2], BETWEEN);
        for cut in 1..text.len() - 1 {
            let whole = Part::parse_all(&text[..cut]);
            assert!(
                whole.is_none_or(|(_, parts)| parts.len() == 1),
                "cut at {cut}"
            );
        }
    }
}
