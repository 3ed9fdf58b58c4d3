//! The store as one compile sees it: whatever goes wrong is counted and never in the way.

use crate::exec::Slots;
use crate::includes::digests::DigestTable;
use crate::key::Digest;
use crate::stats::{Counter, Stats};
use crate::store::{Artefact, FileStore, Flights, StoreError};
use crate::toolchain::Memos;
use serde::Serialize;
use std::time::Duration;

/// What a compile may read and write.
pub struct StoreView<'a> {
    /// The store, if it could be opened.
    pub store: Option<&'a FileStore>,
    /// The counters.
    pub stats: &'a Stats,
    /// Where toolchains are remembered.
    pub memos: Option<Memos>,
    /// No result is stored: PCACHE_READONLY, or results in this cache would not be believed.
    pub readonly: bool,
    /// PCACHE_RECACHE: nothing is looked up.
    pub recache: bool,
    /// Who else is compiling what.
    pub flights: Flights,
    /// Digests of files; none with PCACHE_DIRECT=0, which needs them.
    pub digests: Option<&'a DigestTable>,
    /// Who may run a stage now.
    pub slots: Slots,
    /// PCACHE_STAGES: whether stages are run and remembered by themselves.
    pub stages: bool,
    /// PCACHE_SEMANTIC: whether sources that differ in comments and blanks may count as equal.
    pub semantic: bool,
    /// PCACHE_WAIT: how long one unit waits for others.
    pub wait: Duration,
}

impl StoreView<'_> {
    /// The record under `key`.
    pub fn record(&self, key: &Digest) -> Option<Vec<u8>> {
        self.tried(self.store?.get_record(key)).flatten()
    }

    /// The record under `key`, if it is this user's own: one that steers which programs run, with what.
    pub fn order(&self, key: &Digest) -> Option<Vec<u8>> {
        self.tried(self.store?.get_order(key)).flatten()
    }

    /// The bytes of an artefact, verified.
    pub fn artefact(&self, artefact: &Artefact) -> Option<Vec<u8>> {
        self.tried(self.store?.get_artefact(artefact)).flatten()
    }

    /// The verified bytes of what may be empty, and then has no artefact: what a stage printed.
    pub(crate) fn artefact_or_empty(&self, artefact: Option<&Artefact>) -> Option<Vec<u8>> {
        match artefact {
            Some(artefact) => self.artefact(artefact),
            None => Some(Vec::new()),
        }
    }

    /// Stores `bytes`, unless there are none: `Some(None)`. `None` if they could not be stored.
    pub(crate) fn keep_unless_empty(&self, bytes: &[u8]) -> Option<Option<Artefact>> {
        match bytes {
            [] => Some(None),
            bytes => self.keep_artefact(bytes).map(Some),
        }
    }

    /// Stores bytes.
    pub fn keep_artefact(&self, bytes: &[u8]) -> Option<Artefact> {
        if self.readonly {
            return None;
        }
        self.tried(self.store?.put_artefact(bytes))
    }

    /// Stores a record; whether that succeeded.
    pub fn keep_record(&self, key: &Digest, record: &impl Serialize) -> bool {
        serde_json::to_vec(record).is_ok_and(|bytes| self.keep(key, &bytes))
    }

    /// Stores the bytes of a record; whether that succeeded.
    pub fn keep(&self, key: &Digest, bytes: &[u8]) -> bool {
        let store = self.store.filter(|_| !self.readonly);
        let stored = store.and_then(|store| self.tried(store.put_record(key, bytes)));
        stored.is_some()
    }

    /// Stores the bytes of a record that steers; whether that succeeded.
    pub fn keep_order(&self, key: &Digest, bytes: &[u8]) -> bool {
        let store = self.store.filter(|store| store.may_change_own());
        let stored = store.and_then(|store| self.tried(store.put_order(key, bytes)));
        stored.is_some()
    }

    /// Why a result was not stored that could have been.
    pub fn why_unstored(&self) -> String {
        let refusal = self.store.and_then(FileStore::refusal);
        match (self.store, refusal) {
            (None, _) => "there is no cache".to_owned(),
            (_, Some(refusal)) => refusal.to_string(),
            _ if self.readonly => "the cache is only read".to_owned(),
            _ => "the store did not take it".to_owned(),
        }
    }

    /// The flights, where what one process makes may serve another.
    pub fn shared_flights(&self) -> Option<&Flights> {
        let is_shared = self.store.is_some() && !self.readonly && !self.recache;
        is_shared.then_some(&self.flights)
    }

    fn tried<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        result
            .inspect_err(|_| self.stats.add(Counter::Error, 1))
            .ok()
    }
}
