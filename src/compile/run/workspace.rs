//! The private directory of one invocation, in which stages write until all of them have succeeded. It is removed
//! when the invocation ends, however it ends.

use crate::compile::run::printed::{OutputStream, Printed};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A directory in `TMPDIR` with four parts: the plan's temporaries, outputs before they are delivered, what
/// stages print, and a `TMPDIR` for the stages.
pub(crate) struct Workspace {
    root: TempDir,
    /// Locked while this process lives, so that [`sweep`] of another process leaves the directory alone.
    _held: Option<File>,
}

/// How the names of such directories begin.
const PREFIX: &str = "pcache-nvcc-";

/// Minimum age of a work directory before it is swept. A younger one may belong to a running compile that holds no
/// lock: one of an older version, or one whose `TMPDIR` does not support locks.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The subdirectories of a work directory.
const PARTS: [&str; 4] = ["t", "o", "s", "x"];

/// Removes the work directories of this user's processes that were killed. Best effort: what cannot be removed is
/// left for the next sweep.
pub fn sweep() {
    let entries = fs::read_dir(std::env::temp_dir());
    for entry in entries.into_iter().flatten().flatten() {
        let has_prefix = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes());
        if has_prefix && is_dead(&entry.path()) && is_ours(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a directory has subdirectories of a work directory and nothing else. Its name alone does not prove that
/// it is one.
fn is_ours(path: &Path) -> bool {
    let entries = fs::read_dir(path).into_iter().flatten();
    let entries = entries.map(|entry| {
        let entry = entry.ok()?;
        let is_part = PARTS.iter().any(|part| entry.file_name() == *part);
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        (is_part && is_directory).then_some(())
    });
    let parts: Option<Vec<()>> = entries.collect();
    parts.is_some_and(|parts| !parts.is_empty())
}

/// Whether a directory belongs to this user, is old, and is not locked by any process.
fn is_dead(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(directory) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
        return false;
    };
    let is_old = directory.metadata().is_ok_and(|metadata| {
        let age = metadata
            .modified()
            .map(|written| SystemTime::now().duration_since(written));
        metadata.uid() == geteuid().as_raw() && matches!(age, Ok(Ok(age)) if age > STALE)
    });
    is_old && flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok()
}

impl Workspace {
    /// Creates and locks the directories.
    pub(crate) fn new() -> Result<Self, Fallback> {
        Self::make().map_err(|error| {
            let detail = format!("{}: {error}", std::env::temp_dir().display());
            Fallback::new(FallbackReason::WorkDirectory, detail)
        })
    }

    fn make() -> io::Result<Self> {
        // fatbinary and the host compiler's driver split arguments at commas; nvcc itself creates no object then.
        if std::env::temp_dir().as_os_str().as_bytes().contains(&b',') {
            return Err(io::Error::other("a comma in the name"));
        }
        let root = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let held = File::open(root.path())
            .ok()
            .filter(|held| flock(held, FlockOperation::NonBlockingLockExclusive).is_ok());
        for part in PARTS {
            fs::create_dir(root.path().join(part))?;
        }
        Ok(Self { root, _held: held })
    }

    /// The directory that holds all others.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The keep directory of the plan.
    pub(crate) fn temporaries(&self) -> PathBuf {
        self.root.path().join("t")
    }

    /// Whether `path` lies in the workspace.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        path.starts_with(self.root.path())
    }

    /// The `TMPDIR` of the stages. A compiler that is killed leaves files there.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.path().join("x")
    }

    /// The file that receives what stage `number` prints to `stream`.
    pub(crate) fn stream(&self, number: usize, stream: OutputStream) -> PathBuf {
        let suffix = match stream {
            OutputStream::Stdout => "out",
            OutputStream::Stderr => "err",
        };
        self.side_file(number, suffix)
    }

    /// What stage `number` printed. A stage that printed nothing may have left no file.
    pub(crate) fn printed(&self, number: usize) -> Printed {
        let read = |stream| fs::read(self.stream(number, stream)).unwrap_or_default();
        Printed {
            stdout: read(OutputStream::Stdout),
            stderr: read(OutputStream::Stderr),
        }
    }

    /// `text` with a name that is the same in every run in place of the work directory's, as nvcc's own temporary names
    /// are: the host compiler prints its commands with `-v`.
    pub(crate) fn as_printed(&self, text: &[u8]) -> Vec<u8> {
        let name = self.root().with_file_name("tmpxft_pcache-nvcc");
        let root = self.root().as_os_str().as_bytes();
        replace(text, root, name.as_os_str().as_bytes())
    }

    /// Removes what was printed under `number`: by a stage that now runs a second time, or by one of another unit.
    pub(crate) fn forget_printed(&self, number: usize) -> Result<(), Fallback> {
        for stream in OutputStream::ALL {
            let path = self.stream(number, stream);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let detail = format!("{}: {error}", path.display());
                    return Err(Fallback::new(FallbackReason::WorkDirectory, detail));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A file that stage `number` writes besides those of the plan, because of an argument that we add.
    pub(crate) fn side_file(&self, number: usize, suffix: &str) -> PathBuf {
        self.root
            .path()
            .join("s")
            .join(format!("{number}.{suffix}"))
    }

    /// The path where stages read or write a file of the plan: temporaries and outputs inside the workspace, inputs
    /// at their own paths.
    pub(crate) fn locate(&self, plan: &Plan, file: FileId) -> PathBuf {
        let plan_file = plan.file(file);
        let path = Path::new(&plan_file.path);
        match plan_file.kind {
            FileKind::Temp => self.temporaries().join(path),
            FileKind::Input => path.to_owned(),
            // Only the base name of an output reaches a stage.
            FileKind::Output => {
                let name = path
                    .file_name()
                    .map_or_else(|| OsString::from("output"), Into::into);
                self.root
                    .path()
                    .join("o")
                    .join(format!("{}", file.index()))
                    .join(name)
            }
        }
    }

    /// `bytes` with the path of the temporaries' directory, including the slash after it, replaced by `prefix`.
    pub(crate) fn renamed(&self, bytes: &[u8], prefix: &[u8]) -> Vec<u8> {
        let mut directory = self.temporaries().into_os_string().into_vec();
        directory.push(b'/');
        replace(bytes, &directory, prefix)
    }

    /// Creates the directories of the paths that [`Workspace::locate`] returns for `files`.
    pub(crate) fn prepare(&self, plan: &Plan, files: &[FileId]) -> Result<(), Fallback> {
        for file in files {
            if let Some(parent) = self.locate(plan, *file).parent()
                && self.holds(parent)
            {
                fs::create_dir_all(parent).map_err(|error| {
                    let detail = format!("{}: {error}", parent.display());
                    Fallback::new(FallbackReason::WorkDirectory, detail)
                })?;
            }
        }
        Ok(())
    }
}

/// `bytes` with every `from` replaced by `to`.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        if rest.starts_with(from) {
            replaced.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            let next = rest[1..].iter().position(|byte| *byte == from[0]);
            let until = next.map_or(rest.len(), |position| position + 1);
            replaced.extend_from_slice(&rest[..until]);
            rest = &rest[until..];
        }
    }
    replaced
}

/// Writes a file of the workspace.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Fallback> {
    fs::write(path, bytes).map_err(|error| {
        let detail = format!("{}: {error}", path.display());
        Fallback::new(FallbackReason::WorkDirectory, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn every_occurrence_is_replaced_and_nothing_else() {
        assert_eq!(
            replace(b"# 1 \"/w/t/a\" /w/", b"/w/t/", b"K/"),
            b"# 1 \"K/a\" /w/"
        );
        assert_eq!(replace(b"/w/t/", b"/w/t/", b""), b"");
        assert_eq!(replace(b"//w/t/", b"/w/t/", b"K/"), b"/K/");
    }
}
