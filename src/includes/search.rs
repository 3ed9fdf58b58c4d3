//! The directories in which a GCC-like preprocessor searches for headers, parsed from its `-v` output.
//!
//! ```text
//! ignoring nonexistent directory "/foo"
//! ignoring duplicate directory "/usr/include/c++/12"
//!   as it is a non-system directory that duplicates a system directory
//! #include "..." search starts here:
//! #include <...> search starts here:
//!  /usr/include/c++/12
//! End of search list.
//! ```
//! For a file in the place of a directory it prints a warning: `cc1plus: warning: /foo: not a directory`.
//! These five phrases are translated in other locales, so the preprocessor must run in the C locale. Reads no
//! file and runs nothing.

use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A search order. Directories are spelled as the preprocessor prepends them to names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SearchOrder {
    /// Searched for `"name"`, before [`SearchOrder::angle`] (`-iquote`).
    pub quote: Vec<PathBuf>,
    /// Searched for both forms, in this order.
    pub angle: Vec<PathBuf>,
    /// Directories on the command line that do not exist or are not directories.
    pub missing: Vec<PathBuf>,
    /// Directories on the command line that are the same as another.
    pub duplicates: Vec<PathBuf>,
}

impl SearchOrder {
    /// Parses what the preprocessor printed on standard error with `-v`. `None` if that holds no complete
    /// search order.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut order = Self::default();
        let mut list = None;
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line == b"End of search list." {
                return (list == Some(List::Angle)).then_some(order);
            } else if line.starts_with(b"#include \"...\" search starts here:") {
                list = Some(List::Quote);
            } else if line.starts_with(b"#include <...> search starts here:") {
                list = Some(List::Angle);
            } else if let Some(path) = ignored(line, b"ignoring nonexistent directory \"") {
                order.missing.push(path);
            } else if let Some(line) = line.strip_suffix(b": not a directory") {
                order.missing.push(blamed(line)?);
            } else if let Some(path) = ignored(line, b"ignoring duplicate directory \"") {
                order.duplicates.push(path);
            } else if let (Some(list), Some(path)) = (list, line.strip_prefix(b" ")) {
                // clang marks these kinds of directories, which exist only on macOS.
                if path.ends_with(b" (framework directory)") || path.ends_with(b" (headermap)") {
                    return None;
                }
                match list {
                    List::Quote => order.quote.push(to_path(path)),
                    List::Angle => order.angle.push(to_path(path)),
                }
            }
        }
        None
    }

    /// Every existing directory, those for quoted names first.
    pub fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.quote.iter().chain(&self.angle)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Quote,
    Angle,
}

fn ignored(line: &[u8], phrase: &[u8]) -> Option<PathBuf> {
    Some(to_path(line.strip_prefix(phrase)?.strip_suffix(b"\"")?))
}

/// The name in a warning: `cc1plus: warning: name`.
fn blamed(line: &[u8]) -> Option<PathBuf> {
    let phrase = b": warning: ";
    let at = memchr::memmem::find(line, phrase)?;
    Some(to_path(&line[at + phrase.len()..]))
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::SearchOrder;
    use std::path::PathBuf;

    const TEXT: &str = "Using built-in specs.
ignoring duplicate directory \"/usr/include/x86_64-linux-gnu/c++/12\"
ignoring nonexistent directory \"/foo\"
cc1plus: warning: a/file: not a directory
ignoring duplicate directory \"inc\"
  as it is a non-system directory that duplicates a system directory
#include \"...\" search starts here:
 quoted
#include <...> search starts here:
 .
 /opt/with space/include
 /usr/include
End of search list.
COMPILER_PATH=/usr/lib
";

    fn paths(found: &[&str]) -> Vec<PathBuf> {
        found.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn the_lists_are_read() {
        let order = SearchOrder::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(order.quote, paths(&["quoted"]));
        assert_eq!(
            order.angle,
            paths(&[".", "/opt/with space/include", "/usr/include"])
        );
        assert_eq!(order.missing, paths(&["/foo", "a/file"]));
        assert_eq!(
            order.duplicates,
            paths(&["/usr/include/x86_64-linux-gnu/c++/12", "inc"])
        );
    }

    #[test]
    fn an_unfinished_list_is_none() {
        for cut in [0, 30, 200, TEXT.len() - 45] {
            assert_eq!(SearchOrder::parse(&TEXT.as_bytes()[..cut]), None, "{cut}");
        }
    }
}
