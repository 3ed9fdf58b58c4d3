//! Finds the roots of an invocation: the base directory of its sources, its working directory, the toolkit and the host
//! compiler's prefix.

use crate::compile::request::environment::WorkingDirectory;
use crate::compile::request::facts::RequestFacts;
use crate::config::BaseDir;
use crate::key::{RootName, Roots};
use crate::toolchain::Toolchain;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What marks the top of a checkout, besides `.git`.
const CHECKOUTS: [&str; 3] = [".jj", ".hg", ".svn"];

/// What marks a directory of a project that is in no checkout, such as an unpacked archive.
const PROJECTS: [&str; 10] = [
    "CMakeLists.txt",
    "Cargo.toml",
    "Makefile",
    "configure",
    "meson.build",
    "package.json",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "xmake.lua",
];

/// Directories in which CMake and Meson keep each of their checks in a directory of its own, with a random name.
const CHECKS: [&str; 2] = ["CMakeFiles/CMakeScratch", "meson-private"];

/// The directory below `CMakeFiles` and CMake's release in which CMake identifies the compiler.
const IDENTIFICATION: &str = "CompilerIdCUDA";

/// Whether `directory` is that of CMake's own files, one of which it compiles to check the compiler. An environment of
/// pip has a CMake of its own, in a directory with a random name. A project's directory of the same name lacks the file:
/// it is below a base, which tells its modules from others.
fn is_of_cmake(directory: &Path) -> bool {
    let release = directory.parent().and_then(Path::file_name);
    directory.ends_with("Modules")
        && release.is_some_and(|name| name.as_bytes().starts_with(b"cmake-"))
        && directory.join("CMakeCUDACompilerABI.cu").is_file()
}

/// The roots for `sources`, which are real paths, compiled with the nvcc at `nvcc`.
pub(crate) fn find(
    setting: &BaseDir,
    sources: &[PathBuf],
    facts: &RequestFacts,
    nvcc: &Path,
    toolchain: &Toolchain,
) -> Roots {
    let mut roots = Roots::default();
    add_prefix(&mut roots, RootName::Toolkit, nvcc, toolchain.tool("nvcc"));
    add_prefix(
        &mut roots,
        RootName::Host,
        &toolchain.host_place,
        toolchain.tool("host"),
    );
    let base = match setting {
        BaseDir::None => None,
        BaseDir::At(path) => fs::canonicalize(path).ok(),
        BaseDir::Auto => sources.first().and_then(|source| top(source.parent()?)),
    };
    let WorkingDirectory { physical, spelled } = &facts.directory;
    let base = base.as_deref();
    if let Some(base) = base {
        let below = physical.strip_prefix(base).ok();
        let spelled = below.and_then(|below| without_end(spelled, below));
        roots.add(RootName::Base, base, spelled.as_deref());
    }
    // A map that replaces the base's path leaves what is below it in the output: there, the place of the working
    // directory below the base is part of the key.
    let mut options = facts
        .job
        .iter()
        .filter(|(name, _)| *name == "compiler-options");
    let maps_prefixes =
        options.any(|(_, values)| values.iter().any(|value| prefix_map(value).is_some()));
    let is_known =
        |path: &Path| maps_prefixes && roots.root_of(path.as_os_str().as_bytes()).is_some();
    match (is_known(physical), is_known(spelled)) {
        (false, _) => roots.add(RootName::Directory, physical, Some(spelled)),
        (true, false) => roots.add(RootName::Directory, spelled, None),
        (true, true) => {}
    }
    roots
}

/// What an option such as `-ffile-prefix-map=OLD=NEW` replaces. Searches without memchr, which costs a hit its first call.
pub(crate) fn prefix_map(word: &[u8]) -> Option<&[u8]> {
    let name = b"-prefix-map=";
    let at = word.windows(name.len()).position(|part| part == name)?;
    word[at + name.len()..].split(|byte| *byte == b'=').next()
}

/// Adds the directory in which the program at `place`, or the file `real` to which that leads, is installed: the one
/// above `bin`.
fn add_prefix(roots: &mut Roots, name: RootName, place: &Path, real: Option<&Path>) {
    let prefix = |path: &Path| {
        let bin = path.parent().filter(|parent| parent.ends_with("bin"))?;
        Some(bin.parent()?.to_owned())
    };
    match (real.and_then(prefix), prefix(place)) {
        (Some(real), spelled) => roots.add(name, &real, spelled.as_deref()),
        (None, Some(spelled)) => roots.add(name, &spelled, None),
        (None, None) => {}
    }
}

