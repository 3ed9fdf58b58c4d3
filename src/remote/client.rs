//! The shared level as one compile sees it. It waits for the helper at most `PCACHE_REMOTE_WAIT` in all, and asks it
//! nothing more once it has failed. While a distant server answers, the tools run that its answer may make unnecessary.

use super::connection::{
    Quiet, connect, is_busy, is_recent, is_silence, open, read_all, start, wait,
};
use super::place::HelperPlace;
use super::protocol::{Asker, FetchAnswer, Greeting, Request};
use crate::config::Config;
use crate::key::Digest;
use crate::outcome::RemoteFailure;
use crate::stats::{Counter, Stats};
use crate::store::{QueuedRecord, RecordId, Worth};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no compile tries again after a helper could not be started, or did not answer.
const PAUSE: Duration = Duration::from_secs(30);

/// How long a compile waits for an answer before it runs a tool that the answer may make unnecessary. A server in the same
/// building answers in that time, and starting and killing a tool costs more of it.
const NEAR: Duration = Duration::from_millis(5);

/// Most requests of one compile that wait for answers side by side: each has a connection and a thread of the helper. A
/// unit with six archs has ten. More are not made.
const MOST_PENDING: usize = 12;

/// What one compile asks of other machines, and has for them.
pub struct Remote<'a> {
    config: &'a Config,
    own: &'a Path,
    stats: &'a Stats,
    start: HelperStart,
    /// How many records servers had that this compile asked for, lists of path sets included.
    brought: AtomicU64,
    /// Each request that is answered while tools run owns this, too.
    pending: Arc<()>,
    state: Mutex<State>,
}

/// Whether a process may start the helper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HelperStart {
    WhenNeeded,
    /// The process is a program that knows nothing of us: it may wait for its children, any of them.
    Never,
}

#[derive(Default)]
struct State {
    /// Those that no stage uses now. Stages that run side by side ask side by side.
    connections: Vec<UnixStream>,
    /// What is left of `PCACHE_REMOTE_WAIT`.
    left: Duration,
    /// How long it has waited.
    waited: Duration,
    has_failed: bool,
    /// Whether an answer took longer than [`NEAR`].
    is_far: bool,
    /// Whether the helper has seen no list of path sets and no direct result for a while.
    is_doubtful: bool,
    /// The requests for these whose answers have yet to come.
    lookups: Vec<PendingFetch>,
    asked: HashSet<RecordId>,
    made: Vec<QueuedRecord>,
}

impl<'a> Remote<'a> {
    /// `None` if no server is configured. `own` is the directory of this user's own files for the cache.
    pub fn new(config: &'a Config, own: &'a Path, stats: &'a Stats) -> Option<Self> {
        let is_wanted = !config.remote.value.0.is_empty() && !config.disable.value;
        is_wanted.then(|| Self {
            config,
            own,
            stats,
            start: HelperStart::WhenNeeded,
            brought: AtomicU64::new(0),
            pending: Arc::new(()),
            state: Mutex::new(State {
                left: config.remote_wait.value.into(),
                ..State::default()
            }),
        })
    }

    /// As [`Remote::new`], in a program that is not ours. It starts no process: without a running helper it asks for
    /// nothing, and what it queues waits for the next one.
    pub(crate) fn in_program(config: &'a Config, own: &'a Path, stats: &'a Stats) -> Option<Self> {
        let start = HelperStart::Never;
        Self::new(config, own, stats).map(|remote| Self { start, ..remote })
    }

    /// Has a helper run, for programs that start none. Best effort.
    pub(crate) fn start_helper(&self) {
        let left = self.lock().left;
        let _ = self.connect(left);
    }

    /// Closes the connections, since the process goes on with other things, and may fork.
    pub(crate) fn hang_up(&self) {
        self.lock().connections.clear();
    }

    /// Whether the record under `key` is in the local cache now, where it was not before. Asks for each record once.
    pub(crate) fn fetch(&self, worth: Worth, key: &Digest) -> bool {
        let id = RecordId { worth, key: *key };
        self.request(vec![id], Patience::Whole, Request::Fetch)
            .is_here()
    }

