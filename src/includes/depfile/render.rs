//! Writes nvcc's own dependency file, as `-MD` and `-MMD` produce it.
//!
//! nvcc does not pass these flags to the host compiler. It reads the line markers of each pass itself,
//! by the rules below. They were found by experiment; `tests/unit/plan/depfile.rs` compares with the real nvcc.
//!
//! ```text
//! a.o : a.cu \
//!     inc/a\ b.h \
//!     inc/q.h
//!
//! inc/a\ b.h:            with -MP, for all but the first
//!
//! inc/q.h:
//! ```
//!
//! - A file is listed for each line that is, after blanks, `# 1 "name"`. The flag for entering a file does not
//!   matter: `#line 1` lists a file, and an entry at another line does not.
//! - The name ends at the first quote, escaped or not, and `\\` in it becomes a slash.
//! - Names that begin with `<` or end in a slash are left out. An empty name is not.
//! - `-MMD` ignores a marker that has a flag 3, so a header that is also seen without it is listed.
//! - Only blanks are escaped, not `$`, `#` or `:`. The target is not escaped at all.

use crate::includes::markers::Origin;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use thiserror::Error;

/// A file that a target depends on, as it is written except that blanks are not escaped yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dependency(pub OsString);

/// Which headers are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedHeaders {
    /// All (`-MD`).
    All,
    /// All but those from system directories (`-MMD`).
    User,
}

/// Whether each header becomes a target too, so that make does not fail when it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phony {
    /// Yes (`-MP`).
    Targets,
    /// No.
    None,
}

/// A line for which nvcc would fail with "Corrupt control line".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("nvcc would refuse the line marker {line}")]
pub struct CorruptMarker {
    /// The line; lossy.
    pub line: String,
}

/// The dependencies that nvcc finds in preprocessed passes. The passes must come in the order of
/// [`Unit::passes`](crate::plan::Unit::passes) of a plan made with `-MD` or `-MMD`.
pub fn dependencies<'t>(
    passes: impl IntoIterator<Item = &'t [u8]>,
    source: &OsStr,
    headers: ListedHeaders,
) -> Result<Vec<Dependency>, CorruptMarker> {
    let mut seen = HashSet::new();
    let mut dependencies = vec![Dependency(source.to_owned())];
    seen.insert(source.as_bytes().to_vec());
    for pass in passes {
        for line in pass.split(|&byte| byte == b'\n') {
            let Some((name, origin)) = control_line(line)? else {
                continue;
            };
            let skipped = headers == ListedHeaders::User && origin == Origin::System;
            if !skipped && seen.insert(name.clone()) {
                dependencies.push(Dependency(OsString::from_vec(name)));
            }
        }
    }
    Ok(dependencies)
}

/// The file's contents. The first of `dependencies` is the source, which never becomes a target.
pub fn render(targets: &[OsString], dependencies: &[Dependency], phony: Phony) -> Vec<u8> {
    let mut text = targets.join(OsStr::new(" ")).into_vec();
    text.extend_from_slice(b" :");
    for (index, dependency) in dependencies.iter().enumerate() {
        text.extend_from_slice(if index == 0 { b" " } else { b" \\\n    " });
        escape(dependency, &mut text);
    }
    text.push(b'\n');
    if phony == Phony::Targets {
        for dependency in dependencies.iter().skip(1) {
            text.push(b'\n');
            escape(dependency, &mut text);
            text.extend_from_slice(b":\n");
        }
    }
    text
}

/// The options that determine a depfile's target, as they are on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct TargetOptions<'a> {
    /// `-MT`; nvcc takes the last.
    pub named: Option<&'a OsStr>,
    /// `-o`.
    pub output: Option<&'a OsStr>,
    /// `-odir`.
    pub directory: Option<&'a OsStr>,
}

/// The target: the name from `-MT`, else from `-o`, else the source's with `.o`, whatever the compile
/// creates. `-odir` and a slash are put before any of them, even before an absolute name.
pub fn target(source: &OsStr, options: TargetOptions<'_>) -> OsString {
    let mut path = OsString::new();
    if let Some(directory) = options.directory {
        path.push(directory);
        path.push("/");
    }
    match options.named.or(options.output) {
        Some(name) => path.push(name),
        None => {
            path.push(Path::new(source).file_stem().unwrap_or(source));
            path.push(".o");
        }
    }
    path
}

/// The file name in a line that nvcc takes for the start of a file; `None` for other lines.
fn control_line(line: &[u8]) -> Result<Option<(Vec<u8>, Origin)>, CorruptMarker> {
    let Some(rest) = line.trim_ascii_start().strip_prefix(b"# 1 \"") else {
        return Ok(None);
    };
    let end = rest
        .iter()
        .position(|&byte| byte == b'"')
        .ok_or_else(|| CorruptMarker {
            line: String::from_utf8_lossy(line).into_owned(),
        })?;
    let (name, flags) = (&rest[..end], &rest[end + 1..]);
    if name.starts_with(b"<") || name.ends_with(b"/") {
        return Ok(None);
    }
    let mut flags = flags.split(u8::is_ascii_whitespace);
    let origin = if flags.any(|flag| flag == b"3") {
        Origin::System
    } else {
        Origin::User
    };
    Ok(Some((slashes(name), origin)))
}