/// `path` without the components `end` at its end.
fn without_end(path: &Path, end: &Path) -> Option<PathBuf> {
    let keeps = path
        .components()
        .count()
        .checked_sub(end.components().count())?;
    path.ends_with(end)
        .then(|| path.components().take(keeps).collect())
}

/// The top of the checkout that `directory` is in, or else the topmost directory of a project. `directory` is a real
/// path. The directory of a check is a project of its own: its source is generated, and linked with no other's.
fn top(directory: &Path) -> Option<PathBuf> {
    let is_check = |path: &&Path| {
        let above = path.parent();
        above.is_some_and(|above| CHECKS.iter().any(|name| above.ends_with(name)))
            || path.ends_with(IDENTIFICATION)
            || is_of_cmake(path)
    };
    if let Some(check) = directory.ancestors().find(is_check) {
        return Some(check.to_owned());
    }
    let exists = |path: PathBuf| fs::symlink_metadata(path).is_ok();
    let is_checkout = |path: &&Path| {
        is_git_checkout(&path.join(".git")) || CHECKOUTS.iter().any(|name| exists(path.join(name)))
    };
    let is_project = |path: &&Path| PROJECTS.iter().any(|name| exists(path.join(name)));
    let mut above = directory.ancestors();
    let top = above
        .find(is_checkout)
        .or_else(|| directory.ancestors().filter(is_project).last());
    top.map(Path::to_owned)
}

/// Whether `.git` is that of a checkout: a directory, or a file in a worktree. The file in a submodule is not, because
/// the checkout around the submodule is the top.
fn is_git_checkout(git: &Path) -> bool {
    match fs::symlink_metadata(git) {
        Err(_) => false,
        Ok(metadata) if !metadata.is_file() => true,
        Ok(_) => fs::read_to_string(git).is_ok_and(|text| !text.contains("/modules/")),
    }
}

#[cfg(test)]
mod tests {
    use super::{top, without_end};
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_top_is_that_of_the_checkout_or_else_of_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let below = |name: &str| root.join(name);
        fs::create_dir_all(below("a/b/c/d")).unwrap();
        assert_eq!(top(&below("a/b/c/d")), None);
        fs::write(below("a/b/CMakeLists.txt"), "").unwrap();
        fs::write(below("a/b/c/CMakeLists.txt"), "").unwrap();
        assert_eq!(top(&below("a/b/c/d")), Some(below("a/b")));
        fs::write(below("a/b/c/.git"), "gitdir: ../../.git/modules/c\n").unwrap();
        assert_eq!(top(&below("a/b/c/d")), Some(below("a/b")));
        fs::create_dir(below("a/.git")).unwrap();
        assert_eq!(top(&below("a/b/c/d")), Some(below("a")));
        fs::write(below("a/b/c/.git"), "gitdir: /x/.git/worktrees/c\n").unwrap();
        assert_eq!(top(&below("a/b/c/d")), Some(below("a/b/c")));
        fs::create_dir(below("a/b/c/d/.hg")).unwrap();
        assert_eq!(top(&below("a/b/c/d")), Some(below("a/b/c/d")));
    }

    #[test]
    fn a_check_of_a_build_system_is_a_project_of_its_own() {
        let top = |path: &str| top(Path::new(path));
        for check in [
            "/nowhere/b/CMakeFiles/CMakeScratch/TryCompile-a",
            "/nowhere/b/meson-private/tmpa",
            "/nowhere/b/CMakeFiles/4.1.0/CompilerIdCUDA",
        ] {
            assert_eq!(top(check), Some(PathBuf::from(check)));
            assert_eq!(top(&format!("{check}/src")), Some(PathBuf::from(check)));
        }
        assert_eq!(top("/nowhere/b/meson-private"), None);
        assert_eq!(top("/nowhere/b/CMakeScratch/TryCompile-a"), None);
    }

    #[test]
    fn cmakes_own_files_are_a_project_and_directories_called_alike_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let modules = dir.path().join("cmake-4.1/Modules");
        fs::create_dir_all(&modules).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        assert_eq!(top(&modules), Some(dir.path().to_owned()));
        fs::write(modules.join("CMakeCUDACompilerABI.cu"), "").unwrap();
        assert_eq!(top(&modules), Some(modules));
    }

    #[test]
    fn a_link_to_the_base_is_another_spelling_of_it() {
        let base = |path: &str, end: &str| without_end(Path::new(path), Path::new(end));
        assert_eq!(base("/link/build", "build"), Some(PathBuf::from("/link")));
        assert_eq!(base("/link", ""), Some(PathBuf::from("/link")));
        assert_eq!(base("/link", "build"), None);
    }
}
