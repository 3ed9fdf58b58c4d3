//! The headers that a preprocessor looked for, read from what it prints with `-dI`: line markers and `#include` lines,
//! in which macros are expanded. GCC is given `-fdirectives-only` too; clang puts a comment behind each name.

use super::markers::{marker, unescape};
use super::scan::{IncludeForm, ScannedName};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The names that each file includes. Files are spelled as the preprocessor spells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachedNames(BTreeMap<PathBuf, BTreeSet<ScannedName>>);

impl ReachedNames {
    /// Adds the names in `text`, which a preprocessor printed.
    pub fn read(&mut self, text: &[u8]) {
        let mut file = PathBuf::new();
        let lines = text.split(|&byte| byte == b'\n');
        for line in lines.filter(|line| line.starts_with(b"#")) {
            if let Some(marker) = marker(line) {
                file = OsString::from_vec(unescape(marker.escaped)).into();
            } else if let Some(name) = included(line) {
                self.0.entry(file.clone()).or_default().insert(name);
            }
        }
    }

    /// Leaves out the names of files below `directory`, which holds generated text.
    pub fn leave_out(&mut self, directory: &Path) {
        let is_below =
            |name: &ScannedName| Path::new(OsStr::from_bytes(&name.text)).starts_with(directory);
        for names in self.0.values_mut() {
            names.retain(|name| !is_below(name));
        }
    }

    /// The names that `file` includes.
    pub(super) fn of(&self, file: &Path) -> impl Iterator<Item = &ScannedName> {
        self.0.get(file).into_iter().flatten()
    }
}

/// The name in a line `#include "name"` or `#include <name>`.
fn included(line: &[u8]) -> Option<ScannedName> {
    let line = line.strip_prefix(b"#include ")?;
    let line = line.strip_suffix(b" /* clang -E -dI */").unwrap_or(line);
    let (form, text) = match line.trim_ascii() {
        [b'"', name @ .., b'"'] => (IncludeForm::Quote, name),
        [b'<', name @ .., b'>'] => (IncludeForm::Angle, name),
        _ => return None,
    };
    let text = text.to_vec();
    Some(ScannedName { form, text })
}

#[cfg(test)]
mod tests {
    use super::{Path, ReachedNames};

    #[test]
    fn names_belong_to_the_file_that_includes_them() {
        let mut names = ReachedNames::default();
        names.read(
            b"# 0 \"a.cu\"\n#include \"b.h\"\n# 1 \"b.h\" 1\n#include <c/d.h> \n#include_next <e.h>\n\
              #include NAME\nint x;\n# 2 \"a.cu\" 2\n#include <f.h> /* clang -E -dI */\n",
        );
        let of = |file: &str| -> Vec<_> {
            let names = names.of(Path::new(file));
            names
                .map(|name| String::from_utf8_lossy(&name.text))
                .collect()
        };
        assert_eq!(of("a.cu"), ["b.h", "f.h"]);
        assert_eq!(of("b.h"), ["c/d.h"]);
        assert!(of("c/d.h").is_empty());
    }
}
