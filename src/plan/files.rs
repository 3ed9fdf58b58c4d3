//! The files of a plan while it is parsed: each spelling of a path becomes one file with a number. Opens no file.

use super::error::PlanError;
use super::parts::{FileId, FileKind, PlanFile};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The files seen so far, one for each spelling.
pub(super) struct Files {
    pub(super) list: Vec<PlanFile>,
    known: HashMap<(FileKind, OsString), FileId>,
    /// The keep directory and a slash.
    pub(super) below: Vec<u8>,
}

impl Files {
    pub(super) fn new(keep_dir: &Path) -> Result<Self, PlanError> {
        let mut below = keep_dir.as_os_str().as_bytes().to_vec();
        // nvcc strips trailing slashes too, and keeps the rest of the spelling.
        while below.last() == Some(&b'/') {
            below.pop();
        }
        if below.is_empty() {
            return Err(PlanError::KeepDir);
        }
        below.push(b'/');
        Ok(Self {
            list: Vec::new(),
            known: HashMap::new(),
            below,
        })
    }

    /// The id of a path as nvcc spells it. A file outside the keep directory is an input until
    /// [`graph::check`](super::graph::check) finds the stage that writes it.
    pub(super) fn intern(&mut self, path: &[u8]) -> FileId {
        let (kind, path) = match path.strip_prefix(self.below.as_slice()) {
            Some(rest) if !rest.is_empty() => (FileKind::Temp, rest),
            _ => (FileKind::Input, path),
        };
        let path = OsStr::from_bytes(path).to_owned();
        let next = FileId(self.list.len());
        let list = &mut self.list;
        *self.known.entry((kind, path.clone())).or_insert_with(|| {
            list.push(PlanFile { path, kind });
            next
        })
    }

    /// The id of a temporary file that has been seen already.
    pub(super) fn temp(&self, path: &OsStr) -> Option<FileId> {
        self.known.get(&(FileKind::Temp, path.to_owned())).copied()
    }

    pub(super) fn kind(&self, id: FileId) -> FileKind {
        self.list[id.index()].kind
    }

    pub(super) fn is_temp(&self, path: &[u8]) -> bool {
        path.len() > self.below.len() && path.starts_with(&self.below)
    }

    /// The path as it is shown to users.
    pub(super) fn show(&self, id: FileId) -> String {
        self.list[id.index()].path.to_string_lossy().into_owned()
    }
}
