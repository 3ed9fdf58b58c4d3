//! The prerequisites in a make rule, as GCC's `-MD` and GNU as's `--MD` write them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Every prerequisite of the rules in `text`, unescaped and in order. Joins lines at `\` + newline and
/// leaves out targets. `\ `, `\#` and `$$` stand for a blank, `#` and `$`.
pub(crate) fn prerequisites(text: &[u8]) -> Vec<OsString> {
    let mut prerequisites = Vec::new();
    let mut after_target = false;
    let mut word = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let next = bytes.peek().copied();
        match (byte, next) {
            (b'\\', Some(b'\n')) | (b' ' | b'\t' | b'\n', _) => {
                if after_target && !word.is_empty() {
                    prerequisites.push(OsString::from_vec(std::mem::take(&mut word)));
                }
                word.clear();
                // A rule ends with its line; a backslash continues it.
                after_target &= byte != b'\n';
                if byte == b'\\' {
                    bytes.next();
                }
            }
            (b'\\', Some(escaped @ (b' ' | b'#' | b'\\' | b':'))) => {
                word.push(escaped);
                bytes.next();
            }
            (b'$', Some(b'$')) => {
                word.push(b'$');
                bytes.next();
            }
            // Only a colon before a blank ends the target; others are part of a path.
            (b':', Some(b' ' | b'\t' | b'\n' | b'\\')) if !after_target => {
                after_target = true;
                word.clear();
            }
            _ => word.push(byte),
        }
    }
    if after_target && !word.is_empty() {
        prerequisites.push(OsString::from_vec(word));
    }
    prerequisites
}

#[cfg(test)]
mod tests {
    use super::prerequisites;

    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        assert_eq!(prerequisites(text.as_bytes()), wanted);
    }

    #[test]
    fn continued_lines_are_one_rule() {
        check("a.o: a.c \\\n /x/b.h \\\n c.h\n", &["a.c", "/x/b.h", "c.h"]);
        check("a.o: a.c \\\n b.h", &["a.c", "b.h"]);
    }

    #[test]
    fn escapes_are_undone() {
        check(
            "a.o: a\\ b.h c\\#.h d$$.h e\\\\f.h\n",
            &["a b.h", "c#.h", "d$.h", "e\\f.h"],
        );
    }

    #[test]
    fn colons_in_names_stay_and_targets_go() {
        check("a\\ b.o: c:d.h\n\nc:d.h:\n", &["c:d.h"]);
        check("", &[]);
        check("no rule here", &[]);
    }
}
