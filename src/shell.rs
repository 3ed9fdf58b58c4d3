//! Splits a shell-quoted command line into words, and quotes words.
//!
//! Undoes the quoting that nvcc, GCC's driver and clang print, as `sh` would: double and single quotes, backslashes,
//! and `"$NAME"` for variables that the caller knows. Anything else that a shell could act on is an error.

use thiserror::Error;

/// Why only a real shell can split a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShellError {
    /// A quote that is not closed on the line.
    #[error("a quote is not closed")]
    Unclosed,
    /// A character with a special meaning: a redirection, a list, a pattern, a comment.
    #[error("the shell would act on '{0}'")]
    Special(char),
    /// A variable that the dry run does not set, or an expansion other than `"$NAME"`.
    #[error("an expansion other than of nvcc's own variables")]
    Expansion,
    /// A zero byte, which no argument can contain.
    #[error("a zero byte")]
    Zero,
    /// No program.
    #[error("the command is empty")]
    Empty,
}

/// Splits `line` into its first word and the others. `variable` returns the values of the variables that may be
/// expanded in the first: within double quotes only, where a value is not split.
pub fn program_and_arguments<'v>(
    line: &[u8],
    variable: &dyn Fn(&[u8]) -> Option<&'v [u8]>,
) -> Result<(Vec<u8>, Vec<Vec<u8>>), ShellError> {
    let mut reader = ShellReader {
        rest: line,
        variable,
    };
    let program = reader.word()?.ok_or(ShellError::Empty)?;
    Ok((program, plain_words(reader.rest)?))
}

/// Splits `line` into words without expanding variables.
pub fn plain_words(line: &[u8]) -> Result<Vec<Vec<u8>>, ShellError> {
    let mut reader = ShellReader {
        rest: line,
        variable: &|_| None,
    };
    let mut words = Vec::new();
    while let Some(word) = reader.word()? {
        words.push(word);
    }
    Ok(words)
}

/// A command line that [`plain_words`] splits into `words` again.
pub fn quote(words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = Vec::new();
    for word in words {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.push(b'"');
        for &byte in word {
            if matches!(byte, b'"' | b'\\' | b'$' | b'`') {
                line.push(b'\\');
            }
            line.push(byte);
        }
        line.push(b'"');
    }
    line
}

struct ShellReader<'l, 'f, 'v> {
    rest: &'l [u8],
    variable: &'f dyn Fn(&[u8]) -> Option<&'v [u8]>,
}

impl ShellReader<'_, '_, '_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn word(&mut self) -> Result<Option<Vec<u8>>, ShellError> {
        while matches!(self.rest.first(), Some(b' ' | b'\t')) {
            self.next();
        }
        if self.rest.first() == Some(&b'#') {
            return Err(ShellError::Special('#'));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut word = Vec::new();
        while let Some(byte) = self.next() {
            match byte {
                b' ' | b'\t' => break,
                b'"' => self.double_quoted(&mut word)?,
                b'\'' => self.single_quoted(&mut word)?,
                b'\\' => word.push(plain(self.next().ok_or(ShellError::Unclosed)?)?),
                // Some shells expand a tilde only at the start of a word, others also in a word like an assignment.
                b'~' if matches!(word.last(), None | Some(b'=' | b':')) => {
                    return Err(ShellError::Special('~'));
                }
                // Only some shells act on braces, so they are refused too.
                b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'`' | b'*' | b'?' | b'['
                | b'{' => return Err(ShellError::Special(char::from(byte))),
                b'$' => return Err(ShellError::Expansion),
                _ => word.push(plain(byte)?),
            }
        }
        Ok(Some(word))
    }

    fn double_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), ShellError> {
        loop {
            match self.next().ok_or(ShellError::Unclosed)? {
                b'"' => return Ok(()),
                b'`' => return Err(ShellError::Special('`')),
                b'$' => self.expansion(word)?,
                b'\\' => match self.next().ok_or(ShellError::Unclosed)? {
                    escaped @ (b'"' | b'\\' | b'$' | b'`') => word.push(escaped),
                    // Before any other character, the backslash is literal.
                    other => word.extend([b'\\', plain(other)?]),
                },
                byte => word.push(plain(byte)?),
            }
        }
    }

    fn single_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), ShellError> {
        loop {
            match self.next().ok_or(ShellError::Unclosed)? {
                b'\'' => return Ok(()),
                byte => word.push(plain(byte)?),
            }
        }
    }

    fn expansion(&mut self, word: &mut Vec<u8>) -> Result<(), ShellError> {
        let length = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        let (name, rest) = self.rest.split_at(length);
        let value = (self.variable)(name).ok_or(ShellError::Expansion)?;
        self.rest = rest;
        word.extend_from_slice(value);
        Ok(())
    }
}