    /// Asks for the records under `keys`, each of which would do. Returns the request if its answer takes longer than that
    /// of a near server.
    pub(crate) fn ask<'k>(
        &self,
        worth: Worth,
        keys: impl Iterator<Item = &'k Digest>,
    ) -> Option<PendingFetch> {
        let ids = keys.map(|key| RecordId { worth, key: *key }).collect();
        self.request(ids, Patience::Near, Request::Fetch).pending()
    }

    /// As [`Remote::fetch`] for a list of path sets, of which only those are taken that lead to what this compile searches:
    /// `named` are its working directory, and other paths. If the compile `may_go_on` and servers had nothing for such
    /// requests lately, the request is left for [`Remote::take_lookups`].
    pub(crate) fn fetch_list(
        &self,
        key: &Digest,
        may_go_on: bool,
        named: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> bool {
        let worth = Worth::Result;
        let id = RecordId { worth, key: *key };
        self.look_up(id, may_go_on, |asker, _| {
            Request::FetchList(asker, id, named())
        })
    }

    /// The same for a direct result.
    pub(crate) fn fetch_direct(&self, key: &Digest, may_go_on: bool) -> bool {
        let worth = Worth::Result;
        let id = RecordId { worth, key: *key };
        self.look_up(id, may_go_on, |asker, _| Request::FetchDirect(asker, id))
    }

    fn look_up(
        &self,
        id: RecordId,
        may_go_on: bool,
        request: impl FnOnce(Asker, Vec<RecordId>) -> Request,
    ) -> bool {
        let patience = if may_go_on {
            Patience::Doubtful
        } else {
            Patience::Whole
        };
        let asked = self.request(vec![id], patience, request);
        let is_here = asked.is_here();
        self.lock().lookups.extend(asked.pending());
        is_here
    }

    /// The requests of direct mode whose answers have yet to come.
    pub(crate) fn take_lookups(&self) -> Vec<PendingFetch> {
        std::mem::take(&mut self.lock().lookups)
    }

    /// Asks for those of the records that were not asked for before.
    fn request(
        &self,
        mut ids: Vec<RecordId>,
        patience: Patience,
        request: impl FnOnce(Asker, Vec<RecordId>) -> Request,
    ) -> Asked {
        let (free, left) = {
            let mut state = self.lock();
            let is_over = state.has_failed
                || (patience != Patience::Whole && Arc::strong_count(&self.pending) > MOST_PENDING);
            ids.retain(|id| !is_over && state.asked.insert(*id));
            if ids.is_empty() {
                return Asked::Answered;
            }
            (state.connections.pop(), state.left)
        };
        let began = Instant::now();
        let count = ids.len();
        let asked = self.connected(free, left).and_then(|connection| {
            self.ask_over(connection, patience, left, |m| request(m, ids), count)
        });
        let mut state = self.lock();
        let waited = began.elapsed();
        state.left = state.left.saturating_sub(waited);
        state.waited += waited;
        drop(state);
        asked.unwrap_or_else(|failure| {
            self.fail(failure);
            Asked::Answered
        })
    }

    /// A free connection, or a new one.
    ///
    /// # Errors
    /// The error is `None` if no helper runs, and none may be started.
    fn connected(
        &self,
        free: Option<UnixStream>,
        left: Duration,
    ) -> Result<UnixStream, Option<RemoteFailure>> {
        if left.is_zero() {
            return Err(Some(RemoteFailure::Wait));
        }
        free.map_or_else(|| self.connect(left), Ok)
    }

    /// Sends a request for `count` records, and waits for the answer as long as it has `patience`.
    fn ask_over(
        &self,
        connection: UnixStream,
        patience: Patience,
        left: Duration,
        request: impl FnOnce(Asker) -> Request,
        count: usize,
    ) -> Result<Asked, Option<RemoteFailure>> {
        let near = {
            let state = self.lock();
            let is_short = match patience {
                Patience::Whole => false,
                Patience::Near => true,
                Patience::Doubtful => state.is_doubtful,
            };
            let near = if state.is_far { Duration::ZERO } else { NEAR };
            is_short.then_some(near.min(left))
        };
        let asker = match near {
            None => Asker::Waits,
            Some(_) => Asker::Works,
        };
        let pending = PendingFetch {
            connection,
            count,
            is_answered: Cell::new(false),
            _counted: None,
        };
        let sent = pending.send(&request(asker), left);
        sent.map_err(|error| Some(failure_of(&error)))?;
        if let Some(near) = near
            && !pending.is_answered_within(near)
        {
            self.lock().is_far = true;
            return Ok(Asked::Pending(PendingFetch {
                _counted: Some(Arc::clone(&self.pending)),
                ..pending
            }));
        }
        let is_here = self.answer(&pending, left).map_err(Some)?;
        self.lock().connections.push(pending.connection);
        Ok(if is_here {
            Asked::Here
        } else {
            Asked::Answered
        })
    }

    /// Takes the answer to a request, whose descriptor is readable. Returns whether the local cache has one of the records
    /// now, where it had not before.
    pub(crate) fn take_answer(&self, pending: &PendingFetch) -> bool {
        // The helper writes it at once.
        let answer = self.answer(pending, NEAR.max(self.config.remote_wait.value.into()));
        answer.unwrap_or_else(|failure| {
            self.fail(Some(failure));
            false
        })
    }

    fn answer(&self, pending: &PendingFetch, patience: Duration) -> Result<bool, RemoteFailure> {
        let mut answers = vec![0; pending.count];
        pending.is_answered.set(true);
        read_all(&pending.connection, &mut answers, patience)
            .map_err(|error| failure_of(&error))?;
        let answers = answers.into_iter().map(FetchAnswer::of);
        let answers: Option<Vec<_>> = answers.collect();
        let answers = answers.ok_or(RemoteFailure::Helper)?.into_iter();
        let brought = answers.filter(|answer| *answer == FetchAnswer::Imported);
        let brought = brought.count() as u64;
        self.brought.fetch_add(brought, Ordering::Relaxed);
        Ok(brought > 0)
    }

    /// Asks nothing more. Of stages that asked side by side, one counts the failure.
    fn fail(&self, failure: Option<RemoteFailure>) {
        let is_first = !std::mem::replace(&mut self.lock().has_failed, true);
        if let Some(failure) = failure.filter(|_| is_first) {
            self.stats.add(Counter::RemoteFailed(failure), 1);
        }
    }

    /// How many records servers have brought for this compile so far.
    pub(crate) fn brought(&self) -> u64 {
        self.brought.load(Ordering::Relaxed)
    }

    /// Microseconds that this compile has waited for servers so far.
    pub fn waited(&self) -> u64 {
        u64::try_from(self.lock().waited.as_micros()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to the helper. Starts it if it does not run. Does neither if that failed a short while ago.
    fn connect(&self, patience: Duration) -> Result<UnixStream, Option<RemoteFailure>> {
        let (place, settings) = HelperPlace::of(self.config, self.own);
        let silent = place.silent();
        let was_silent = silent.exists();
        if was_silent && is_recent(&silent, PAUSE) {
            return Err(Some(RemoteFailure::Helper));
        }
        if was_silent {
            // Of compiles that run side by side, one tries again.
            let _ = fs::write(&silent, "");
        }
        let connected = self.connect_or_start(&place, &settings, patience);
        match &connected {
            Ok(_) if was_silent => drop(fs::remove_file(&silent)),
            Ok(_) => {}
            // The next compile may find it with time.
            Err(error) if is_busy(error) => return Err(None),
            // That of a helper which was not even tried says nothing.
            Err(error) if self.start == HelperStart::Never && !is_silence(error) => {
                return Err(None);
            }
            Err(_) => drop(fs::write(&silent, "")),
        }
        let (connection, greeting) = connected.map_err(|_| Some(RemoteFailure::Helper))?;
        self.lock().is_doubtful = greeting == Greeting::Doubtful;
        Ok(connection)
    }

    fn connect_or_start(
        &self,
        place: &HelperPlace,
        settings: &[u8],
        patience: Duration,
    ) -> io::Result<(UnixStream, Greeting)> {
        match connect(place, patience) {
            Err(error) if !is_silence(&error) => {}
            connected => return connected,
        }
        if is_recent(&place.attempt(), self.config.remote_wait.value.into()) {
            // Another compile has just started it.
            return wait(place, patience);
        }
        if self.start == HelperStart::Never {
            return Err(ErrorKind::NotConnected.into());
        }
        place.prepare(settings)?;
        start(place)?;
        wait(place, patience)
    }

    /// Notes that the record under `key` was made, for other machines.
    pub(crate) fn made(&self, worth: Worth, key: &Digest) {
        let mut state = self.lock();
        let id = RecordId { worth, key: *key };
        state.made.push(QueuedRecord::Made(id));
    }

    /// Queues what was made, and tells the helper. Best effort: what cannot be queued is not sent.
    pub fn finish(&self) {
        let mut state = self.lock();
        if state.made.is_empty() || !self.may_send() {
            return;
        }
        let (place, settings) = HelperPlace::of(self.config, self.own);
        let queued = place.prepare(&settings);
        if queued
            .and_then(|()| place.queue().add(&state.made))
            .is_err()
        {
            let failure = Counter::RemoteFailed(RemoteFailure::Queue);
            self.stats.add(failure, 1);
            return;
        }
        // A helper that is in trouble looks into the queue when it is well again.
        if state.has_failed || is_recent(&place.silent(), PAUSE) {
            return;
        }
        match state.connections.pop().map_or_else(|| open(&place), Ok) {
            Ok(connection) => drop(Request::Queued.write(&mut Quiet(&connection))),
            Err(_) if self.start == HelperStart::Never => {}
            Err(error) if is_silence(&error) || is_recent(&place.attempt(), PAUSE) => {}
            // Nothing waits for it: it sends what it finds when it has started.
            Err(_) => drop(start(&place)),
        }
    }

    /// Whether anything is sent. A machine that would not believe its own results sends none.
    fn may_send(&self) -> bool {
        let servers = &self.config.remote.value.0;
        let is_reader =
            self.config.sign_key.value.is_none() && !self.config.trusted_keys.value.0.is_empty();
        !is_reader && servers.iter().any(|server| !server.read_only)
    }
}

/// How long a compile waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As long as it waits at all.
    Whole,
    /// As long as a near server takes.
    Near,
    /// The same if servers had nothing for direct mode lately, and otherwise as long as it waits at all: what comes saves
    /// all passes, and running them meanwhile costs processor time.
    Doubtful,
}

/// What became of a request.
enum Asked {
    /// The local cache has a record now, where it was not before.
    Here,
    /// It has none, or nothing was asked for.
    Answered,
    Pending(PendingFetch),
}

impl Asked {
    fn is_here(&self) -> bool {
        matches!(self, Self::Here)
    }

    fn pending(self) -> Option<PendingFetch> {
        match self {
            Self::Pending(pending) => Some(pending),
            Self::Here | Self::Answered => None,
        }
    }
}

/// A request whose answer has yet to come.
pub(crate) struct PendingFetch {
    connection: UnixStream,
    /// How many records it is for.
    count: usize,
    is_answered: Cell<bool>,
    /// One more owner of [`Remote::pending`], for as long as this request has a thread of the helper.
    _counted: Option<Arc<()>>,
}

impl PendingFetch {
    /// A descriptor that is readable when the answer is there; `None` once that was taken.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (!self.is_answered.get()).then(|| self.connection.as_fd())
    }

    fn send(&self, request: &Request, patience: Duration) -> io::Result<()> {
        self.connection.set_write_timeout(Some(patience))?;
        request.write(&mut Quiet(&self.connection))
    }

    fn is_answered_within(&self, patience: Duration) -> bool {
        let patience = Timespec::try_from(patience).ok();
        let mut answer = [PollFd::new(&self.connection, PollFlags::IN)];
        // A signal ends the waiting, too: a tool that starts now is stopped by it.
        poll(&mut answer, patience.as_ref()).is_ok_and(|ready| ready > 0)
    }
}

fn failure_of(error: &io::Error) -> RemoteFailure {
    match error.kind() {
        // The helper goes on, and the next compile finds what it brings.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => RemoteFailure::Wait,
        _ => RemoteFailure::Helper,
    }
}
