//! How the shell reads the values that nvcc pastes into its commands. nvcc quotes them badly: the shell acts on `$`,
//! backquotes and more, so that a value's meaning may depend on the environment or on files.

use crate::shell::plain_words;

/// Whether the shell would expand something in `value` even between the double quotes that nvcc puts around
/// macros and paths, or whether the value would split nvcc's command into two lines.
pub(super) fn expands_in_quotes(value: &[u8]) -> bool {
    value
        .iter()
        .any(|byte| matches!(byte, b'$' | b'`' | b'\n' | b'\r' | 0))
}

/// The words into which the shell splits a value that nvcc pastes without quotes; `None` if the
/// shell would do more than split it.
pub(super) fn words(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    if expands_in_quotes(value) {
        return None;
    }
    plain_words(value).ok()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[track_caller]
    fn reads(value: &str, expected: &[&str]) {
        let expected: Vec<Vec<u8>> = expected.iter().map(|w| w.as_bytes().to_vec()).collect();
        assert_eq!(words(value.as_bytes()), Some(expected), "{value}");
    }

    #[test]
    fn quotes_protect_and_vanish() {
        reads("'-fPIC'", &["-fPIC"]);
        reads(r#""-g""#, &["-g"]);
        reads("-a  -b", &["-a", "-b"]);
        reads(r#"-DX="a b"'c d'"#, &["-DX=a bc d"]);
        reads(r#""a\"b\\c\d""#, &[r#"a"b\c\d"#]);
        reads("''", &[""]);
        reads("a~b#c", &["a~b#c"]);
    }

    #[test]
    fn what_the_shell_would_expand_or_run_is_no_word() {
        for value in [
            "$HOME", "`ls`", "a;b", "a|b", "*.o", "~/x", "#x", "'a", "\"a", "a\\", "a\nb",
        ] {
            assert_eq!(words(value.as_bytes()), None, "{value}");
        }
    }
}
