//! Puts outputs in their places: whole or not at all, with the mode that nvcc would leave.

use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use serde::{Deserialize, Serialize};
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How nvcc's own tool treats a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// Removes it and makes a new one, unless it is empty (the assembler).
    Replace,
    /// Writes into it, so that its mode stays (cicc, ptxas, fatbinary, nvcc's own depfile).
    Rewrite,
}

/// Looks at the place of an output before anything is compiled. What only nvcc itself can do right
/// (devices, links written through, missing and forbidden places) is left to it.
pub fn check(path: &Path, manner: Manner) -> Result<(), Bypass> {
    let special = |what: &str| {
        Err(Bypass::new(
            BypassReason::OutputSpecial,
            format!("{}: {what}", path.display()),
        ))
    };
    if !directory(path).is_dir() {
        return special("its directory does not exist");
    }
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    match effective(path, manner) {
        _ if found.is_dir() => special("a directory"),
        Manner::Replace if found.is_file() || found.is_symlink() => Ok(()),
        Manner::Rewrite if found.is_symlink() => special("a symbolic link"),
        Manner::Rewrite if found.is_file() && found.nlink() > 1 => special("has other hard links"),
        Manner::Rewrite if found.is_file() && !is_writable(path) => special("not writable"),
        Manner::Rewrite if found.is_file() => Ok(()),
        _ => special("not a plain file"),
    }
}

/// The same for a depfile, which may also go to a device.
pub fn check_depfile(path: &Path) -> Result<(), Bypass> {
    if is_device(path) {
        Ok(())
    } else {
        check(path, Manner::Rewrite)
    }
}

/// GNU as (its BFD library) removes what is there only if that is not empty, following links.
fn effective(path: &Path, manner: Manner) -> Manner {
    match (manner, fs::metadata(path)) {
        (Manner::Replace, Ok(found)) if found.len() > 0 => Manner::Replace,
        _ => Manner::Rewrite,
    }
}

/// Puts `bytes` at `path` in one step.
pub fn place(path: &Path, bytes: &[u8], manner: Manner) -> Result<(), Fallback> {
    put(path, bytes, manner).map_err(|error| {
        Fallback::new(
            FallbackReason::Placement,
            format!("{}: {error}", path.display()),
        )
    })
}

/// Writes a depfile, which may also go to a device (`-MF /dev/null`).
pub fn place_depfile(path: &Path, bytes: &[u8]) -> Result<(), Fallback> {
    let written = if is_device(path) {
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
    } else {
        put(path, bytes, Manner::Rewrite)
    };
    written.map_err(|error| {
        Fallback::new(
            FallbackReason::Placement,
            format!("{}: {error}", path.display()),
        )
    })
}

fn put(path: &Path, bytes: &[u8], manner: Manner) -> io::Result<()> {
    let present = fs::symlink_metadata(path).ok();
    // 0666 less the umask, as every compiler makes its files.
    let mut file = tempfile::Builder::new()
        .prefix(".pcache-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory(path))?;
    file.write_all(bytes)?;
    if let (Manner::Rewrite, Some(present)) = (effective(path, manner), &present) {
        keep_mode(file.as_file(), present)?;
    }
    file.persist(path)?;
    Ok(())
}

fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_char_device() || kind.is_fifo() || kind.is_socket()
    })
}

fn keep_mode(file: &fs::File, present: &Metadata) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(present.mode() & 0o7777))
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Manner, check, check_depfile, place, place_depfile};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").mode() & 0o777
    }

    #[test]
    fn a_rewritten_file_keeps_its_mode_and_a_replaced_one_does_not() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("out");
        place(&path, b"1", Manner::Replace).expect("placed");
        let fresh = mode(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
        place(&path, b"2", Manner::Rewrite).expect("placed");
        assert_eq!(
            (mode(&path), fs::read(&path).expect("bytes")),
            (0o640, b"2".to_vec())
        );
        place(&path, b"3", Manner::Replace).expect("placed");
        assert_eq!(
            (mode(&path), fs::read(&path).expect("bytes")),
            (fresh, b"3".to_vec())
        );
    }

    #[test]
    fn what_a_rename_would_change_is_left_to_nvcc() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "x").expect("written");
        symlink(&file, &link).expect("a link");
        assert!(check(&file, Manner::Rewrite).is_ok());
        assert!(check(&link, Manner::Rewrite).is_err());
        assert!(check(&link, Manner::Replace).is_ok());
        assert!(check(dir.path(), Manner::Replace).is_err());
        symlink(dir.path().join("absent"), dir.path().join("dangling")).expect("a link");
        assert!(check(&dir.path().join("dangling"), Manner::Replace).is_err());
        assert!(check(Path::new("/dev/null"), Manner::Replace).is_err());
        assert!(check(&dir.path().join("no/file"), Manner::Replace).is_err());
        fs::hard_link(&file, dir.path().join("other")).expect("a link");
        assert!(check(&file, Manner::Rewrite).is_err());
    }

    #[test]
    fn a_depfile_may_go_to_a_device() {
        check_depfile(Path::new("/dev/null")).expect("a device");
        place_depfile(Path::new("/dev/null"), b"a.o : a.cu\n").expect("written");
    }
}
