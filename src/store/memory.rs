//! The store in the memory of one process, with the methods of the one on disk, for many threads. If several
//! threads ask for the same missing value at once, one of them makes it.

use super::backend::{Backend, Cleared, Entry, Info, Name};
use super::policy::{Candidate, Limits, Nanos, Policy};
use super::{ContentKind, StoreError};
use crate::files::now;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// A shared value, or the shared bytes of a key.
type Bytes = Arc<[u8]>;

type Clock = Box<dyn Fn() -> Nanos + Send + Sync>;

/// Values in memory, up to a size in bytes; keys and bookkeeping are not counted.
pub struct MemoryStore {
    clock: Clock,
    state: Mutex<MemoryState>,
    /// Notified when a flight ends.
    landed: Condvar,
}

/// The state behind the mutex. No code of callers runs while it is locked.
struct MemoryState {
    limits: Limits,
    policy: Policy,
    /// Ordered, so that the same calls give the same victims.
    slots: BTreeMap<Bytes, MemorySlot>,
    bytes: u64,
    /// The time of the last use. The next use gets a later one even if the clock stands still, so that
    /// uses have an order.
    last_use: Nanos,
    /// Before this time nothing expires; saves a look at all slots in each put.
    next_expiry: Option<Nanos>,
    hits: u64,
    misses: u64,
    /// The values that are being made, by key.
    flights: BTreeMap<Bytes, Arc<MemoryFlight>>,
}

struct MemorySlot {
    value: Bytes,
    facts: Candidate,
}

/// A value that is being made. Stays empty if the caller's `make` fails.
#[derive(Default)]
struct MemoryFlight {
    value: OnceLock<Bytes>,
}

/// Ends a flight on drop, also after an error or a panic, so that no thread waits forever.
struct Landing<'a> {
    store: &'a MemoryStore,
    key: Bytes,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.store.state().flights.remove(&self.key);
        self.store.landed.notify_all();
    }
}

impl MemoryStore {
    /// An empty store that evicts by [`Policy::Lru`].
    ///
    /// # Errors
    /// A limit of zero.
    pub fn new(limits: Limits) -> Result<Self, StoreError> {
        if limits.max_bytes == 0 {
            return Err(StoreError::NoRoom);
        }
        // Like file times, but never going back.
        let (start, opened) = (now(), Instant::now());
        let passed = move || Nanos::try_from(opened.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        Ok(Self {
            clock: Box::new(move || start.saturating_add(passed())),
            state: Mutex::new(MemoryState::new(limits)),
            landed: Condvar::new(),
        })
    }

    /// Evicts by `policy` instead of [`Policy::Lru`].
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        self.state().policy = policy;
        self
    }