fn plain(byte: u8) -> Result<u8, ShellError> {
    match byte {
        0 => Err(ShellError::Zero),
        b'\n' => Err(ShellError::Special('\n')),
        byte => Ok(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::ShellError;
    use super::{plain_words, program_and_arguments, quote};
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    fn split(line: &str) -> Result<Vec<String>, ShellError> {
        let variable = |name: &[u8]| match name {
            b"CICC_PATH" => Some(b"/opt/my cuda".as_slice()),
            _ => None,
        };
        let (program, arguments) = program_and_arguments(line.as_bytes(), &variable)?;
        Ok([program]
            .into_iter()
            .chain(arguments)
            .map(|word| String::from_utf8(word).expect("the tests are text"))
            .collect())
    }

    #[track_caller]
    fn splits(line: &str, expected: &[&str]) {
        assert_eq!(split(line).expect("the line has words"), expected);
    }

    #[test]
    fn quotes_join_what_they_touch() {
        splits(
            r#""/usr/bin"/g++ -D"X=a b" '-DY=$"' """#,
            &["/usr/bin/g++", "-DX=a b", "-DY=$\"", ""],
        );
    }

    #[test]
    fn backslashes_follow_the_shell() {
        splits(
            r#""a\"b" "a\b" "a\\b" a\ b a\"b"#,
            &["a\"b", "a\\b", "a\\b", "a b", "a\"b"],
        );
    }

    #[test]
    fn own_variables_are_expanded_in_the_program_and_not_split() {
        splits(r#""$CICC_PATH/cicc" -x"#, &["/opt/my cuda/cicc", "-x"]);
        let argument = split(r#"cicc -I"$CICC_PATH""#);
        assert_eq!(argument, Err(ShellError::Expansion));
    }

    #[test]
    fn what_a_shell_would_act_on_is_refused() {
        for line in [
            "a > b", "a;b", "a|b", "a `b`", "\"`b`\"", "a *", "a ?", "a [b]", "a {b,c}",
        ] {
            assert!(matches!(split(line), Err(ShellError::Special(_))), "{line}");
        }
        for line in [
            "$HOME",
            "\"$HOME\"",
            "\"$(b)\"",
            "\"${CICC_PATH}\"",
            "\"a$\"",
            "$CICC_PATH",
        ] {
            assert_eq!(split(line), Err(ShellError::Expansion), "{line}");
        }
        for line in ["\"a", "'a", "a\\", "\"a\\"] {
            assert_eq!(split(line), Err(ShellError::Unclosed), "{line}");
        }
        assert_eq!(split("a # b"), Err(ShellError::Special('#')));
        assert_eq!(split("a\0"), Err(ShellError::Zero));
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_splitting(list in vec(vec(any::<u8>(), 0..12), 0..6)) {
            let list: Vec<Vec<u8>> = list
                .into_iter()
                .map(|word| word.into_iter().filter(|byte| !matches!(byte, 0 | b'\n')).collect())
                .collect();
            assert_eq!(plain_words(&quote(&list)), Ok(list));
        }

        #[test]
        fn splitting_then_quoting_is_stable(line in vec(any::<u8>(), 0..64)) {
            if let Ok(list) = plain_words(&line) {
                assert_eq!(plain_words(&quote(&list)), Ok(list));
            }
        }
    }
}
