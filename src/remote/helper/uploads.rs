//! Sends what the queue names, oldest first, until it is empty.

use super::transfer::{Sending, Transfer};
use crate::outcome::RemoteFailure;
use crate::remote::queue::Queue;
use crate::stats::Counter;
use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// More files are not kept: what was made first is given up.
const MOST_QUEUED: usize = 20_000;

/// How long an uploader waits after a server did not answer, and how often it looks into the queue without being told.
const PAUSE: Duration = Duration::from_secs(2);

/// What uploaders share.
pub(super) struct Uploads {
    queue: Queue,
    /// The files that an uploader has taken.
    taken: Mutex<HashSet<String>>,
    told: Condvar,
}

impl Uploads {
    pub(super) fn of(queue: Queue) -> Self {
        Self {
            queue,
            taken: Mutex::default(),
            told: Condvar::new(),
        }
    }

    /// Wakes the uploaders.
    pub(super) fn tell(&self) {
        self.told.notify_all();
    }

    /// How many files wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.names().map_or(0, |names| names.len())
    }

    /// Sends until the process ends.
    pub(super) fn run(&self, transfer: &Transfer) {
        loop {
            let Some(name) = self.take(transfer) else {
                let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                drop(self.told.wait_timeout(taken, PAUSE));
                continue;
            };
            let is_done = self.send(&name, transfer);
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.remove(&name);
            if !is_done {
                drop(self.told.wait_timeout(taken, PAUSE));
            }
        }
    }

    /// The oldest file that no other uploader has taken.
    fn take(&self, transfer: &Transfer) -> Option<String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.queue.names().ok()?;
        let excess = names.len().saturating_sub(MOST_QUEUED);
        for name in &names[..excess] {
            let lost = self.queue.read(name).map_or(0, |records| records.len());
            let stats = transfer.store.stats();
            stats.add(Counter::RemoteUnsent, lost as u64);
            stats.add(Counter::RemoteFailed(RemoteFailure::Queue), 1);
            let _ = self.queue.remove(name);
        }
        let mut names = names.into_iter().skip(excess);
        let name = names.find(|name| !taken.contains(name))?;
        taken.insert(name.clone());
        Some(name)
    }

    /// Sends the records that a file names, and removes it. Returns whether that is done.
    fn send(&self, name: &str, transfer: &Transfer) -> bool {
        let Ok(records) = self.queue.read(name) else {
            return false;
        };
        for record in &records {
            match transfer.send(record) {
                Sending::Done => {}
                Sending::Gone => transfer.store.stats().add(Counter::RemoteUnsent, 1),
                Sending::Later => return false,
            }
        }
        self.queue.remove(name).is_ok()
    }
}
