//! What eviction spares since it waits to be sent to other machines: the records that queues name, with their artefacts.

use super::artefact::Artefact;
use super::backend::Name;
use super::file::FileStore;
use super::kind::Tree;
use super::policy::Limits;
use super::queued::{NamedFile, QUEUES, QueuedRecord, queue_files, read_queued};
use super::survey::{Reading, SurveyedFile};
use super::trust::RecordUse;
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// What waits takes no more than this part of what the store may hold: servers that are down for days must not fill it.
const SHARE_OF_QUEUES: u64 = 4;

impl FileStore {
    /// The names of the files that must not be evicted yet, since they are still to be sent. What was queued last counts
    /// first: if it is more than a part of the limits, the rest may be evicted.
    pub(super) fn queued(&self, limits: Limits) -> HashSet<Name> {
        let mut spared = HashSet::new();
        let Some(own) = &self.own else {
            return spared;
        };
        let files = queue_files(&own.root.path.join(QUEUES));
        let known = self.queued.0.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        let listed: HashSet<&PathBuf> = files.iter().collect();
        known.retain(|path, _| listed.contains(path));
        let most = limits.max_bytes / SHARE_OF_QUEUES;
        let most_files = usize::try_from(limits.max_files / SHARE_OF_QUEUES);
        let most_files = most_files.unwrap_or(usize::MAX);
        let (mut bytes, mut count) = (0_u64, 0);
        for path in &files {
            let named = known
                .entry(path.clone())
                .or_insert_with(|| self.named_by(path));
            for file in named {
                // One of the names of each file is enough to know it.
                if spared.contains(&file.names[0]) {
                    continue;
                }
                bytes = bytes.saturating_add(file.bytes);
                count += 1;
                if bytes > most || count > most_files {
                    return spared;
                }
                spared.extend(file.names);
            }
        }
        spared
    }

    /// What a file of a queue names: its records, and their artefacts.
    fn named_by(&self, path: &Path) -> Vec<NamedFile> {
        let mut named = Vec::new();
        for record in read_queued(path).unwrap_or_default() {
            let (worth, name) = match record {
                QueuedRecord::Made(id) => {
                    let name = self.credentials.name(&id.key, RecordUse::Result);
                    (id.worth, name)
                }
                QueuedRecord::Stored(worth, name) => (worth, name),
            };
            let read = |file: &SurveyedFile<'_>| (file.size, file.record());
            let found = self.look_at((Tree::records(worth), name), read);
            let Ok(Some((bytes, Ok(Reading::Whole(value))))) = found else {
                continue;
            };
            let names = [name; 2];
            named.push(NamedFile { names, bytes });
            let value = serde_json::from_slice::<Value>(&value).unwrap_or_default();
            named.extend(Artefact::all_in(&value).iter().map(NamedFile::of));
        }
        named
    }
}
