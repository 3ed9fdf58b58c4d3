//! A mutex for each key, among the threads of this process.

use super::Name;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One mutex for each name that a thread holds or waits for.
#[derive(Debug, Default)]
pub(super) struct KeyLocks {
    gates: Mutex<HashMap<Name, Arc<Mutex<()>>>>,
}

impl KeyLocks {
    /// Runs `turn` while no other thread runs one for `name`. If `turn` panics, the next thread goes on.
    pub(super) fn take<T>(&self, name: Name, turn: impl FnOnce() -> T) -> T {
        let gate = Arc::clone(self.gates().entry(name).or_default());
        let _leave = Leave { turns: self, name };
        let _turn = gate.lock().unwrap_or_else(PoisonError::into_inner);
        turn()
    }

    fn gates(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Arc<Mutex<()>>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the mutex from the map when no other thread holds it or waits for it.
struct Leave<'a> {
    turns: &'a KeyLocks,
    name: Name,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut gates = self.turns.gates();
        // The two references are the map's own and that of the thread that leaves.
        let is_last = |gate: &Arc<Mutex<()>>| Arc::strong_count(gate) <= 2;
        if gates.get(&self.name).is_some_and(is_last) {
            gates.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyLocks;
    use crate::store::Name;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    #[test]
    fn turns_of_one_key_do_not_overlap_and_leave_nothing() {
        let (turns, inside, done) = (KeyLocks::default(), AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        turns.take(Name([1; 32]), || {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            done.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 800);
        assert!(turns.gates().is_empty());
    }

    #[test]
    fn panic_ends_a_turn() {
        let turns = KeyLocks::default();
        let name = Name([2; 32]);
        let panicking = || turns.take(name, || panic!("expected"));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        assert_eq!(turns.take(name, || 7), 7);
        assert!(turns.gates().is_empty());
    }
}
