//! Sends what the queue names, oldest first, until it is empty. What could not be sent is tried again after the rest.

use super::transfer::{Sending, Transfer};
use crate::outcome::RemoteFailure;
use crate::remote::queue::Queue;
use crate::stats::Counter;
use crate::store::QueuedRecord;
use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// More files are not kept: what was made first is given up.
const MOST_QUEUED: usize = 20_000;

/// How long an uploader waits after a server did not answer, and how often it looks into the queue without being told.
const PAUSE: Duration = Duration::from_secs(2);

/// How long after it was written a list of path sets is looked at again, and up to as long again by chance: longer than
/// another machine takes from reading a list to writing it.
const SETTLING: Duration = Duration::from_millis(200);

/// How often a list is written at most: machines that want more sets than a list has room for must not go on forever.
const MOST_ROUNDS: u32 = 4;

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
    /// Files that are sent, apart from lists that are looked at again: first those that are due first.
    settling: VecDeque<SettlingFile>,
    /// Whether there may be new files.
    has_news: bool,
}

/// A file of which nothing is left to send but lists of path sets that another machine may have replaced.
struct SettlingFile {
    name: String,
    lists: Vec<QueuedRecord>,
    due: Instant,
    rounds: u32,
}

/// What became of a file of the queue.
enum SentFile {
    /// All of it is sent, or given up.
    Whole,
    /// These lists were written, and are looked at again.
    Lists(Vec<QueuedRecord>),
    /// It is tried again.
    Later,
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
            let is_done = transfer.may_send()
                && (self.settle_next(transfer, Instant::now()) || self.send_next(transfer));
            if !is_done {
                self.pause();
            }
        }
    }

    /// Sends what the next file names. Returns whether there was one, and it was sent.
    fn send_next(&self, transfer: &Transfer) -> bool {
        let Some(name) = self.take() else {
            return false;
        };
        let records = self.queue.read(&name);
        let sent = records.map_or(SentFile::Later, |records| send(&records, transfer));
        self.end_round(name, sent, 1)
    }

    /// Sends lists that were written a while before `now` again, which writes those alone that lack something. Returns
    /// whether there were any, and they were sent.
    fn settle_next(&self, transfer: &Transfer, now: Instant) -> bool {
        let next = {
            let mut claims = self.lock();
            let is_due = claims.settling.front().is_some_and(|file| file.due <= now);
            is_due.then(|| claims.settling.pop_front()).flatten()
        };
        let Some(file) = next else {
            return false;
        };
        let sent = send(&file.lists, transfer);
        self.end_round(file.name, sent, file.rounds + 1)
    }

    /// Removes a file that was sent in so many rounds, or keeps it for another. Returns whether it was sent.
    fn end_round(&self, name: String, sent: SentFile, rounds: u32) -> bool {
        let is_removed = match sent {
            SentFile::Lists(lists) if rounds < MOST_ROUNDS => {
                let file = SettlingFile {
                    name,
                    lists,
                    due: Instant::now() + SETTLING + chance(SETTLING),
                    rounds,
                };
                self.lock().settling.push_back(file);
                return true;
            }
            SentFile::Whole | SentFile::Lists(_) => self.queue.remove(&name).is_ok(),
            SentFile::Later => false,
        };
        let mut claims = self.lock();
        claims.taken.remove(&name);
        if !is_removed {
            claims.failed.insert(name);
        }
        is_removed
    }

    /// Waits until there may be new files, or it is time to look at lists again, or to try those files again that failed.
    fn pause(&self) {
        let is_old = |claims: &mut Claims| !claims.has_news;
        let claims = self.lock();
        let due = claims.settling.front().map(|file| file.due);
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        let pause = left.map_or(PAUSE, |left| left.min(PAUSE));
        let waited = self.told.wait_timeout_while(claims, pause, is_old);
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
}

/// Sends records of one file.
fn send(records: &[QueuedRecord], transfer: &Transfer) -> SentFile {
    let mut lists = Vec::new();
    for record in records {
        match transfer.send(record) {
            Sending::Done => {}
            Sending::ListWritten => lists.push(*record),
            Sending::Gone => transfer.store.stats().add(Counter::RemoteUnsent, 1),
            Sending::Later => return SentFile::Later,
        }
    }
    if lists.is_empty() {
        SentFile::Whole
    } else {
        SentFile::Lists(lists)
    }
}

/// A time of up to `most` that differs from machine to machine.
fn chance(most: Duration) -> Duration {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = time.map_or(0, |time| time.subsec_micros());
    most.mul_f64(f64::from(micros % 1000) / 1000.0)
}

#[cfg(test)]
mod tests;