/// Escaped backslashes become slashes; a lone one stays.
fn slashes(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let pair = rest.strip_prefix(br"\\");
        plain.push(if pair.is_some() { b'/' } else { byte });
        rest = pair.unwrap_or(after);
    }
    plain
}

fn escape(dependency: &Dependency, text: &mut Vec<u8>) {
    for &byte in dependency.0.as_bytes() {
        if byte == b' ' {
            text.push(b'\\');
        }
        text.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::{Dependency, ListedHeaders, Phony, TargetOptions, dependencies, render, target};
    use std::ffi::{OsStr, OsString};

    #[track_caller]
    fn finds(text: &str, headers: ListedHeaders, expected: &[&str]) {
        let found = dependencies([text.as_bytes()], OsStr::new("a.cu"), headers);
        let found: Vec<_> = found
            .expect("the text is sound")
            .into_iter()
            .map(|d| d.0)
            .collect();
        assert_eq!(found[0], "a.cu");
        assert_eq!(
            found[1..],
            expected.iter().map(OsString::from).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_marker_counts_by_its_line_number_and_not_by_its_flag() {
        for line in [
            "# 1 \"x\"",
            "# 1 \"x\" 1",
            "# 1 \"x\" 2",
            "\t # 1 \"x\"junk",
            "# 1 \"x\" 33",
        ] {
            finds(line, ListedHeaders::User, &["x"]);
        }
        for line in [
            "# 2 \"x\" 1",
            "# 01 \"x\"",
            "#  1 \"x\"",
            "# 1  \"x\"",
            "z # 1 \"x\"",
            "## 1 \"x\"",
        ] {
            finds(line, ListedHeaders::All, &[]);
        }
        for line in ["# 1 \"<x\" 1", "# 1 \"x/\"", "# 1 \"/\"", "# 1 \"a.cu\""] {
            finds(line, ListedHeaders::All, &[]);
        }
        finds("# 1 \"\"", ListedHeaders::All, &[""]);
    }

    #[test]
    fn a_system_header_is_one_by_a_flag_of_its_own() {
        for line in [
            "# 1 \"x\" 1 3 4",
            "# 1 \"x\"3",
            "# 1 \"x\"\t3",
            "# 1 \"x\" 1 3x 3\r",
        ] {
            finds(line, ListedHeaders::User, &[]);
            finds(line, ListedHeaders::All, &["x"]);
        }
        finds(
            "# 1 \"x\" 1 3\n# 1 \"y\" 1\n# 1 \"x\" 1",
            ListedHeaders::User,
            &["y", "x"],
        );
    }

    #[test]
    fn names_end_at_the_first_quote_and_lose_their_backslashes() {
        finds(r#"# 1 "b\\s" 1"#, ListedHeaders::All, &["b/s"]);
        finds(r#"# 1 "d\"q" 1"#, ListedHeaders::All, &["d\\"]);
        finds(r#"# 1 "a\\\b" 1"#, ListedHeaders::All, &["a/\\b"]);
        let corrupt = dependencies([b"# 1 \"x".as_slice()], OsStr::new("a"), ListedHeaders::All);
        assert_eq!(corrupt.expect_err("the name does not end").line, "# 1 \"x");
    }

    #[test]
    fn a_depfile_looks_like_nvccs() {
        let list = ["a.cu", "i/a b.h", "i/é$#:\t.h"].map(|path| Dependency(path.into()));
        let plain = "o p.o : a.cu \\\n    i/a\\ b.h \\\n    i/é$#:\t.h\n";
        let text = render(&["o p.o".into()], &list, Phony::None);
        assert_eq!(String::from_utf8_lossy(&text), plain);
        let text = render(&["o p.o".into()], &list, Phony::Targets);
        let phony = format!("{plain}\ni/a\\ b.h:\n\ni/é$#:\t.h:\n");
        assert_eq!(String::from_utf8_lossy(&text), phony);
        assert_eq!(
            render(&["x".into()], &list[..1], Phony::Targets),
            b"x : a.cu\n"
        );
    }

    #[track_caller]
    fn targets(named: Option<&str>, output: Option<&str>, directory: Option<&str>, expected: &str) {
        let options = TargetOptions {
            named: named.map(OsStr::new),
            output: output.map(OsStr::new),
            directory: directory.map(OsStr::new),
        };
        assert_eq!(target(OsStr::new("d/a.b.cu"), options), expected);
    }

    #[test]
    fn the_target_is_an_object_unless_named() {
        targets(None, None, None, "a.b.o");
        targets(None, None, Some("o"), "o/a.b.o");
        targets(None, Some("./x.ptx"), None, "./x.ptx");
        targets(Some("t"), Some("x.o"), None, "t");
        targets(Some("/t"), None, Some("o/"), "o///t");
        targets(None, Some("x.o"), Some("o"), "o/x.o");
    }
}
