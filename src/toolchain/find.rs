//! Finds the real nvcc, never this program itself.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variable that counts how many processes of this program are among the ancestors of a process.
const DEPTH: &str = "_PCACHE_NVCC_DEPTH";
/// Depth above which a process takes itself for recursive: longer than any sensible chain of wrappers.
const DEEPEST: u32 = 3;

/// The name of the link to the real nvcc beside a link called `nvcc` that leads to this program: in a mirror of a toolkit,
/// whose nvcc is this one, whatever PATH has.
pub const REAL_NVCC: &str = "nvcc.real";

/// A command for the real nvcc. If `nvcc` turns out to start this program again, [`is_recursive`] notices it there.
pub fn nvcc_command(nvcc: &Path) -> Command {
    let (name, value) = recursion_guard();
    let mut command = Command::new(nvcc);
    command.env(name, value);
    command
}

/// The variable that [`nvcc_command`] sets.
pub fn recursion_guard() -> (OsString, OsString) {
    (DEPTH.into(), (depth() + 1).to_string().into())
}

/// Whether this program keeps starting itself through other programs.
pub fn is_recursive() -> bool {
    depth() > DEEPEST
}

fn depth() -> u32 {
    std::env::var(DEPTH)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The places in which nvcc is searched for, in this order.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// `PCACHE_NVCC` or `nvcc` in the configuration file: a program, or a directory with one in it.
    pub setting: Option<PathBuf>,
    /// The first argument of a launcher's command line.
    pub launcher: Option<PathBuf>,
    /// The name by which this program was started.
    pub called: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// `CUDA_HOME`, or `CUDA_PATH`.
    pub cuda_home: Option<OsString>,
    /// This program's own file, which is never the answer.
    pub own: Option<PathBuf>,
}

/// The error that no real nvcc was found.
#[derive(Debug, thiserror::Error)]
#[error(
    "no real nvcc found; looked at: {}; set PCACHE_NVCC to its path",
    if looked.is_empty() { "nothing".to_owned() } else { looked.join(", ") }
)]
pub struct NotFound {
    /// Each place that was searched, and why it has no nvcc.
    pub looked: Vec<String>,
}

/// The path of the real nvcc, with links not resolved. If the path is given explicitly (`PCACHE_NVCC`, a launcher's
/// argument) and no program is there, that is an error: no other place is tried.
///
/// A launcher's argument that is this program itself, a link called `nvcc`, is no answer and no error: the search goes
/// on as if the link had been called. A link with a [`REAL_NVCC`] beside it stands for that, wherever it is found.
pub fn find_nvcc(search: &Search) -> Result<PathBuf, NotFound> {
    let own = OwnProgram::at(search.own.as_deref());
    let mut looked = Vec::new();
    if let Some(setting) = &search.setting {
        return find_set(setting, search, &own);
    }
    if let Some(launcher) = &search.launcher {
        let looked_at =
            |why: &str| format!("the launcher's argument ({}): {why}", launcher.display());
        match resolve(launcher, search.path.as_deref(), &own) {
            Resolved::Program(path) => return Ok(path),
            Resolved::Own => looked.push(looked_at(ITSELF)),
            Resolved::Nothing => {
                looked.push(looked_at(&why_none(launcher)));
                return Err(NotFound { looked });
            }
        }
    }
    // By a bare name it was found along PATH, and so it is there too.
    if let Some(nvcc) = search.called.as_ref().and_then(|path| behind(path, &own)) {
        return Ok(nvcc);
    }
    for (origin, path) in places(search) {
        let why = match Resolved::at(path.clone(), &own) {
            Resolved::Program(path) => return Ok(path),
            Resolved::Own => format!("; {ITSELF}"),
            Resolved::Nothing => match fs::metadata(&path) {
                // Not worth a word: most directories of PATH have no nvcc.
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                _ => format!("; {}", why_none(&path)),
            },
        };
        looked.push(format!("{} ({origin}{why})", path.display()));
    }
    Err(NotFound { looked })
}

/// The nvcc that the setting names, or that is in the directory that it names.
fn find_set(setting: &Path, search: &Search, own: &OwnProgram) -> Result<PathBuf, NotFound> {
    let candidates = if is_path(setting) && setting.is_dir() {
        vec![setting.join("nvcc"), setting.join("bin/nvcc")]
    } else {
        vec![setting.to_owned()]
    };
    let mut looked = Vec::new();
    for path in candidates {
        let why = match resolve(&path, search.path.as_deref(), own) {
            Resolved::Program(path) => return Ok(path),
            Resolved::Own => ITSELF,
            Resolved::Nothing => &why_none(&path),
        };
        looked.push(format!("PCACHE_NVCC ({}): {why}", path.display()));
    }
    Err(NotFound { looked })
}

/// Why a place that leads to this program is no answer.
const ITSELF: &str = "pcache-nvcc itself";

/// This program's own file.
struct OwnProgram(Option<Metadata>);

