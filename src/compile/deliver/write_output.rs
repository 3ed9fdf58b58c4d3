//! Writes outputs atomically, with the file mode that nvcc would leave.

use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;

/// Minimum age of a leftover temporary file before it is removed. A younger one may not be locked yet.
const STALE: Duration = Duration::from_secs(60);

/// How nvcc's own tool treats a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WriteMode {
    /// Removes it and creates a new one, unless it is empty (the assembler).
    Replace,
    /// Writes into it and so keeps its mode (cicc, ptxas, fatbinary, nvcc's own depfile).
    Rewrite,
}

/// What is at the path of an output before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputTarget {
    /// Nothing, or a file that is replaced: the output gets the mode of new files.
    Fresh,
    /// A file that is written into, and its mode.
    Held(u32),
    /// A device (depfiles only).
    Device,
}

/// What a file is to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputContent<'a> {
    pub bytes: &'a [u8],
    /// A file that holds the same bytes. Where the file system can, the output shares its blocks.
    pub source: Option<&'a File>,
}

impl<'a> OutputContent<'a> {
    /// Bytes that no file holds.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let source = None;
        Self { bytes, source }
    }
}

/// Checks what is at the path of an output. A bypass for everything that only nvcc itself can do properly:
/// devices, links that are written through, missing directories, files without permission.
pub(crate) fn check(path: &Path, mode: WriteMode) -> Result<OutputTarget, Bypass> {
    let special = |what: &str| {
        Err(Bypass::new(
            BypassReason::OutputSpecial,
            format!("{}: {what}", path.display()),
        ))
    };
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return if directory(path).is_dir() {
            Ok(OutputTarget::Fresh)
        } else {
            special("its directory does not exist")
        };
    };
    let is_file = metadata.is_file();
    match effective(path, &metadata, mode) {
        _ if metadata.is_dir() => special("a directory"),
        WriteMode::Replace if is_file || metadata.is_symlink() => Ok(OutputTarget::Fresh),
        WriteMode::Rewrite if metadata.is_symlink() => special("a symbolic link"),
        WriteMode::Rewrite if is_file && metadata.nlink() > 1 => special("has other hard links"),
        WriteMode::Rewrite if is_file && !is_writable(path) => special("not writable"),
        // nvcc would write into it, so it would still belong to that user; a new file would not.
        WriteMode::Rewrite if is_file && !is_ours(&metadata) => special("another user's file"),
        // Writing clears the set-user-ID and set-group-ID bits.
        WriteMode::Rewrite if is_file => Ok(OutputTarget::Held(metadata.mode() & 0o777)),
        _ => special("not a plain file"),
    }
}

/// Checks what is at the path of a depfile, which may also be a device (`-MF /dev/null`).
pub(crate) fn check_depfile(path: &Path) -> Result<OutputTarget, Bypass> {
    if is_device(path) {
        Ok(OutputTarget::Device)
    } else {
        check(path, WriteMode::Rewrite)
    }
}

/// How the tool treats this particular file. GNU as (its BFD library) removes an existing file only if it is not
/// empty, following links.
fn effective(path: &Path, metadata: &Metadata, mode: WriteMode) -> WriteMode {
    let has_content = if metadata.is_symlink() {
        fs::metadata(path).is_ok_and(|target| target.len() > 0)
    } else {
        metadata.len() > 0
    };
    match mode {
        WriteMode::Replace if has_content => WriteMode::Replace,
        _ => WriteMode::Rewrite,
    }
}

/// Writes `content` to `path` atomically. `target` is the fresh result of [`check`] or [`check_depfile`].
pub(crate) fn write(
    path: &Path,
    content: OutputContent<'_>,
    target: OutputTarget,
) -> Result<(), Fallback> {
    let result = match target {
        OutputTarget::Device => write_to_device(path, content.bytes),
        OutputTarget::Fresh => put(path, content, None),
        OutputTarget::Held(mode) => put(path, content, Some(mode)),
    };
    result.map_err(|error| {
        Fallback::new(
            FallbackReason::Placement,
            format!("{}: {error}", path.display()),
        )
    })
}

fn write_to_device(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut device = fs::OpenOptions::new().write(true).open(path)?;
    device.write_all(bytes)
}

fn put(path: &Path, content: OutputContent<'_>, mode: Option<u32>) -> io::Result<()> {
    // 0666 less the umask, as every compiler creates its files; or the mode of the old file, set before the new
    // one has any content that another user could read.
    let mut file = temporary(path, if mode.is_some() { 0o600 } else { 0o666 })?;
    if let Some(mode) = mode {
        let permissions = fs::Permissions::from_mode(mode);
        file.as_file().set_permissions(permissions)?;
    }
    if !shares_blocks(file.as_file(), content) {
        file.write_all(content.bytes)?;
    }
    file.persist(path)?;
    Ok(())
}

