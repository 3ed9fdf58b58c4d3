//! Identifies the libnvrtc that compiles, by its content and that of its builtins as this process has loaded them.

use super::program::Library;
use crate::includes::digests::{DigestTable, Sighting};
use crate::key::Digest;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

/// The libraries that were identified, each with its first sighting and its digest.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    known: RwLock<HashMap<PathBuf, (Sighting, Digest)>>,
}

impl Libraries {
    /// The digests of libnvrtc and its builtins. `None` if they cannot be determined: a file is gone, or is no
    /// longer the one that this process has loaded.
    pub(super) fn identify(&self, library: &Library, table: &DigestTable) -> Option<[Digest; 2]> {
        let builtins = library.builtins.as_deref()?;
        Some([
            self.digest(&library.path, table)?,
            self.digest(builtins, table)?,
        ])
    }

    /// The digest of a library file. `None` if the file has changed since the first call: this process keeps the
    /// content that it loaded then.
    fn digest(&self, path: &Path, table: &DigestTable) -> Option<Digest> {
        if let Some((seen, digest)) = self.recall(path) {
            let now = Sighting::at(path).ok()?;
            return (now == seen).then_some(digest);
        }
        let (sighting, digest) = table.digest_of(path).ok()?;
        // Does not wait for the lock: in the child of a fork, the thread that holds it may not exist.
        if let Ok(mut known) = self.known.try_write() {
            known.insert(path.to_owned(), (sighting, digest));
        }
        Some(digest)
    }

    fn recall(&self, path: &Path) -> Option<(Sighting, Digest)> {
        self.known.try_read().ok()?.get(path).copied()
    }
}
