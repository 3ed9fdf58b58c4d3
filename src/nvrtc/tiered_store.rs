//! The store as a running program sees it: the memory of this process first, then the directory. Errors are counted
//! and otherwise treated as a missing value.

use crate::config::Config;
use crate::key::Digest;
use crate::remote::Remote;
use crate::stats::{Counter, Stats};
use crate::store::policy::Limits;
use crate::store::{Artefact, FileStore, MemoryStore, StoreError, Worth};

/// Number of parts of the memory. Each has its own lock, so that threads with hits on different programs
/// seldom wait for each other.
const PARTS: usize = 16;

/// Size limit of each part in bytes. Larger values are only in the directory.
const PART_BYTES: u64 = 4 << 20;

/// Whether values may be stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TierAccess {
    ReadWrite,
    ReadOnly,
}

/// A store in memory before a store in a directory.
pub(super) struct TieredStore {
    memory: Vec<MemoryStore>,
    store: FileStore,
    readonly: bool,
    /// The process that owns the memory. A forked child uses only the directory, because a lock may have been
    /// held during the fork.
    process: u32,
}

impl TieredStore {
    /// An empty memory before `store`.
    pub(super) fn new(store: FileStore, access: TierAccess) -> Self {
        let limits = Limits::below(PART_BYTES);
        let parts = (0..PARTS).map_while(|_| MemoryStore::new(limits).ok());
        Self {
            memory: parts.collect(),
            store,
            readonly: access == TierAccess::ReadOnly,
            process: std::process::id(),
        }
    }

    pub(super) fn stats(&self) -> &Stats {
        self.store.stats()
    }

    pub(super) fn store(&self) -> &FileStore {
        &self.store
    }

    /// Whether the store accepts no values.
    pub(super) fn is_readonly(&self) -> bool {
        self.readonly
    }

    /// The record under `key` as this process last read or wrote it. Records of results never change, and lists of
    /// path sets only lack what others have added since.
    pub(super) fn known_record(&self, key: &Digest) -> Option<Vec<u8>> {
        Some(self.part(key)?.get_shared(key)?.to_vec())
    }

    /// The record under `key` in the directory.
    pub(super) fn record(&self, key: &Digest) -> Option<Vec<u8>> {
        let record = self.tried(self.store.get_record(key)).flatten()?;
        self.remember(key, &record);
        Some(record)
    }

    /// The record under `key` as a server has it, or with what that adds to it. Each is asked for once in a compile.
    pub(super) fn shared_record(
        &self,
        key: &Digest,
        remote: Option<&Remote<'_>>,
    ) -> Option<Vec<u8>> {
        let is_here = remote.is_some_and(|remote| remote.fetch(Worth::Result, key));
        is_here.then(|| self.record(key))?
    }

    /// The servers, if there are any whose records may be stored.
    pub(super) fn remote<'a>(&'a self, config: &'a Config) -> Option<Remote<'a>> {
        let own = self.store.own_dir().filter(|_| !self.readonly)?;
        Remote::in_program(config, own, self.stats())
    }

    /// The bytes of an artefact, which were verified when they were read from the directory.
    pub(super) fn artefact(&self, artefact: &Artefact) -> Option<Vec<u8>> {
        let key = &artefact.sha256;
        let part = self.part(key);
        if let Some(bytes) = part.and_then(|part| part.get_shared(key)) {
            return Some(bytes.to_vec());
        }
        let bytes = self.tried(self.store.get_artefact(artefact)).flatten()?;
        self.remember(key, &bytes);
        Some(bytes)
    }

    pub(super) fn keep_artefact(&self, bytes: &[u8]) -> Option<Artefact> {
        if self.readonly {
            return None;
        }
        let artefact = self.tried(self.store.put_artefact(bytes))?;
        self.remember(&artefact.sha256, bytes);
        Some(artefact)
    }

    /// Stores a record. Returns whether that succeeded.
    pub(super) fn keep(&self, key: &Digest, bytes: &[u8]) -> bool {
        if self.readonly || self.tried(self.store.put_record(key, bytes)).is_none() {
            return false;
        }
        self.remember(key, bytes);
        true
    }

    /// Stores a record that no result needs, and that is not read here. Returns whether that succeeded.
    pub(super) fn keep_intermediate_record(&self, key: &Digest, bytes: &[u8]) -> bool {
        !self.readonly
            && self
                .tried(self.store.put_intermediate_record(key, bytes))
                .is_some()
    }

    fn remember(&self, key: &Digest, bytes: &[u8]) {
        if let Some(part) = self.part(key) {
            // Fails for values that are too large; they are read from the directory each time.
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
