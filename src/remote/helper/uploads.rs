//! Sends what the queue names, oldest first, until it is empty. What could not be sent is tried again after the rest.

use super::transfer::{Sending, Transfer};
use crate::outcome::RemoteFailure;
use crate::remote::queue::Queue;
use crate::stats::Counter;
use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// More files are not kept: what was made first is given up.
const MOST_QUEUED: usize = 20_000;

/// How long an uploader waits after a server did not answer, and how often it looks into the queue without being told.
const PAUSE: Duration = Duration::from_secs(2);

/// What uploaders share.
pub(super) struct Uploads {
    queue: Queue,
    claims: Mutex<Claims>,
    told: Condvar,
}

#[derive(Default)]
struct Claims {
    /// The files that an uploader has taken.
    taken: HashSet<String>,
    /// Files that could not be sent: the others come first, since one value that a server does not take must not keep
    /// them from being sent.
    failed: HashSet<String>,
    /// Whether there may be new files.
    has_news: bool,
}

impl Uploads {
    pub(super) fn of(queue: Queue) -> Self {
        Self {
            queue,
            claims: Mutex::default(),
            told: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the uploaders.
    pub(super) fn tell(&self) {
        self.lock().has_news = true;
        self.told.notify_all();
    }

    /// How many files wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.names().map_or(0, |names| names.len())
    }

    /// Sends until the process ends.
    pub(super) fn run(&self, transfer: &Transfer) {
        loop {
            self.give_up_excess(transfer);
            let is_done = transfer.may_send() && self.send_next(transfer);
            if !is_done {
                self.pause();
            }
        }
    }

    /// Sends what the next file names. Returns whether there was one, and it is done.
    fn send_next(&self, transfer: &Transfer) -> bool {
        let Some(name) = self.take() else {
            return false;
        };
        let is_done = self.send(&name, transfer);
        let mut claims = self.lock();
        claims.taken.remove(&name);
        if !is_done {
            claims.failed.insert(name);
        }
        is_done
    }

    /// Waits until there may be new files, or it is time to try those again that failed.
    fn pause(&self) {
        let is_old = |claims: &mut Claims| !claims.has_news;
        let waited = self.told.wait_timeout_while(self.lock(), PAUSE, is_old);
        let (mut claims, _) = waited.unwrap_or_else(PoisonError::into_inner);
        claims.has_news = false;
    }

    /// Removes the oldest files if there are too many.
    fn give_up_excess(&self, transfer: &Transfer) {
        let names = self.queue.names().unwrap_or_default();
        let excess = names.len().saturating_sub(MOST_QUEUED);
        for name in &names[..excess] {
            let lost = self.queue.read(name).map_or(0, |records| records.len());
            let stats = transfer.store.stats();
            stats.add(Counter::RemoteUnsent, lost as u64);
            stats.add(Counter::RemoteFailed(RemoteFailure::Queue), 1);
            let _ = self.queue.remove(name);
        }
    }

    /// The oldest file that no other uploader has taken, and that has not failed since all were tried.
    fn take(&self) -> Option<String> {
        let mut claims = self.lock();
        let names = self.queue.names().ok()?;
        let is_free =
            |name: &&String| !claims.taken.contains(*name) && !claims.failed.contains(*name);
        let name = names.iter().find(is_free).cloned();
        match &name {
            Some(name) => drop(claims.taken.insert(name.clone())),
            None => claims.failed.clear(),
        }
        name
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
