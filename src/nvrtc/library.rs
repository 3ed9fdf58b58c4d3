//! Which libnvrtc compiles: its content and that of its builtins, as they are loaded in this process.

use super::program::Library;
use crate::includes::digests::{DigestTable, Sighting};
use crate::key::Digest;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

/// The libraries that were asked for, each with what it looked like first.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    known: RwLock<HashMap<PathBuf, (Sighting, Digest)>>,
}

impl Libraries {
    /// The contents of libnvrtc and its builtins. `None` where they cannot be told: a file is gone, or
    /// is not the one any more that this process has loaded.
    pub(super) fn identify(&self, library: &Library, table: &DigestTable) -> Option<[Digest; 2]> {
        let builtins = library.builtins.as_deref()?;
        Some([
            self.digest(&library.path, table)?,
            self.digest(builtins, table)?,
        ])
    }

    /// What this process has loaded stays what it was when it was first asked for, so a file that has
    /// changed since is another one.
    fn digest(&self, path: &Path, table: &DigestTable) -> Option<Digest> {
        if let Some((seen, digest)) = self.recall(path) {
            let now = Sighting::at(path).ok()?;
            return (now == seen).then_some(digest);
        }
        let found = table.digest_of(path).ok()?;
        // No thread waits here: in the child of a fork, the thread that holds the lock may be gone.
        if let Ok(mut known) = self.known.try_write() {
            known.insert(path.to_owned(), found);
        }
        Some(found.1)
    }

    fn recall(&self, path: &Path) -> Option<(Sighting, Digest)> {
        self.known.try_read().ok()?.get(path).copied()
    }
}