impl OwnProgram {
    fn at(path: Option<&Path>) -> Self {
        Self(path.and_then(|path| fs::metadata(path).ok()))
    }

    /// Whether a file with this metadata is this program.
    fn is(&self, other: &Metadata) -> bool {
        let is_same = |own: &Metadata| own.dev() == other.dev() && own.ino() == other.ino();
        self.0.as_ref().is_some_and(is_same)
    }
}

/// Why there is no program at `path`.
fn why_none(path: &Path) -> String {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => "no such program".to_owned(),
        Err(error) => format!("cannot examine it: {error}"),
        Ok(metadata) if metadata.is_file() => "it is not executable; set its mode".to_owned(),
        Ok(_) => "it is not a regular file".to_owned(),
    }
}

/// Whether `path` is an executable file.
pub fn is_program(path: &Path) -> bool {
    program(path).is_some()
}

/// The metadata of the program at `path`; `None` if no executable file is there.
pub(super) fn program(path: &Path) -> Option<Metadata> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(metadata)
}

/// What is at the place of an nvcc.
enum Resolved {
    /// A program at this path.
    Program(PathBuf),
    /// This program itself, and no nvcc behind it.
    Own,
    /// No program.
    Nothing,
}

impl Resolved {
    fn at(path: PathBuf, own: &OwnProgram) -> Self {
        match program(&path) {
            Some(metadata) if own.is(&metadata) => {
                behind(&path, own).map_or(Self::Own, Self::Program)
            }
            Some(_) => Self::Program(path),
            None => Self::Nothing,
        }
    }
}

/// The real nvcc that stands beside `link`, a link to this program.
fn behind(link: &Path, own: &OwnProgram) -> Option<PathBuf> {
    if !is_path(link) {
        return None;
    }
    // The link is followed here, since nvcc looks for its toolkit beside the name by which it is started.
    let nvcc = fs::read_link(link.with_file_name(REAL_NVCC)).ok()?;
    let metadata = program(&nvcc).filter(|_| nvcc.is_absolute())?;
    (!own.is(&metadata)).then_some(nvcc)
}

/// The program at a path; for a bare name, the first in PATH that is not this program itself.
fn resolve(path: &Path, search: Option<&OsStr>, own: &OwnProgram) -> Resolved {
    if is_path(path) {
        return Resolved::at(path.to_owned(), own);
    }
    let mut resolved = Resolved::Nothing;
    for directory in std::env::split_paths(search.unwrap_or_default()) {
        match Resolved::at(directory.join(path), own) {
            Resolved::Program(path) => return Resolved::Program(path),
            Resolved::Own => resolved = Resolved::Own,
            Resolved::Nothing => {}
        }
    }
    resolved
}

/// Whether it is a path, and not a bare name to be looked up in PATH.
fn is_path(path: &Path) -> bool {
    path.components().count() > 1 || path.is_absolute()
}

fn places(search: &Search) -> impl Iterator<Item = (&'static str, PathBuf)> {
    let on_path = std::env::split_paths(search.path.as_deref().unwrap_or_default())
        .map(|directory| ("PATH", directory.join("nvcc")));
    let home = search
        .cuda_home
        .iter()
        .map(|home| ("CUDA_HOME", Path::new(home).join("bin/nvcc")));
    let default = (
        "the default place",
        PathBuf::from("/usr/local/cuda/bin/nvcc"),
    );
    on_path.chain(home).chain([default])
}

#[cfg(test)]
mod tests {
    use super::{REAL_NVCC, Search, find_nvcc};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    fn program(path: PathBuf) -> PathBuf {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, "#!/bin/sh\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    fn path_of(directories: &[&Path]) -> Option<std::ffi::OsString> {
        Some(std::env::join_paths(directories).expect("a PATH"))
    }

