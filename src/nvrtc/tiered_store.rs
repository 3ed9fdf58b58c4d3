//! The store as a running program sees it: the memory of this process first, then the directory. Whatever goes
//! wrong is counted and never in the way.

use crate::key::Digest;
use crate::stats::{Counter, Stats};
use crate::store::policy::Limits;
use crate::store::{Artefact, FileStore, MemoryStore, StoreError};

/// Parts of the memory, each with a lock of its own, so that threads which hit on different programs
/// seldom meet.
const PARTS: usize = 16;

/// What each part may hold. Larger values stay in the directory alone.
const PART_BYTES: u64 = 4 << 20;

/// Two levels of a store.
pub(super) struct TieredStore {
    memory: Vec<MemoryStore>,
    store: FileStore,
    readonly: bool,
    /// Whose memory it is. A fork may have happened while a lock of it was held, so that a child asks
    /// the directory alone.
    process: u32,
}

impl TieredStore {
    /// An empty memory before `store`.
    pub(super) fn new(store: FileStore, readonly: bool) -> Self {
        let limits = Limits::below(PART_BYTES);
        let parts = (0..PARTS).map_while(|_| MemoryStore::new(limits).ok());
        Self {
            memory: parts.collect(),
            store,
            readonly,
            process: std::process::id(),
        }
    }

    pub(super) fn stats(&self) -> &Stats {
        self.store.stats()
    }

    pub(super) fn store(&self) -> &FileStore {
        &self.store
    }

    /// Whether nothing is stored.
    pub(super) fn is_readonly(&self) -> bool {
        self.readonly
    }

    /// The record under `key` as it was when this process last read or wrote it; records of results
    /// never change, and lists only lack what others have added.
    pub(super) fn known_record(&self, key: &Digest) -> Option<Vec<u8>> {
        Some(self.part(key)?.get_shared(key)?.to_vec())
    }

    /// The record under `key` in the directory.
    pub(super) fn record(&self, key: &Digest) -> Option<Vec<u8>> {
        let found = self.tried(self.store.get_record(key)).flatten()?;
        self.remember(key, &found);
        Some(found)
    }

    /// The bytes of an artefact, verified when they came into memory.
    pub(super) fn artefact(&self, artefact: &Artefact) -> Option<Vec<u8>> {
        let key = &artefact.sha256;
        let part = self.part(key);
        if let Some(known) = part.and_then(|part| part.get_shared(key)) {
            return Some(known.to_vec());
        }
        let found = self.tried(self.store.get_artefact(artefact)).flatten()?;
        self.remember(key, &found);
        Some(found)
    }

    pub(super) fn keep_artefact(&self, bytes: &[u8]) -> Option<Artefact> {
        if self.readonly {
            return None;
        }
        let artefact = self.tried(self.store.put_artefact(bytes))?;
        self.remember(&artefact.sha256, bytes);
        Some(artefact)
    }

    /// Stores a record; whether that succeeded.
    pub(super) fn keep(&self, key: &Digest, bytes: &[u8]) -> bool {
        if self.readonly || self.tried(self.store.put_record(key, bytes)).is_none() {
            return false;
        }
        self.remember(key, bytes);
        true
    }

    fn remember(&self, key: &Digest, bytes: &[u8]) {
        if let Some(part) = self.part(key) {
            // What is too large is read from the directory each time.
            let _ = part.insert(key, bytes);
        }
    }

    fn part(&self, key: &Digest) -> Option<&MemoryStore> {
        let is_ours = self.process == std::process::id();
        let at = usize::from(key[0]) % PARTS;
        self.memory.get(at).filter(|_| is_ours)
    }

    fn tried<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        result
            .inspect_err(|_| self.stats().add(Counter::Error, 1))
            .ok()
    }
}
