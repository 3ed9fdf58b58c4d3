//! The table of the programs that clients have created, by the real library's handle. It is divided into shards with
//! a lock each, which is held only for a lookup and never during a compile, so that hits do not wait for each other.

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
    /// The generation of the slot when the program was created.
    pub(super) generation: u32,
    /// The arguments with which it was created.
    pub(super) program: Arc<Program>,
    /// The name expressions added, in order.
    pub(super) expressions: Vec<Vec<u8>>,
    /// Where its results are.
    pub(super) stage: ProgramStage,
    /// Earlier hits: the client may still use pointers to their lowered names.
    pub(super) kept: Vec<Arc<ProgramHit>>,
}

/// Who answers calls for a program.
pub(super) enum ProgramStage {
    /// It was not compiled yet.
    Fresh,
    /// The cache: it had the result. The real library has created the program but not compiled it.
    Hit(Arc<ProgramHit>),
    /// The client has registered a callback, which only a real compile calls.
    Callback,
    /// The real library: it has compiled the program, or must.
    Real,
}

/// A result from the cache.
pub(super) struct ProgramHit {
    pub(super) output: Arc<ProgramOutput>,
    /// The lowered names, in the order of the output's, as C strings that stay where they are.
    pub(super) lowered: Vec<CString>,
    /// The options of the compile, for a real compile that becomes necessary later.
    pub(super) options: Vec<CString>,
    /// Set once the real library has compiled the program too.
    pub(super) compiled: OnceLock<()>,
}

type ProgramShard = BTreeMap<ProgramKey, ProgramEntry>;

/// The guards of all locks of the table.
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

    /// Adds a program that was created.
    pub(super) fn insert(&self, key: ProgramKey, entry: ProgramEntry) {
        // A former entry belongs to a program that was destroyed without a call of the hook.
        let former = self.shard(key).insert(key, entry);
        drop(former);
    }

    /// Removes a program.
    pub(super) fn remove(&self, key: ProgramKey) -> Option<ProgramEntry> {
        self.shard(key).remove(&key)
    }

    /// Calls `look` with a program's entry, if there is one of this `generation` of its slot.
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

    /// Takes every lock, so that a fork leaves none of them locked forever in the child.
    pub(super) fn freeze(&self) -> Frozen<'_> {
        self.shards.iter().map(lock).collect()
    }

    fn shard(&self, key: ProgramKey) -> MutexGuard<'_, ProgramShard> {
        // Handles are addresses of memory blocks, whose lowest bits are the same.
        let mixed = (key.handle >> 4) ^ (key.handle >> 10) ^ key.slot;
        lock(&self.shards[mixed % SHARDS])
    }
}

/// Locks a shard. Ignores poisoning, because a panic leaves the map whole.
fn lock(shard: &Mutex<ProgramShard>) -> MutexGuard<'_, ProgramShard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
