//! The store as one compile sees it: errors are counted, and never fail the compile.

use crate::config::BaseDir;
use crate::config::DriverVersion;
use crate::exec::Slots;
use crate::includes::digests::DigestTable;
use crate::key::Digest;
use crate::remote::{PendingFetch, Remote};
use crate::stats::{Counter, Stats};
use crate::store::{Artefact, FileStore, Flights, OpenArtefact, StoreError, Worth};
use crate::toolchain::{KeyedSettings, Memos};
use serde::Serialize;
use std::cell::OnceCell;
use std::time::Duration;

/// What a compile may read and write.
pub struct StoreView<'a> {
    /// The store, if it could be opened.
    pub store: Option<&'a FileStore>,
    /// The servers of the shared level, if there are any.
    pub remote: Option<Remote<'a>>,
    /// The counters.
    pub stats: &'a Stats,
    /// Where toolchains are remembered.
    pub memos: Option<Memos>,
    /// No result is stored: PCACHE_READONLY, or results in this cache would not be believed.
    pub readonly: bool,
    /// PCACHE_RECACHE: nothing is looked up.
    pub recache: bool,
    /// Single flight: which keys other processes are compiling.
    pub flights: Flights,
    /// Digests of files; `None` with PCACHE_DIRECT=0, as only direct mode needs them.
    pub digests: Option<&'a DigestTable>,
    /// The slots that stages need to run.
    pub slots: Slots,
    /// PCACHE_STAGES: whether stages run separately and have entries of their own.
    pub stages: bool,
    /// PCACHE_SEMANTIC: whether sources that differ in comments and blanks may be treated as equal.
    pub semantic: bool,
    /// PCACHE_DRIVER: the driver version that keys hold.
    pub driver: &'a DriverVersion,
    /// PCACHE_BASE_DIR: where the base directory is.
    pub base_dir: &'a BaseDir,
    /// PCACHE_NAMESPACE and PCACHE_EXTRA_FILES, which are part of every key.
    pub keyed_settings: KeyedSettings<'a>,
    /// PCACHE_WAIT: how long one unit waits for others.
    pub wait: Duration,
    /// The first error of the store.
    pub trouble: OnceCell<String>,
}