    /// Reads the time from `clock`, such as one that a test sets. The clock is never read while the
    /// store is locked.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Nanos + Send + Sync + 'static) -> Self {
        let clock = Box::new(clock);
        Self { clock, ..self }
    }

    /// As [`Backend::get`], without copying the value.
    pub fn get_shared(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        let now = (self.clock)();
        let mut state = self.state();
        let value = state.look(key, now);
        match value {
            Some(_) => state.hits += 1,
            None => state.misses += 1,
        }
        value
    }

    /// As [`Backend::put`]. Returns the entries that were removed for it, first victim first.
    ///
    /// # Errors
    /// The value is larger than the store, which leaves everything as it is.
    pub fn insert(
        &self,
        key: &[u8],
        value: impl Into<Arc<[u8]>>,
    ) -> Result<Vec<Entry>, StoreError> {
        let (value, now) = (value.into(), (self.clock)());
        let class = ContentKind::of(&value);
        let mut state = self.state();
        let expires = state.policy.expires(class, now);
        state.insert(key, value, expires, now)
    }

    /// As [`MemoryStore::insert`], but the value expires at `expires`, or never if that is `None`.
    /// Policies without expiry ignore it. If the time is past, the old value is removed and nothing is
    /// stored.
    ///
    /// # Errors
    /// As for [`MemoryStore::insert`].
    pub fn insert_until(
        &self,
        key: &[u8],
        value: impl Into<Arc<[u8]>>,
        expires: Option<Nanos>,
    ) -> Result<Vec<Entry>, StoreError> {
        let (value, now) = (value.into(), (self.clock)());
        self.state().insert(key, value, expires, now)
    }

    /// As [`Backend::get_or_insert_with`], without copying the value. `make` must not ask this store
    /// for the same key: it would wait for itself forever.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_shared_or_insert_with<E>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> Result<Arc<[u8]>, E>,
    ) -> Result<Arc<[u8]>, E> {
        let (flight, landing) = match self.board(key) {
            Ok(value) => return Ok(value),
            Err(boarded) => boarded,
        };
        let value = make()?;
        // Waiting threads get the value even if it is too large to be stored.
        let _ = flight.value.set(Arc::clone(&value));
        let _ = self.insert(key, Arc::clone(&value));
        drop(landing);
        Ok(value)
    }

    /// Returns the value under `key`, after waiting for a thread that is making it. If there is neither,
    /// `Err` holds a new flight, and the caller must make the value.
    fn board(&self, key: &[u8]) -> Result<Bytes, (Arc<MemoryFlight>, Landing<'_>)> {
        let mut now = (self.clock)();
        let mut state = self.state();
        loop {
            if let Some(value) = state.look(key, now) {
                state.hits += 1;
                return Ok(value);
            }
            let Some(flight) = state.flights.get(key).map(Arc::clone) else {
                break;
            };
            let is_flying = |state: &mut MemoryState| {
                let current = state.flights.get(key);
                current.is_some_and(|current| Arc::ptr_eq(current, &flight))
            };
            let waited = self.landed.wait_while(state, is_flying);
            // The clock is the caller's code, which must not run under the lock.
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            now = (self.clock)();
            state = self.state();
            if let Some(value) = flight.value.get() {
                state.hits += 1;
                // If the value is stored, marks it as used.
                let stored = state.look(key, now);
                return Ok(stored.unwrap_or_else(|| Arc::clone(value)));
            }
        }
        state.misses += 1;
        let flight = Arc::new(MemoryFlight::default());
        let key = Bytes::from(key);
        state.flights.insert(Arc::clone(&key), Arc::clone(&flight));
        let landing = Landing { store: self, key };
        Err((flight, landing))
    }

    fn state(&self) -> MutexGuard<'_, MemoryState> {
        // Nothing under the lock can panic except for lack of memory, so a poisoned state is intact.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get_shared(key).map(|value| value.to_vec()))
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.insert(key, value).map(|_| ())
    }

    fn remove(&self, key: &[u8]) -> Result<bool, StoreError> {
        let now = (self.clock)();
        let mut state = self.state();
        let slot = state.take(key);
        Ok(slot.is_some_and(|slot| !state.policy.is_expired(&slot.facts, now)))
    }

    fn len(&self) -> Result<u64, StoreError> {
        Ok(self.entries()?.len() as u64)
    }

    fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let now = (self.clock)();
        let state = self.state();
        let slots = state.slots.iter();
        let valid = slots.filter(|(_, slot)| !state.policy.is_expired(&slot.facts, now));
        Ok(valid.map(|(key, slot)| slot.entry(key)).collect())
    }

    fn clear(&self) -> Result<Cleared, StoreError> {
        let mut state = self.state();
        let cleared = Cleared {
            files: state.slots.len() as u64,
            bytes: state.bytes,
        };
        let slots = std::mem::take(&mut state.slots);
        state.bytes = 0;
        state.next_expiry = None;
        drop(state);
        // After the lock, because freeing many values takes time.
        drop(slots);
        Ok(cleared)
    }

    fn expire(&self) -> Result<Vec<Entry>, StoreError> {
        let now = (self.clock)();
        Ok(self.state().expire(now))
    }

    fn info(&self) -> Result<Info, StoreError> {
        let state = self.state();
        Ok(Info {
            hits: state.hits,
            misses: state.misses,
            bytes: state.bytes,
            max_bytes: state.limits.max_bytes,
        })
    }

    fn get_or_insert_with<E>(
        &self,
        key: &[u8],
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let shared = self.get_shared_or_insert_with(key, || make().map(Bytes::from))?;
        Ok(shared.to_vec())
    }
}

