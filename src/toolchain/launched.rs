//! Tells the nvcc that a launcher is put in front of from other compilers, by their names: builds put one launcher in
//! front of all compilers, and scripts such as Kokkos' `nvcc_wrapper` take the options of a host compiler.

use super::find::{NotFound, Search, find_nvcc};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The program that a command line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchedProgram {
    /// The real nvcc.
    Nvcc(PathBuf),
    /// Another compiler, whose options have other meanings.
    Other(PathBuf),
}

/// The launcher's argument if it is no nvcc, or else the real nvcc.
pub fn find_launched(search: &Search) -> Result<LaunchedProgram, NotFound> {
    match &search.launcher {
        Some(launcher) if !is_nvcc(launcher, search.setting.as_deref()) => {
            Ok(LaunchedProgram::Other(launcher.clone()))
        }
        _ => find_nvcc(search).map(LaunchedProgram::Nvcc),
    }
}

/// Whether the program at `path` is called nvcc, there or where it leads, or the setting says that it is one.
fn is_nvcc(path: &Path, setting: Option<&Path>) -> bool {
    let is_called_so = |path: &Path| path.file_name().is_some_and(is_name_of_nvcc);
    if is_called_so(path) {
        return true;
    }
    fs::canonicalize(path).is_ok_and(|real| {
        let is_set = |setting: &Path| fs::canonicalize(setting).is_ok_and(|set| set == real);
        is_called_so(&real) || setting.is_some_and(is_set)
    })
}

/// Whether one of the words of a name is `nvcc`, perhaps with a release, and none is a wrapper: `nvcc`, `nvcc-12.4`,
/// `aarch64-linux-gnu-nvcc`, `pcache-nvcc`.
fn is_name_of_nvcc(name: &OsStr) -> bool {
    let mut words = name
        .as_bytes()
        .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let is_nvcc = |word: &[u8]| {
        word.strip_prefix(b"nvcc")
            .is_some_and(|release| release.iter().all(u8::is_ascii_digit))
    };
    let is_wrapper = words.clone().any(|word| word.starts_with(b"wrapper"));
    !is_wrapper && words.any(is_nvcc)
}

#[cfg(test)]
mod tests {
    use super::{LaunchedProgram, find_launched, is_name_of_nvcc};
    use crate::toolchain::Search;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    #[test]
    fn names_of_nvcc_are_told_from_those_of_other_compilers() {
        for name in [
            "nvcc",
            "nvcc.exe",
            "nvcc-12.4",
            "nvcc12",
            "nvcc.real",
            "aarch64-nvcc",
            "pcache-nvcc",
        ] {
            assert!(is_name_of_nvcc(name.as_ref()), "{name}");
        }
        for name in [
            "nvcc_wrapper",
            "nvcc-wrapper",
            "g++",
            "c++",
            "clang-18",
            "mpicxx",
            "nvc++",
            "kokkos_nvcc",
            "ccache",
            "",
        ] {
            assert!(!is_name_of_nvcc(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn compiler_by_another_name_is_nvcc_if_a_link_or_the_setting_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let program = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            path
        };
        let (nvcc, script) = (program("nvcc"), program("cuda-compiler"));
        let link = dir.path().join("cucc");
        symlink(&nvcc, &link).unwrap();
        let mut search = Search {
            path: Some(dir.path().into()),
            ..Search::default()
        };
        let launched = |launcher: &Path, search: &mut Search| {
            search.launcher = Some(launcher.to_owned());
            find_launched(search).unwrap()
        };
        let other = LaunchedProgram::Other(script.clone());
        assert_eq!(launched(&script, &mut search), other);
        let linked = LaunchedProgram::Nvcc(link.clone());
        assert_eq!(launched(&link, &mut search), linked);
        search.setting = Some(nvcc);
        assert_eq!(launched(&script, &mut search), other);
        search.setting = Some(script.clone());
        let set = LaunchedProgram::Nvcc(script.clone());
        assert_eq!(launched(&script, &mut search), set);
    }
}