/// Makes `file` share the blocks of the content's file. Returns whether that was possible: it is on btrfs, XFS and
/// bcachefs, if both lie on the same file system. If not, `file` is as it was.
fn shares_blocks(file: &File, content: OutputContent<'_>) -> bool {
    content
        .source
        .is_some_and(|source| rustix::fs::ioctl_ficlone(file, source).is_ok())
}

/// Creates a temporary file beside `path`. Its name is derived from `path`, so that the next process that writes
/// there finds the leftover of one that was killed.
fn temporary(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let digest = Sha256::digest(path.file_name().unwrap_or_default().as_bytes());
    let name = format!(".pcache-{}", hex::encode(&digest[..8]));
    let directory = directory(path);
    match named_in(&directory, (&name, 0), mode) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        result => {
            return result.inspect(|file| {
                // On a file system without locks, `is_left` has only the age to go by.
                let _ = lock(file.as_file());
            });
        }
    }
    let leftover = directory.join(&name);
    if is_left(&leftover) {
        // Best effort: a leftover that stays does not get in the way of any compile.
        let _ = fs::remove_file(&leftover);
    }
    named_in(&directory, (".pcache-", 6), mode)
}

/// Whether the process that created the file at `path` has ended. One that is merely stopped still holds its lock.
fn is_left(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
        return false;
    };
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let age = written.map(|written| SystemTime::now().duration_since(written));
    matches!(age, Ok(Ok(age)) if age > STALE) && lock(&file).is_ok()
}

fn lock(file: &File) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

fn named_in(
    directory: &Path,
    (prefix, random): (&str, usize),
    mode: u32,
) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(prefix)
        .rand_bytes(random)
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
}

fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_char_device() || kind.is_fifo() || kind.is_socket()
    })
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{OutputContent, WriteMode, check, check_depfile, write};
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
        let write = |bytes: &[u8], mode| {
            let target = check(&path, mode).expect("a plain place");
            write(&path, OutputContent::of(bytes), target).expect("placed");
        };
        write(b"1", WriteMode::Replace);
        let fresh = mode(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
        write(b"2", WriteMode::Rewrite);
        assert_eq!(
            (mode(&path), fs::read(&path).expect("bytes")),
            (0o640, b"2".to_vec())
        );
        write(b"3", WriteMode::Replace);
        assert_eq!(
            (mode(&path), fs::read(&path).expect("bytes")),
            (fresh, b"3".to_vec())
        );
    }

    #[test]
    fn bits_that_run_a_program_as_another_user_are_taken_away() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("out");
        fs::write(&path, "").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).expect("a mode");
        let target = check(&path, WriteMode::Replace).expect("a plain place");
        write(&path, OutputContent::of(b"1"), target).expect("placed");
        let mode = fs::metadata(&path).expect("a file").mode() & 0o7777;
        assert_eq!(mode, 0o755);
    }

    #[test]
    fn file_of_another_user_that_nvcc_writes_into_is_left_to_nvcc() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("out");
        fs::write(&path, "x").expect("written");
        if std::os::unix::fs::chown(&path, Some(7103), None).is_err() {
            // Only root can make one; scripts/neighbours does.
            return;
        }
        assert!(check(&path, WriteMode::Rewrite).is_err());
        assert!(check(&path, WriteMode::Replace).is_ok());
    }

    #[test]
    fn what_a_rename_would_change_is_left_to_nvcc() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "x").expect("written");
        symlink(&file, &link).expect("a link");
        assert!(check(&file, WriteMode::Rewrite).is_ok());
        assert!(check(&link, WriteMode::Rewrite).is_err());
        assert!(check(&link, WriteMode::Replace).is_ok());
        assert!(check(dir.path(), WriteMode::Replace).is_err());
        symlink(dir.path().join("absent"), dir.path().join("dangling")).expect("a link");
        assert!(check(&dir.path().join("dangling"), WriteMode::Replace).is_err());
        assert!(check(Path::new("/dev/null"), WriteMode::Replace).is_err());
        assert!(check(&dir.path().join("no/file"), WriteMode::Replace).is_err());
        fs::hard_link(&file, dir.path().join("other")).expect("a link");
        assert!(check(&file, WriteMode::Rewrite).is_err());
    }

    #[test]
    fn a_depfile_may_go_to_a_device() {
        let null = Path::new("/dev/null");
        let target = check_depfile(null).expect("a device");
        write(null, OutputContent::of(b"a.o : a.cu\n"), target).expect("written");
    }
}