    #[test]
    fn a_link_to_ourselves_on_path_is_passed_over() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let own = program(dir.path().join("own/pcache-nvcc"));
        symlink(&own, dir.path().join("own/nvcc")).expect("a link");
        let real = program(dir.path().join("cuda/bin/nvcc"));
        let (first, second) = (dir.path().join("own"), dir.path().join("cuda/bin"));
        let search = Search {
            path: path_of(&[&first, &second]),
            own: Some(own),
            ..Search::default()
        };
        assert_eq!(find_nvcc(&search).expect("found"), real);
    }

    #[test]
    fn launchers_argument_that_is_ourselves_leads_to_the_nvcc_behind_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let own = program(dir.path().join("own/pcache-nvcc"));
        let link = dir.path().join("own/nvcc");
        symlink(&own, &link).expect("a link");
        let links = dir.path().join("own");
        let mut search = Search {
            path: path_of(&[&links]),
            own: Some(own.clone()),
            ..Search::default()
        };
        for launcher in [&link, &own, Path::new("nvcc")] {
            search.launcher = Some(launcher.to_owned());
            if !Path::new("/usr/local/cuda/bin/nvcc").exists() {
                let text = find_nvcc(&search).expect_err("only us").to_string();
                let argument = format!(
                    "the launcher's argument ({}): pcache-nvcc itself",
                    launcher.display()
                );
                assert!(text.contains(&argument), "{text}");
                assert!(text.contains("/usr/local/cuda/bin/nvcc"), "{text}");
            }
            let real = program(dir.path().join("cuda/bin/nvcc"));
            search.cuda_home = Some(dir.path().join("cuda").into());
            assert_eq!(find_nvcc(&search).expect("by CUDA_HOME"), real);
            let real = program(dir.path().join("later/nvcc"));
            search.path = path_of(&[&links, &dir.path().join("later")]);
            assert_eq!(find_nvcc(&search).expect("along PATH"), real);
            // What the setting names is never passed over.
            search.setting = Some(link.clone());
            let text = find_nvcc(&search).expect_err("a mistake").to_string();
            assert!(text.contains("pcache-nvcc itself"), "{text}");
            search.setting = None;
            search.cuda_home = None;
            search.path = path_of(&[&links]);
        }
        search.launcher = Some(dir.path().join("absent/nvcc"));
        let text = find_nvcc(&search).expect_err("nothing there").to_string();
        assert!(!text.contains("PATH)"), "{text}");
    }

    #[test]
    fn link_in_a_mirror_stands_for_the_nvcc_of_that_toolkit() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let own = program(dir.path().join("own/pcache-nvcc"));
        let (mirror, other) = (dir.path().join("mirror"), dir.path().join("other"));
        let real = program(dir.path().join("cuda/bin/nvcc"));
        let bin = mirror.join("bin");
        fs::create_dir_all(&bin).expect("a directory");
        let link = bin.join("nvcc");
        symlink(&own, &link).expect("a link");
        program(other.join("nvcc"));
        let search = |change: &dyn Fn(&mut Search)| {
            let mut search = Search {
                path: path_of(&[&other]),
                own: Some(own.clone()),
                ..Search::default()
            };
            change(&mut search);
            find_nvcc(&search).expect("found")
        };
        let called = |search: &mut Search| search.called = Some(link.clone());
        assert_eq!(search(&called), other.join("nvcc"));
        symlink(&real, bin.join(REAL_NVCC)).expect("a link");
        assert_eq!(search(&called), real);
        assert_eq!(
            search(&|search| search.called = Some("nvcc".into())),
            other.join("nvcc")
        );
        assert_eq!(
            search(&|search| search.path = path_of(&[&bin, &other])),
            real
        );
        assert_eq!(search(&|search| search.launcher = Some(link.clone())), real);
        assert_eq!(
            search(&|search| search.setting = Some(mirror.clone())),
            real
        );
        // One that leads back to us is none.
        fs::remove_file(bin.join(REAL_NVCC)).expect("removed");
        symlink(&own, bin.join(REAL_NVCC)).expect("a link");
        assert_eq!(search(&called), other.join("nvcc"));
    }

    #[test]
    fn directory_in_the_setting_is_searched() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let own = program(dir.path().join("own/pcache-nvcc"));
        let toolkit = dir.path().join("toolkit");
        fs::create_dir(&toolkit).expect("a directory");
        let search = Search {
            setting: Some(toolkit.clone()),
            own: Some(own.clone()),
            ..Search::default()
        };
        let (beside, below) = (toolkit.join("nvcc"), toolkit.join("bin/nvcc"));
        let missed = || find_nvcc(&search).expect_err("no nvcc").to_string();
        for place in [&beside, &below] {
            let said = format!("PCACHE_NVCC ({}): no such program", place.display());
            assert!(missed().contains(&said), "{}", missed());
        }
        symlink(&own, &beside).expect("a link");
        let said = format!("PCACHE_NVCC ({}): pcache-nvcc itself", beside.display());
        assert!(missed().contains(&said), "{}", missed());
        program(below.clone());
        assert_eq!(find_nvcc(&search).expect("below bin"), below);
        fs::remove_file(&beside).expect("removed");
        program(beside.clone());
        assert_eq!(find_nvcc(&search).expect("in it"), beside);
    }

    #[test]
    fn cuda_home_is_used_when_path_has_none_and_everything_looked_at_is_named() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let home = dir.path().join("cuda");
        let mut search = Search {
            path: path_of(&[dir.path()]),
            cuda_home: Some(home.clone().into()),
            ..Search::default()
        };
        if !Path::new("/usr/local/cuda/bin/nvcc").exists() {
            let text = find_nvcc(&search).expect_err("nothing there").to_string();
            assert!(
                text.contains("(PATH)") && text.contains("(CUDA_HOME)"),
                "{text}"
            );
            assert!(text.contains("/usr/local/cuda/bin/nvcc"), "{text}");
        }
        let real = program(home.join("bin/nvcc"));
        assert_eq!(find_nvcc(&search).expect("found"), real);
        search.setting = Some(dir.path().join("absent"));
        let text = find_nvcc(&search)
            .expect_err("an explicit place counts")
            .to_string();
        assert!(text.contains("PCACHE_NVCC"), "{text}");
    }
}
