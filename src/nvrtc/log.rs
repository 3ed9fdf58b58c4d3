//! Logs of compiles: removes the program's name from a log, and puts another name in. Pure.

use super::key::{base_name, full_name};
use super::program::Program;
use super::words::word_places;
use crate::includes::scan::spliced;
use memchr::memmem;

/// Puts the name of `program` into a log that [`unnamed`] has written.
pub(super) fn named(log: &[u8], program: &Program) -> Option<Vec<u8>> {
    let parts: Vec<_> = log.strip_suffix(b"\0")?.split(|&byte| byte == 0).collect();
    let mut log = parts.join(full_name(program));
    log.push(0);
    Some(log)
}

/// The log with a NUL for each mention of the program's name; `None` if it is not certain where the mentions are.
pub(super) fn unnamed(log: &[u8], program: &Program, renames_lines: bool) -> Option<Vec<u8>> {
    let body = log.strip_suffix(b"\0")?;
    if renames_lines && memmem::find(body, base_name(program)).is_some() {
        return None;
    }
    let parts = without_name(body, program).filter(|_| !body.contains(&0))?;
    let mut log = parts.join(&0);
    log.push(0);
    Some(log)
}

/// The log, split at the program's whole name wherever that begins a message; `None` if the name occurs in any
/// other place, because the text there under another name is not known.
fn without_name(log: &[u8], program: &Program) -> Option<Vec<Vec<u8>>> {
    let (full, base) = (full_name(program), base_name(program));
    let head = [full, b"("].concat();
    let mut parts = vec![Vec::new()];
    for (number, line) in log.split(|&byte| byte == b'\n').enumerate() {
        let rest = match line.strip_prefix(head.as_slice()) {
            Some(_) => &line[full.len()..],
            None => line,
        };
        if memmem::find(rest, base).is_some() {
            return None;
        }
        let mut last = parts.pop().unwrap_or_default();
        last.extend((number > 0).then_some(b'\n'));
        parts.push(last);
        if rest.len() < line.len() {
            parts.push(Vec::new());
        }
        if let Some(last) = parts.last_mut() {
            last.extend(rest);
        }
    }
    Some(parts)
}

/// Whether `text` may give lines another file's name, or names the program in the form of a message. The mentions of
/// the program's own name in a log cannot be told then.
pub(super) fn renames_lines(text: &[u8], program: &Program) -> bool {
    let head = [base_name(program), b"("].concat();
    if memmem::find(text, &head).is_some() {
        return true;
    }
    let text = spliced(text);
    let is_mark = |before: &[u8]| {
        let before = before.trim_ascii_end();
        let ends = |mark: &[u8]| before.ends_with(mark);
        ends(b"#") || ends(b"%:") || ends(b"??=") || ends(b"*/")
    };
    let has_line_directive = word_places(&text, b"line").any(|at| is_mark(&text[..at]));
    // A `#` with a bare number, as preprocessors write it.
    let has_number = |mark: &[u8]| {
        memmem::find_iter(&text, mark).any(|at| {
            let rest = text[at + mark.len()..].trim_ascii_start();
            rest.first().is_some_and(u8::is_ascii_digit) || rest.starts_with(b"/*")
        })
    };
    has_line_directive || has_number(b"#") || has_number(b"%:") || has_number(b"??=")
}

#[cfg(test)]
mod tests {
    use super::{renames_lines, without_name};
    use crate::nvrtc::program::Program;

    fn program(source: &str) -> Program {
        Program {
            source: source.as_bytes().to_vec(),
            name: Some(b"/tmp/random/k.cu".to_vec()),
            headers: Vec::new(),
        }
    }

    #[test]
    fn the_name_is_cut_out_where_messages_begin_and_nowhere_else() {
        let cut = |log: &str| without_name(log.as_bytes(), &program("int x;"));
        let parts = |texts: &[&str]| {
            Some(
                texts
                    .iter()
                    .map(|text| text.as_bytes().to_vec())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(cut("\0"), parts(&["\0"]));
        assert_eq!(cut("nothing\nhere\n\0"), parts(&["nothing\nhere\n\0"]));
        let warned = "/tmp/random/k.cu(3): warning\n  int x;\n/tmp/random/k.cu(4): note\n\0";
        assert_eq!(
            cut(warned),
            parts(&["", "(3): warning\n  int x;\n", "(4): note\n\0"])
        );
        assert_eq!(cut("at line 4 of \"/tmp/random/k.cu\"\n\0"), None);
        assert_eq!(cut("k.cu(3): warning\n\0"), None);
    }

    #[test]
    fn texts_that_rename_lines_or_speak_like_a_log_are_seen() {
        for (text, expected) in [
            ("#line 3 \"x.cu\"", true),
            ("  #  line 3", true),
            ("%: line 3", true),
            ("#/* */line 3", true),
            ("#\\\nline 3", true),
            ("??=line 3", true),
            ("# 3 \"x.cu\"", true),
            ("%:3 \"x.cu\"", true),
            ("#/**/3", true),
            ("// k.cu(3): warning", true),
            (
                "int line; // a line 3\n#define line 3\n#pragma unroll 3",
                false,
            ),
            ("k.cu", false),
        ] {
            assert_eq!(
                renames_lines(text.as_bytes(), &program("")),
                expected,
                "{text}"
            );
        }
    }
}
