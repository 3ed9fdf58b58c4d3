//! Checks, after a compile, that it read nothing but what the key holds. What fails the check is
//! right, and is not stored.

use super::digest_file;
use super::record::Source;
use super::workspace::Workspace;
use crate::includes::markers::Origin;
use crate::includes::prerequisites::prerequisites;
use crate::includes::times;
use crate::toolchain::Stat;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A fact that the key does not hold, as a sentence.
pub type Doubt = String;

/// The files that passes read, as the preprocessor spells them. A hit only collects them; links are
/// resolved when a miss asks.
#[derive(Default)]
pub struct Known {
    preprocessed: BTreeMap<PathBuf, Entered>,
    raw: BTreeSet<PathBuf>,
    precompilable: BTreeSet<PathBuf>,
    times: BTreeSet<Vec<u8>>,
}

/// How a pass came to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The file that included it first; none of a source.
    pub by: Option<PathBuf>,
    /// Whose it is.
    pub origin: Origin,
}

impl Known {
    /// Adds a file that a pass preprocessed.
    pub fn add(&mut self, path: PathBuf, entered: Entered) {
        self.preprocessed.entry(path).or_insert(entered);
    }

    /// The files that passes preprocessed, and how they came to them.
    pub fn entered(&self) -> impl Iterator<Item = (&PathBuf, &Entered)> {
        self.preprocessed.iter()
    }

    /// Adds a file that a stage reads as it is.
    pub fn add_raw(&mut self, path: PathBuf) {
        self.raw.insert(path);
    }

    /// Adds a header in whose place a compile would take a precompiled one.
    pub fn add_precompilable(&mut self, path: PathBuf) {
        self.precompilable.insert(path);
    }

    /// Adds whatever a pass has written or printed that may tell a time.
    pub fn add_times(&mut self, text: &[u8]) {
        self.times.extend(times::find(text));
    }

    /// What may tell a time in the passes.
    pub fn times(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.times.iter()
    }

    /// The files that passes preprocessed.
    pub fn preprocessed(&self) -> impl Iterator<Item = &PathBuf> {
        self.preprocessed.keys()
    }

    /// The files that stages read as they are.
    pub fn raw(&self) -> impl Iterator<Item = &PathBuf> {
        self.raw.iter()
    }

    /// The headers in whose place a compile would take precompiled ones.
    pub fn precompilable(&self) -> impl Iterator<Item = &PathBuf> {
        self.precompilable.iter()
    }

    /// The files by their real paths. A file that is gone is a doubt.
    pub fn resolve(&self) -> Result<RealFiles, Doubt> {
        let paths = self.preprocessed().chain(self.raw());
        RealFiles::of(paths.map(PathBuf::as_path))
    }
}

/// Files by their real paths.
pub struct RealFiles(BTreeSet<PathBuf>);

impl RealFiles {
    /// The files at `paths`. One that is gone is a doubt.
    pub fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Self, Doubt> {
        let real = |path: &Path| {
            fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        paths.map(real).collect::<Result<_, _>>().map(Self)
    }

    /// Every file with its present content. None when one cannot be read.
    pub fn sources(&self) -> Option<Vec<Source>> {
        let digests = self.0.iter().map(|path| {
            let sha256 = hex::encode(digest_file(path).ok()?);
            Some(Source {
                path: path.clone(),
                sha256,
            })
        });
        digests.collect()
    }

    /// Whether the file at `path` is one of them.
    pub fn holds(&self, path: &Path) -> bool {
        fs::canonicalize(path).is_ok_and(|real| self.0.contains(&real))
    }

    /// A doubt when one of the files changed after the passes began: passes and compile may have
    /// read different versions of it. `began` is of the clock that stamps files.
    pub fn check_settled(&self, began: SystemTime) -> Result<(), Doubt> {
        let late = self.0.iter().find(|path| {
            !fs::metadata(path).is_ok_and(|found| Stat::from(&found).is_older_than(began))
        });
        match late {
            Some(path) => Err(format!("{} changed during the compile", path.display())),
            None => Ok(()),
        }
    }
}

/// Whether every file that a result quotes is still what it was.
pub fn are_unchanged(sources: &[Source]) -> bool {
    sources.iter().all(|source| {
        digest_file(&source.path).is_ok_and(|digest| hex::encode(digest) == source.sha256)
    })
}

/// The host compiler's own dependency file of stage `number` names only known files.
pub fn check_headers(workspace: &Workspace, number: usize, known: &RealFiles) -> Result<(), Doubt> {
    let file = workspace.stream(number, "d");
    let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let stray = prerequisites(&text)
        .into_iter()
        .map(PathBuf::from)
        .find(|path| {
            let own = fs::canonicalize(path).is_ok_and(|real| workspace.holds(&real));
            !(own || workspace.holds(path) || known.holds(path))
        });
    match stray {
        Some(path) => Err(format!("the host compile read {}", path.display())),
        None => Ok(()),
    }
}

/// The assembler read the compiler's text and nothing else: no `.incbin`, no `.include`.
///
/// GNU as lists the name in the text's `.file` line (one of `sources`) and its input, which the
/// driver has removed by now; whatever else it lists was read.
pub fn check_assembly(
    workspace: &Workspace,
    number: usize,
    sources: &[&OsStr],
) -> Result<(), Doubt> {
    let file = workspace.stream(number, "asd");
    let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let stray = prerequisites(&text)
        .into_iter()
        .find(|name| !sources.contains(&name.as_os_str()) && !is_removed_assembly(name));
    match stray {
        Some(name) => Err(format!("the assembler read {}", name.display())),
        None => Ok(()),
    }
}

fn is_removed_assembly(name: &OsString) -> bool {
    name.as_bytes().ends_with(b".s") && !Path::new(name).exists()
}

/// The files that `ptx` names for its lines: ptxas looks at their sizes and times, whatever its options.
/// `None` if a name cannot be read.
pub fn line_files(ptx: &[u8]) -> Option<Vec<PathBuf>> {
    let word = b".file";
    let found = memchr::memmem::find_iter(ptx, word).map(|at| {
        let rest = ptx[at + word.len()..].trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let quoted = rest[digits..].trim_ascii_start().strip_prefix(b"\"")?;
        let name = &quoted[..quoted.iter().position(|byte| *byte == b'"')?];
        let is_plain = digits > 0 && !name.iter().any(|byte| matches!(byte, b'\\' | b'\n'));
        is_plain.then(|| PathBuf::from(OsStr::from_bytes(name)))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::line_files;

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