impl MemoryState {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            policy: Policy::default(),
            slots: BTreeMap::new(),
            bytes: 0,
            last_use: Nanos::MIN,
            next_expiry: None,
            hits: 0,
            misses: 0,
            flights: BTreeMap::new(),
        }
    }

    /// The value under `key`, marked as used, unless it has expired.
    fn look(&mut self, key: &[u8], now: Nanos) -> Option<Bytes> {
        let time = self.next_use(now);
        let slot = self.slots.get_mut(key)?;
        if self.policy.is_expired(&slot.facts, now) {
            return None;
        }
        slot.facts.read = time;
        slot.facts.uses += 1;
        Some(Arc::clone(&slot.value))
    }

    /// Stores `value` unless it has expired already. Returns the entries that were removed.
    fn insert(
        &mut self,
        key: &[u8],
        value: Bytes,
        expires: Option<Nanos>,
        now: Nanos,
    ) -> Result<Vec<Entry>, StoreError> {
        let size = value.len() as u64;
        let mut facts = Candidate {
            size,
            expires,
            ..Candidate::default()
        };
        if self.policy.is_expired(&facts, now) {
            let removed = self.expire(now);
            self.take(key);
            return Ok(removed);
        }
        let max_bytes = self.limits.max_bytes;
        if size > max_bytes {
            return Err(StoreError::TooLarge { size, max_bytes });
        }
        let removed = self.make_room(key, size, now);
        let time = self.next_use(now);
        // A value that replaces another keeps its use count, unless the old one was just evicted.
        let replaced = self.take(key);
        facts.uses = replaced.map_or(0, |old| old.facts.uses) + 1;
        (facts.read, facts.written) = (time, time);
        self.bytes += size;
        let expiries = self.next_expiry.into_iter().chain(expires);
        self.next_expiry = expiries.min();
        self.slots
            .insert(Bytes::from(key), MemorySlot { value, facts });
        Ok(removed)
    }

    fn take(&mut self, key: &[u8]) -> Option<MemorySlot> {
        let slot = self.slots.remove(key)?;
        self.bytes -= slot.facts.size;
        Some(slot)
    }

    /// Removes the policy's victims, so that a value of `size` bytes fits in under `key`.
    fn make_room(&mut self, key: &[u8], size: u64, now: Nanos) -> Vec<Entry> {
        let (policy, limits) = (self.policy, self.limits);
        let replaced = self.slots.get(key).map_or(0, |slot| slot.facts.size);
        let others = self.bytes - replaced;
        if others.saturating_add(size) <= limits.max_bytes {
            return self.expire(now);
        }
        self.evict(|keys, mut entries| {
            // The old value under `key` takes no room, whether it is evicted now or replaced later.
            if let Ok(at) = keys.binary_search_by(|held| held.as_ref().cmp(key)) {
                entries[at].size = 0;
            }
            policy.victims(&entries, limits.without(size), now)
        })
    }

    /// Removes expired values.
    fn expire(&mut self, now: Nanos) -> Vec<Entry> {
        let policy = self.policy;
        match self.next_expiry {
            Some(moment) if policy.knows_expiry() && moment <= now => {
                self.evict(|_, entries| policy.expired(&entries, now))
            }
            _ => Vec::new(),
        }
    }

    /// Removes the entries whose indices `choose` returns, given all keys and their facts in one order.
    fn evict(&mut self, choose: impl FnOnce(&[Bytes], Vec<Candidate>) -> Vec<usize>) -> Vec<Entry> {
        let keys: Vec<Bytes> = self.slots.keys().map(Arc::clone).collect();
        let facts = self.slots.values().map(|slot| slot.facts).collect();
        let victims = choose(&keys, facts);
        let mut removed = Vec::with_capacity(victims.len());
        for at in victims {
            if let Some(slot) = self.take(&keys[at]) {
                removed.push(slot.entry(&keys[at]));
            }
        }
        let expiries = self.slots.values().filter_map(|slot| slot.facts.expires);
        self.next_expiry = expiries.min();
        removed
    }

    /// The time of a new use: now, or just after the last use.
    fn next_use(&mut self, now: Nanos) -> Nanos {
        self.last_use = now.max(self.last_use.saturating_add(1));
        self.last_use
    }
}

impl MemorySlot {
    fn entry(&self, key: &[u8]) -> Entry {
        Entry {
            name: Name::of(key),
            size: self.facts.size,
            read: self.facts.read,
            written: self.facts.written,
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryStore")
            .field("limits", &state.limits)
            .field("policy", &state.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Backend, Limits, MemoryStore};
    use std::convert::Infallible;
    use std::sync::mpsc;
    use std::thread;

    /// A unit test, because only the flight's reference count shows how many threads wait: two more references exist.
    #[test]
    fn value_too_large_to_store_still_goes_to_those_who_waited() {
        const WAITERS: usize = 5;
        let store = MemoryStore::new(Limits::exactly(2)).unwrap();
        let made = |value: &[u8]| Ok::<_, Infallible>(value.to_vec());
        let (start, started) = mpsc::channel();
        thread::scope(|scope| {
            let store = &store;
            let first = scope.spawn(move || {
                store.get_or_insert_with(b"key", || {
                    start.send(()).unwrap();
                    let waiting = || Arc::strong_count(&store.state().flights[b"key".as_slice()]);
                    while waiting() < 2 + WAITERS {
                        thread::yield_now();
                    }
                    made(b"large")
                })
            });
            started.recv().unwrap();
            let ask = || store.get_or_insert_with(b"key", || made(b"another"));
            let others: Vec<_> = (0..WAITERS).map(|_| scope.spawn(ask)).collect();
            for thread in others.into_iter().chain([first]) {
                assert_eq!(thread.join().unwrap().unwrap(), b"large");
            }
        });
        let info = store.info().unwrap();
        assert_eq!((info.hits, info.misses, info.bytes), (WAITERS as u64, 1, 0));
    }
}
