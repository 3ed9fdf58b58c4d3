//! What is known of each program that a client has made: a table beside the real library's own, by the real
//! handle. Cut into shards with a lock each, held only for as long as a look takes and never during a compile,
//! so that hits do not wait for each other. Knows neither C nor the cache.

use crate::nvrtc::program::{Program, ProgramOutput};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

const SHARDS: usize = 64;

/// One program of one library: the slot, and the real handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProgramKey {
    /// The slot of the library.
    pub(super) slot: usize,
    /// The handle, as a number.
    pub(super) handle: usize,
}

pub(super) struct ProgramEntry {
    /// Of the slot, when the program was made.
    pub(super) generation: u32,
    /// What it was made of.
    pub(super) program: Arc<Program>,
    /// The name expressions added, in order.
    pub(super) expressions: Vec<Vec<u8>>,
    /// Who has its results.
    pub(super) stage: ProgramStage,
    /// Former hits, whose names may still be in use by the client.
    pub(super) kept: Vec<Arc<ProgramHit>>,
}

/// Who answers for a program.
pub(super) enum ProgramStage {
    /// It was not compiled yet.
    Fresh,
    /// The cache had its result; the real library has only made it.
    Hit(Arc<ProgramHit>),
    /// The client wants to be called back while it compiles, and so from a real compile.
    Callback,
    /// The real library has been asked to compile it, or must be.
    Real,
}

/// A result from the cache.
pub(super) struct ProgramHit {
    pub(super) output: Arc<ProgramOutput>,
    /// The lowered names, in the order of the output's, as C strings that stay where they are.
    pub(super) lowered: Vec<CString>,
    /// The options of the compile, for one that must be done after all.
    pub(super) options: Vec<CString>,
    /// Set once the real library has compiled it after all.
    pub(super) compiled: OnceLock<()>,
}

type ProgramShard = BTreeMap<ProgramKey, ProgramEntry>;

/// Every lock of the table, taken.
pub(super) type Frozen<'a> = Vec<MutexGuard<'a, ProgramShard>>;

/// All programs of a process.
pub(super) struct Programs {
    shards: [Mutex<ProgramShard>; SHARDS],
}

impl Programs {
    pub(super) const fn new() -> Self {
        Self {
            shards: [const { Mutex::new(BTreeMap::new()) }; SHARDS],
        }
    }

    /// Notes a program that was made.
    pub(super) fn insert(&self, key: ProgramKey, entry: ProgramEntry) {
        // What was there belonged to a program that has gone without our being told.
        let former = self.shard(key).insert(key, entry);
        drop(former);
    }

    /// Forgets a program.
    pub(super) fn remove(&self, key: ProgramKey) -> Option<ProgramEntry> {
        self.shard(key).remove(&key)
    }

    /// What `look` says of a program, if it is known and of this `generation` of its slot.
    pub(super) fn with<T>(
        &self,
        key: ProgramKey,
        generation: u32,
        look: impl FnOnce(&mut ProgramEntry) -> T,
    ) -> Option<T> {
        let mut shard = self.shard(key);
        let entry = shard.get_mut(&key)?;
        (entry.generation == generation).then(|| look(entry))
    }

    /// Takes every lock, so that a fork leaves none of them taken for ever.
    pub(super) fn freeze(&self) -> Frozen<'_> {
        self.shards.iter().map(lock).collect()
    }

    fn shard(&self, key: ProgramKey) -> MutexGuard<'_, ProgramShard> {
        // Handles are addresses of blocks of memory: their lowest bits are alike.
        let mixed = (key.handle >> 4) ^ (key.handle >> 10) ^ key.slot;
        lock(&self.shards[mixed % SHARDS])
    }
}

/// A panic in between leaves a map whole.
fn lock(shard: &Mutex<ProgramShard>) -> MutexGuard<'_, ProgramShard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
