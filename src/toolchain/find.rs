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
    /// `PCACHE_NVCC` or `nvcc` in the configuration file.
    pub setting: Option<PathBuf>,
    /// The first argument of a launcher's command line.
    pub launcher: Option<PathBuf>,
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
pub fn find_nvcc(search: &Search) -> Result<PathBuf, NotFound> {
    let own = search
        .own
        .as_deref()
        .and_then(|path| fs::metadata(path).ok());
    let is_same = |metadata: Option<&Metadata>| match (&own, metadata) {
        (Some(own), Some(other)) => own.dev() == other.dev() && own.ino() == other.ino(),
        _ => false,
    };
    let explicit = [
        ("PCACHE_NVCC", &search.setting),
        ("the launcher's argument", &search.launcher),
    ];
    for (origin, path) in explicit {
        let Some(path) = path else { continue };
        let place = format!("{origin} ({})", path.display());
        let trouble = match resolve(path, search.path.as_deref(), &is_same) {
            Some((_, metadata)) if is_same(Some(&metadata)) => "pcache-nvcc itself",
            Some((path, _)) => return Ok(path),
            None => &why_none(path),
        };
        return Err(NotFound {
            looked: vec![format!("{place}: {trouble}")],
        });
    }
    let mut looked = Vec::new();
    for (origin, path) in places(search) {
        let program = program(&path);
        if program.is_none() {
            let why = match fs::metadata(&path) {
                // Not worth a word: most directories of PATH have no nvcc.
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                _ => format!("; {}", why_none(&path)),
            };
            looked.push(format!("{} ({origin}{why})", path.display()));
        } else if is_same(program.as_ref()) {
            looked.push(format!("{} ({origin}; pcache-nvcc itself)", path.display()));
        } else {
            return Ok(path);
        }
    }
    Err(NotFound { looked })
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

/// The program at a path; for a bare name, the first in PATH that is not this program itself.
fn resolve(
    path: &Path,
    search: Option<&OsStr>,
    is_own: &dyn Fn(Option<&Metadata>) -> bool,
) -> Option<(PathBuf, Metadata)> {
    if path.components().count() > 1 || path.is_absolute() {
        return Some((path.to_owned(), program(path)?));
    }
    std::env::split_paths(search.unwrap_or_default())
        .map(|directory| directory.join(path))
        .find_map(|candidate| {
            let metadata = program(&candidate)?;
            (!is_own(Some(&metadata))).then_some((candidate, metadata))
        })
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
    use super::{Search, find_nvcc};
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