impl StoreView<'_> {
    /// The record under `key`.
    pub fn record(&self, key: &Digest) -> Option<Vec<u8>> {
        let local = || self.tried(self.store?.get_record(key)).flatten();
        local().or_else(|| self.fetched(Worth::Result, key).then(local)?)
    }

    /// The list of path sets under `key`. Should other machines be asked, `named` gives the paths that the compile names,
    /// and the compile `may_go_on` before they have answered: see `take_lookups`.
    pub fn path_sets(
        &self,
        key: &Digest,
        may_go_on: bool,
        named: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let local = self.tried(self.store?.get_record(key)).flatten();
        local.or_else(|| self.extended_path_sets(key, may_go_on, named))
    }

    /// The list under `key` with what other machines have added to it; `None` if they have added nothing.
    pub fn extended_path_sets(
        &self,
        key: &Digest,
        may_go_on: bool,
        named: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let remote = self.writable_remote()?;
        let is_extended = remote.fetch_list(key, may_go_on, named);
        is_extended.then(|| self.tried(self.store?.get_record(key)).flatten())?
    }

    /// The direct result under `key`. Should other machines be asked, the compile `may_go_on` before they have answered.
    pub fn direct_record(&self, key: &Digest, may_go_on: bool) -> Option<Vec<u8>> {
        let local = || self.tried(self.store?.get_record(key)).flatten();
        local().or_else(|| {
            let remote = self.writable_remote()?;
            remote.fetch_direct(key, may_go_on).then(local)?
        })
    }

    /// The requests of direct mode whose answers have yet to come.
    pub(crate) fn take_lookups(&self) -> Vec<PendingFetch> {
        let remote = self.remote.as_ref();
        remote.map_or_else(Vec::new, Remote::take_lookups)
    }

    /// Asks servers for the record under `key`, if it is not here. Returns the request if its answer has yet to come.
    pub(crate) fn ask_for_record(&self, key: &Digest) -> Option<PendingFetch> {
        let remote = self.writable_remote()?;
        let is_here = self.tried(self.store?.get_record(key)).flatten().is_some();
        let keys = (!is_here).then_some(key);
        remote.ask(Worth::Result, keys.into_iter())
    }

    /// Asks servers for the records of a stage, none of which is here. Returns the request if its answer has yet to come.
    pub(crate) fn ask_for_stage<'k>(
        &self,
        keys: impl Iterator<Item = &'k Digest>,
    ) -> Option<PendingFetch> {
        self.writable_remote()?.ask(Worth::Intermediate, keys)
    }

    /// Takes the answer to a request, which is there. Returns whether it has brought a record.
    pub(crate) fn take_answer(&self, pending: &PendingFetch) -> bool {
        let remote = self.remote.as_ref();
        remote.is_some_and(|remote| remote.take_answer(pending))
    }

    /// The servers, if what they have can be stored here.
    fn writable_remote(&self) -> Option<&Remote<'_>> {
        self.remote.as_ref().filter(|_| self.to_write().is_some())
    }

    /// How many records servers have brought so far. What is found after it has grown came from a server.
    pub fn brought(&self) -> u64 {
        self.remote.as_ref().map_or(0, Remote::brought)
    }

    /// Whether a server had the record under `key`, so that the store has it now.
    fn fetched(&self, worth: Worth, key: &Digest) -> bool {
        let remote = self.writable_remote();
        remote.is_some_and(|remote| remote.fetch(worth, key))
    }

    /// Tells other machines of a record that was stored, if it was.
    fn shared(&self, worth: Worth, key: &Digest, is_stored: bool) -> bool {
        if let Some(remote) = self.remote.as_ref().filter(|_| is_stored) {
            remote.made(worth, key);
        }
        is_stored
    }

    /// The record under `key`, if it is this user's own: one that decides which programs run, and how.
    pub fn order(&self, key: &Digest) -> Option<Vec<u8>> {
        self.tried(self.store?.get_order(key)).flatten()
    }

    /// The bytes of an artefact, verified.
    pub fn artefact(&self, artefact: &Artefact) -> Option<Vec<u8>> {
        self.tried(self.store?.get_artefact(artefact)).flatten()
    }

    /// The bytes of an artefact, verified, and the file that holds them.
    pub fn open_artefact(&self, artefact: &Artefact) -> Option<OpenArtefact> {
        self.tried(self.store?.open_artefact(artefact)).flatten()
    }

    /// Stores `bytes` as an artefact; `None` if they could not be stored.
    pub fn keep_artefact(&self, bytes: &[u8]) -> Option<Artefact> {
        self.tried(self.to_write()?.put_artefact(bytes))
    }

    /// The record under `key` among those that no result needs.
    pub fn intermediate_record(&self, key: &Digest) -> Option<Vec<u8>> {
        let found = self.store?.get_intermediate_record(key);
        self.tried(found).flatten()
    }

    /// As [`StoreView::intermediate_record`], for a record that machines share: that of a stage.
    pub fn stage_record(&self, key: &Digest) -> Option<Vec<u8>> {
        let local = || self.intermediate_record(key);
        local().or_else(|| self.fetched(Worth::Intermediate, key).then(local)?)
    }

    /// Stores the bytes of a record for [`StoreView::stage_record`]; returns whether that succeeded.
    pub fn keep_stage_record(&self, key: &Digest, bytes: &[u8]) -> bool {
        let is_stored = self.keep_intermediate_record(key, bytes);
        self.shared(Worth::Intermediate, key, is_stored)
    }

    /// Stores a part of a result that no other program reads; `None` if it could not be stored.
    pub fn keep_internal(&self, bytes: &[u8]) -> Option<Artefact> {
        self.tried(self.to_write()?.put_internal(bytes))
    }

    /// Stores a file between stages; `None` if it could not be stored.
    pub fn keep_intermediate(&self, bytes: &[u8]) -> Option<Artefact> {
        self.tried(self.to_write()?.put_intermediate(bytes))
    }

    /// Stores the bytes of a record that no result needs; returns whether that succeeded.
    pub fn keep_intermediate_record(&self, key: &Digest, bytes: &[u8]) -> bool {
        self.is_put(|store| store.put_intermediate_record(key, bytes))
    }

    /// Stores a record that no direct hit reads as JSON; returns whether that succeeded.
    pub fn keep_record(&self, key: &Digest, record: &impl Serialize) -> bool {
        let bytes = serde_json::to_vec(record);
        let is_stored =
            bytes.is_ok_and(|bytes| self.is_put(|store| store.put_packed_record(key, &bytes)));
        self.shared(Worth::Result, key, is_stored)
    }

    /// Stores the bytes of a record; returns whether that succeeded.
    pub fn keep(&self, key: &Digest, bytes: &[u8]) -> bool {
        let is_stored = self.is_put(|store| store.put_record(key, bytes));
        self.shared(Worth::Result, key, is_stored)
    }

    /// The store, if results may be stored.
    fn to_write(&self) -> Option<&FileStore> {
        self.store.filter(|_| !self.readonly)
    }

    fn is_put(&self, put: impl FnOnce(&FileStore) -> Result<(), StoreError>) -> bool {
        let store = self.to_write();
        store.is_some_and(|store| self.tried(put(store)).is_some())
    }

    /// Stores the bytes of a record for [`StoreView::order`]; returns whether that succeeded.
    pub fn keep_order(&self, key: &Digest, bytes: &[u8]) -> bool {
        let store = self.store.filter(|store| store.may_change_own());
        let stored = store.and_then(|store| self.tried(store.put_order(key, bytes)));
        stored.is_some()
    }

    /// Why a cacheable result was not stored.
    pub fn why_unstored(&self) -> String {
        let refusal = self.store.and_then(FileStore::refusal);
        match (self.store, refusal) {
            (None, _) => "there is no cache".to_owned(),
            (_, Some(refusal)) => refusal.to_string(),
            _ if self.readonly => "the cache is only read".to_owned(),
            _ => "the store did not take it".to_owned(),
        }
    }

    /// The flights, if another process's result may serve this compile; otherwise `None`.
    pub fn shared_flights(&self) -> Option<&Flights> {
        let is_shared = self.store.is_some() && !self.readonly && !self.recache;
        is_shared.then_some(&self.flights)
    }

    fn tried<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        let note = |error: &StoreError| {
            self.stats.add(Counter::Error, 1);
            // What is too large for the cache is no trouble with it.
            if !matches!(error, StoreError::TooLarge { .. }) {
                self.trouble.get_or_init(|| error.to_string());
            }
        };
        result.inspect_err(note).ok()
    }
}
