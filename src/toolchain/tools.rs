//! The files of a toolchain as memos store them: digests, and the sightings by which these are believed later.

use super::error::ToolchainError;
use crate::includes::digests::Sighting;
use crate::key::{Digester, Sink};
use crate::stat::{CoarseTime, Stat};
use crate::text;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// One tool in a memo.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ToolRecord {
    pub(super) role: String,
    pub(super) path: PathBuf,
    pub(super) seen: SeenTool,
    pub(super) sha256: String,
    /// Whether it is not an ELF program.
    pub(super) script: bool,
}

/// The stat of a file or directory, and the mount through which it is believed, as in the digest table: see
/// [`Sighting::believed_through`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenTool {
    pub(super) stat: Stat,
    mount: Option<u64>,
}

impl SeenTool {
    pub(super) fn at(path: &Path) -> Option<Self> {
        Sighting::at(path).ok().map(Self::from)
    }

    /// Whether an equal sighting later proves that nothing has changed.
    pub(super) fn is_proof(&self, started: CoarseTime) -> bool {
        self.mount.is_some() && self.stat.is_stable(started)
    }
}

impl From<Sighting> for SeenTool {
    fn from(seen: Sighting) -> Self {
        Self {
            stat: seen.stat,
            mount: seen.believed_through(),
        }
    }
}

/// The directory `targets` beside that of nvcc. Its presence and its contents determine the directories in which nvcc
/// lets compilers search for headers and libraries (`_TARGET_DIR_`).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Targets {
    pub(super) path: PathBuf,
    pub(super) seen: Option<SeenTool>,
    #[serde(with = "text::list")]
    names: Vec<OsString>,
}

impl Targets {
    pub(super) fn at(path: PathBuf) -> Self {
        // The stat comes first: if a name changes later, the stat differs from this one.
        let path = std::path::absolute(&path).unwrap_or(path);
        let seen = SeenTool::at(&path);
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        Self { path, seen, names }
    }

    pub(super) fn write(&self, sink: &mut Digester) {
        sink.field(
            "targets",
            usize::from(self.seen.is_some()) + self.names.len(),
        );
        if self.seen.is_some() {
            sink.value(b"");
        }
        let names = self.names.iter();
        names.for_each(|name| sink.value(name.as_bytes()));
    }
}

/// Reads all tools, some hundred megabytes, on all cores.
pub(super) fn tool_records(
    files: Vec<(String, PathBuf)>,
) -> Result<Vec<ToolRecord>, ToolchainError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let read_some = || {
        let mut results = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            results.push(tool_record(file.clone()));
        }
        results
    };
    let results = thread::scope(|scope| {
        let readers: Vec<_> = (1..cores).map(|_| scope.spawn(read_some)).collect();
        let mut results = read_some();
        for reader in readers {
            results.extend(reader.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    });
    let mut records = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Restores the order of `files`, which the threads have lost.
    records.sort_by_key(|record| {
        let mut files = files.iter();
        files.position(|(role, path)| *role == record.role && *path == record.path)
    });
    Ok(records)
}

fn tool_record((role, path): (String, PathBuf)) -> Result<ToolRecord, ToolchainError> {
    let error = |source| ToolchainError::Read {
        path: path.clone(),
        source,
    };
    let mut file = fs::File::open(&path).map_err(error)?;
    let seen = SeenTool::from(Sighting::of(&file).map_err(error)?);
    let mut magic = [0; 4];
    let script = file.read_exact_at(&mut magic, 0).is_err() || &magic != b"\x7fELF";
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).map_err(error)?;
    Ok(ToolRecord {
        role,
        path,
        seen,
        sha256: hex::encode(hasher.finalize()),
        script,
    })
}

pub(super) fn canonical(path: &Path) -> Result<PathBuf, ToolchainError> {
    fs::canonicalize(path).map_err(|source| ToolchainError::Read {
        path: path.into(),
        source,
    })
}
