//! Reads the depfiles of the host compiler and the assembler, and the files that PTX makes ptxas look at.

use crate::compile::inputs::known_files::RealFiles;
use crate::compile::run::workspace::Workspace;
use crate::includes::depfile::prerequisites;
use crate::includes::lookups::NotStored;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Checks that the host compiler's depfile of stage `number` names only `files` and files of the workspace.
pub(crate) fn check_headers(
    workspace: &Workspace,
    number: usize,
    files: &RealFiles,
) -> Result<(), NotStored> {
    let file = workspace.side_file(number, "d");
    let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let stray = prerequisites(&text)
        .into_iter()
        .map(PathBuf::from)
        .find(|path| {
            let is_ours = fs::canonicalize(path).is_ok_and(|real| workspace.holds(&real));
            !(is_ours || workspace.holds(path) || files.holds(path))
        });
    match stray {
        Some(path) => Err(format!("the host compile read {}", path.display())),
        None => Ok(()),
    }
}

/// The files that the assembler read besides its input, by `.incbin` or `.include`, as it spells them.
///
/// GNU as lists the name in the text's `.file` line (one of `sources`) and its input, which the
/// driver has removed by now. Any other file that it lists was read.
pub(crate) fn files_of_assembler(
    workspace: &Workspace,
    number: usize,
    sources: &[&OsStr],
) -> Result<BTreeSet<PathBuf>, NotStored> {
    let file = workspace.side_file(number, "asd");
    let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let stray = prerequisites(&text)
        .into_iter()
        .filter(|name| !sources.contains(&name.as_os_str()) && !is_removed_assembly(name));
    let files: BTreeSet<_> = stray.map(PathBuf::from).collect();
    match files.first() {
        Some(first) if !has_plain_names(&text) => {
            let first = first.display();
            Err(format!(
                "the assembler read {first}, and names files in no plain way"
            ))
        }
        _ => Ok(files),
    }
}

/// Whether no name in an assembler's depfile can be read in two ways. GNU as escapes blanks and dollar signs, and no
/// backslashes or newlines.
fn has_plain_names(text: &[u8]) -> bool {
    let Some(line) = text.strip_suffix(b"\n") else {
        return false;
    };
    // The only backslashes are then those by which GNU as folds its line.
    let mut pieces = line.split(|&byte| byte == b'\n');
    let last = pieces.next_back().unwrap_or_default();
    let folded = pieces.map(|piece| piece.strip_suffix(b" \\"));
    let mut pieces = folded.chain([Some(last)]);
    pieces.all(|piece| piece.is_some_and(|piece| !piece.iter().any(|byte| b"\\$#".contains(byte))))
}

fn is_removed_assembly(name: &OsString) -> bool {
    name.as_bytes().ends_with(b".s") && !Path::new(name).exists()
}

/// The files that `ptx` names for its lines. ptxas looks at their sizes and times, whatever its options.
/// `None` if a name cannot be read.
pub(crate) fn line_files(ptx: &[u8]) -> Option<Vec<PathBuf>> {
    let word = b".file";
    let paths = memchr::memmem::find_iter(ptx, word).map(|at| {
        let rest = ptx[at + word.len()..].trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let quoted = rest[digits..].trim_ascii_start().strip_prefix(b"\"")?;
        let name = &quoted[..quoted.iter().position(|byte| *byte == b'"')?];
        let is_plain = digits > 0 && !name.iter().any(|byte| matches!(byte, b'\\' | b'\n'));
        is_plain.then(|| PathBuf::from(OsStr::from_bytes(name)))
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::{has_plain_names, line_files};

    #[test]
    fn names_with_escapes_are_not_plain() {
        for text in ["a.o: a.s blob\n", "a.o: a.s \\\n x/blob-1.bin\n"] {
            assert!(has_plain_names(text.as_bytes()), "{text}");
        }
        for text in [
            "a.o: a.s",
            "a.o: a.s a\\ b\n",
            "a.o: a.s a$$b\n",
            "a.o: a.s a\\#b\n",
            "a.o: a.s a\nb\n",
            "a.o: a.s a\\\nb\n",
            "a.o: a.s a\\ \\\n\\ b\n",
        ] {
            assert!(!has_plain_names(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn files_of_lines_are_named_or_a_doubt() {
        let names = |ptx: &str| line_files(ptx.as_bytes()).map(|found| found.len());
        assert_eq!(names("ret;\n\n\t.file\t1 \"/a/b.cu\"\n"), Some(1));
        assert_eq!(names(".file 1 \"a\", 12, 34\n.file 2\n \"b\""), Some(2));
        assert_eq!(names(".version 9.0\n.target sm_75"), Some(0));
        assert_eq!(names("// .file"), None);
        assert_eq!(names(".file 1 \"a\\x62\""), None);
    }
}
