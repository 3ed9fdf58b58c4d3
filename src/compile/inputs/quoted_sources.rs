//! Which source files a diagnostic mentions. Diagnostics give line numbers and quote lines; as long as the mentioned
//! files have the same bytes, a stored diagnostic stays correct when lines of other files move.
//!
//! Errs on the side of too many files. docs/design/semantic.md says why the other files do not matter.

use crate::compile::inputs::known_files::{QuotedSources, ReadFiles};
use std::path::{Path, PathBuf};

/// The files that the texts in `printed` may name, as they are now. `None` if one of the texts names no
/// file, as it is then unknown which files it mentions.
pub(crate) fn named(read_files: &ReadFiles, printed: &[&[u8]]) -> Option<QuotedSources> {
    let texts = printed.iter().filter(|text| !text.is_empty());
    let texts: Vec<_> = texts.map(|text| without_blanks(text)).collect();
    let mut names_a_file = vec![false; texts.len()];
    let mut files: Vec<&PathBuf> = Vec::new();
    for path in read_files.preprocessed() {
        let mut is_named = false;
        for (text, names_a_file) in texts.iter().zip(&mut names_a_file) {
            let names_this = may_name(text, path)?;
            is_named |= names_this;
            *names_a_file |= names_this;
        }
        files.extend(is_named.then_some(path));
    }
    if names_a_file.iter().all(|names| *names) {
        QuotedSources::of(files.into_iter())
    } else {
        None
    }
}

/// All files that the passes and stages read, as they are now. `None` if one cannot be read.
pub(crate) fn all(read_files: &ReadFiles) -> Option<QuotedSources> {
    QuotedSources::of(read_files.preprocessed().chain(read_files.raw()))
}

/// Whether the base name of `path` occurs anywhere in `text`, from which blanks have been removed, since messages may
/// be wrapped. `None` for a name that may be printed in an escaped form.
fn may_name(text: &[u8], path: &Path) -> Option<bool> {
    let name = path.file_name()?.as_encoded_bytes();
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\');
    if !name.iter().all(is_plain) {
        return None;
    }
    Some(memchr::memmem::find(text, &without_blanks(name)).is_some())
}

fn without_blanks(text: &[u8]) -> Vec<u8> {
    let bytes = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    bytes.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{may_name, without_blanks};
    use std::path::Path;

    #[test]
    fn base_names_are_found_wherever_they_stand() {
        let text =
            without_blanks(b"In file included from x/a.h:3,\n  at line 7 of \"long na\n me.cuh\"");
        for (path, found) in [
            ("a.h", true),
            ("/elsewhere/a.h", true),
            ("x/long name.cuh", true),
            ("b.h", false),
            ("x", true),
        ] {
            assert_eq!(may_name(&text, Path::new(path)), Some(found), "{path}");
        }
        for path in ["a\"b.h", "a\\b.h", "\u{e9}.h", "..", "a\nb.h"] {
            assert_eq!(may_name(&text, Path::new(path)), None, "{path}");
        }
    }
}
