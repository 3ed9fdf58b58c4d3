//! The CUDA driver's version, as text for a key: the one that is set, or this machine's. Loads no library: reads the kernel module's version from
//! `/proc` or, if there is no module (WSL, containers), takes libcuda's file name or content.

use crate::config::DriverVersion;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const PROC: &str = "/proc/driver/nvidia/version";
const LIBRARY: &str = "libcuda.so.1";
/// Directories in which the loader finds libcuda by default, on the systems that CUDA supports.
const LIBRARY_DIRECTORIES: &[&str] = &[
    "/usr/lib/wsl/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];

/// The driver's version for keys. A fixed one is taken without a look at this machine. Otherwise the module's
/// (`595.71.05`), else libcuda's, else `none`. `library_path` is `LD_LIBRARY_PATH`.
pub fn driver_version(setting: &DriverVersion, library_path: Option<&OsStr>) -> String {
    match setting {
        DriverVersion::Fixed(version) => version.clone(),
        DriverVersion::Auto => detected(library_path),
    }
}

/// The version of this machine's driver.
fn detected(library_path: Option<&OsStr>) -> String {
    if let Some(version) = fs::read_to_string(PROC)
        .ok()
        .as_deref()
        .and_then(module_version)
    {
        return version.to_owned();
    }
    let configured = library_path
        .map(std::env::split_paths)
        .into_iter()
        .flatten();
    let default = LIBRARY_DIRECTORIES.iter().map(PathBuf::from);
    configured
        .filter(|directory| directory.is_absolute())
        .chain(default)
        .find_map(|directory| library_version(&directory.join(LIBRARY)))
        .unwrap_or_else(|| DriverVersion::NONE.to_owned())
}

/// The version in the first line of `/proc/driver/nvidia/version`: the first word that looks like
/// `digits.digits…`.
fn module_version(text: &str) -> Option<&str> {
    let line = text
        .lines()
        .find(|line| line.starts_with("NVRM version:"))?;
    line.split_whitespace().find(|word| {
        let mut parts = word.split('.');
        parts.clone().count() >= 2
            && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// The version of the library at `path`. `libcuda.so.1` is a link to `libcuda.so.<version>`; if it is a plain
/// file (WSL), the SHA-256 of its content serves as the version.
fn library_version(path: &Path) -> Option<String> {
    let target = match fs::read_link(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        target => target.ok(),
    };
    let name = target
        .as_deref()
        .and_then(Path::file_name)
        .and_then(OsStr::to_str);
    match name.and_then(|name| name.strip_prefix("libcuda.so.")) {
        Some(version) => Some(version.to_owned()),
        None => fs::read(path)
            .ok()
            .map(|bytes| hex::encode(Sha256::digest(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::{driver_version, library_version, module_version};
    use crate::config::DriverVersion;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_modules_version_is_read_from_both_kinds_of_module() {
        let closed =
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 2024\nGCC: x\n";
        assert_eq!(module_version(closed), Some("550.54.15"));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.71.05  Release\n";
        assert_eq!(module_version(open), Some("595.71.05"));
        assert_eq!(module_version("GCC version: 12.2.0\n"), None);
    }

    #[test]
    fn the_librarys_version_is_its_links_name_or_its_content() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let link = dir.path().join("libcuda.so.1");
        assert_eq!(library_version(&link), None);
        symlink("libcuda.so.550.54.15", &link).expect("a link");
        assert_eq!(library_version(&link).as_deref(), Some("550.54.15"));
        std::fs::remove_file(&link).expect("removed");
        std::fs::write(&link, "library").expect("written");
        assert_eq!(library_version(&link).map(|text| text.len()), Some(64));
    }

    #[test]
    fn a_library_on_the_library_path_is_found_where_no_module_is_loaded() {
        let dir = tempfile::tempdir().expect("a temp dir");
        symlink("libcuda.so.999.1", dir.path().join("libcuda.so.1")).expect("a link");
        let path = Some(dir.path().as_os_str());
        let version = driver_version(&DriverVersion::Auto, path);
        let module = std::fs::read_to_string(super::PROC).ok();
        let wanted = module
            .as_deref()
            .and_then(module_version)
            .unwrap_or("999.1");
        assert_eq!(version, wanted);
        let fixed = DriverVersion::Fixed("550.54.15".to_owned());
        assert_eq!(driver_version(&fixed, path), "550.54.15");
    }
}
