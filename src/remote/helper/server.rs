//! One server: its connections for compiles that wait and for results that are sent, and how it has answered.

use super::action_result;
use super::breaker::Breaker;
use crate::config::RemoteServer;
use crate::outcome::RemoteFailure;
use crate::remote::backend::{BackendError, BadUrl, RemoteBackend, ServerFault, Timeouts, open};
use crate::stats::{Counter, Stats};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What sending may take: no compile waits for it.
const SENDING: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(20),
    whole: Duration::from_secs(60),
};

/// What a probe may take.
const PROBING: Duration = Duration::from_secs(2);

/// The share of what a compile waits in which a server must answer for the first time, or again after it failed: until
/// then, it may be one that never answers.
const FIRST_SHARE: f32 = 0.5;

/// The share in which it must answer a probe: from one that takes longer, a compile would get little in time.
const PROBE_SHARE: f32 = 0.2;

/// A failure after this share has cost a compile much of what it can wait.
const DEAR_SHARE: f32 = 0.2;

/// One server.
pub(super) struct Server {
    pub(super) settings: RemoteServer,
    /// What a compile waits for it at most.
    wait: Duration,
    /// Until it has answered, and then.
    meeting: Box<dyn RemoteBackend>,
    fetching: Box<dyn RemoteBackend>,
    sending: Box<dyn RemoteBackend>,
    probing: Box<dyn RemoteBackend>,
    /// Of requests for which compiles wait, and of those that send results: a full server still answers.
    pub(super) fetch_breaker: Breaker,
    pub(super) send_breaker: Breaker,
    stats: Arc<Stats>,
}

/// A request could not be answered; it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It may be answered later.
    Now,
    /// The server does not take so large a value.
    Ever,
}

impl Server {
    /// `wait` is how long a compile waits at most.
    pub(super) fn new(
        settings: &RemoteServer,
        wait: Duration,
        stats: Arc<Stats>,
    ) -> Result<Self, BadUrl> {
        let within = |time: Duration| Timeouts {
            connect: time.mul_f32(0.5),
            first_byte: time.mul_f32(0.8),
            whole: time,
        };
        let at = |timeouts| open(&settings.url, timeouts);
        Ok(Self {
            settings: settings.clone(),
            wait,
            meeting: at(within(wait.mul_f32(FIRST_SHARE)))?,
            fetching: at(within(wait))?,
            sending: at(SENDING)?,
            probing: at(within(PROBING))?,
            fetch_breaker: Breaker::new(wait.mul_f32(DEAR_SHARE)),
            // No compile waits for it.
            send_breaker: Breaker::new(Duration::MAX),
            stats,
        })
    }

    /// The value under `name`, for a compile that waits.
    pub(super) fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Unanswered> {
        let backend = if self.fetch_breaker.has_answered() {
            &self.fetching
        } else {
            &self.meeting
        };
        let got = self.try_on(&self.fetch_breaker, || backend.get(name, most))?;
        let length = got.as_ref().map_or(0, Vec::len);
        self.stats.add(Counter::RemoteBytesReceived, length as u64);
        Ok(got)
    }

    /// The value under `name`, for what is to be sent.
    pub(super) fn get_to_send(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Unanswered> {
        self.try_on(&self.send_breaker, || self.sending.get(name, most))
    }

    pub(super) fn has(&self, name: &str) -> Result<bool, Unanswered> {
        self.try_on(&self.send_breaker, || self.sending.has(name))
    }

    pub(super) fn put(&self, name: &str, value: &[u8]) -> Result<(), Unanswered> {
        self.try_on(&self.send_breaker, || self.sending.put(name, value))?;
        self.stats.add(Counter::RemoteBytesSent, value.len() as u64);
        Ok(())
    }

    fn try_on<T>(
        &self,
        breaker: &Breaker,
        request: impl FnOnce() -> Result<T, BackendError>,
    ) -> Result<T, Unanswered> {
        if !breaker.is_closed() {
            return Err(Unanswered::Now);
        }
        let began = Instant::now();
        match request() {
            Ok(answer) => {
                breaker.note_answer();
                Ok(answer)
            }
            Err(error) => {
                self.stats.add(Counter::RemoteFailed(failure_of(&error)), 1);
                if matches!(error, BackendError::TooLarge(_)) {
                    // The server is well.
                    breaker.note_answer();
                    return Err(Unanswered::Ever);
                }
                let (waited, now) = (began.elapsed(), Instant::now());
                breaker.note_failure(&error.to_string(), waited, error.retry_after(), now);
                Err(Unanswered::Now)
            }
        }
    }

    /// Notes that a compile went on without the answer to a request for which it has waited so long, and for requests
    /// before it. If it waited for this server alone, all its waiting was for this one.
    pub(super) fn note_given_up(&self, waited: Duration, is_alone: bool) {
        if self.fetch_breaker.is_closed() {
            let why = "a compile gave up waiting for its answers";
            let waited = if is_alone { self.wait } else { waited };
            self.fetch_breaker
                .note_failure(why, waited, None, Instant::now());
        }
    }

    /// Writes, reads and compares a small value, or only asks for one where nothing is sent. Returns the milliseconds that
    /// a request took.
    pub(super) fn test(&self) -> Result<f64, BackendError> {
        let name = format!("{}/ac/{}", self.settings.namespaces[0], "0".repeat(64));
        let value = action_result::encode(b"a test of pcache remote", [].iter());
        let began = Instant::now();
        let requests = if self.settings.read_only {
            self.fetching.get(&name, 1 << 20)?;
            1.0
        } else {
            self.sending.put(&name, &value)?;
            let there = self.fetching.get(&name, 1 << 20)?;
            if there.is_none_or(|there| there != value) {
                return Err(BackendError::Garbled(ServerFault {
                    server: self.settings.shown(),
                    why: "it did not keep what was written".to_owned(),
                }));
            }
            2.0
        };
        Ok(began.elapsed().as_secs_f64() * 1000.0 / requests)
    }

    /// Asks a server that was left alone whether it answers again, if it is time.
    pub(super) fn probe(&self) {
        let is_due = |breaker: &Breaker| breaker.is_probe_due(Instant::now());
        let (for_compiles, for_sending) = (is_due(&self.fetch_breaker), is_due(&self.send_breaker));
        if !for_compiles && !for_sending {
            return;
        }
        // The first one may have to connect, so the second is timed.
        let probed = self.probing.probe().and_then(|()| {
            let began = Instant::now();
            self.probing.probe()?;
            Ok(began.elapsed())
        });
        let probed = probed.map_err(|error| error.to_string());
        if for_sending {
            note_probe(
                &self.send_breaker,
                probed.as_ref().map(drop).map_err(String::as_str),
            );
        }
        if for_compiles {
            let is_slow = |taken: &Duration| *taken > self.wait.mul_f32(PROBE_SHARE);
            let answered = match &probed {
                Ok(taken) if is_slow(taken) => Err("it takes too long to answer"),
                Ok(_) => Ok(()),
                Err(error) => Err(error.as_str()),
            };
            note_probe(&self.fetch_breaker, answered);
        }
    }
}

fn note_probe(breaker: &Breaker, answered: Result<(), &str>) {
    match answered {
        Ok(()) => breaker.note_probe(),
        Err(error) => breaker.note_failed_probe(error, Instant::now()),
    }
}

fn failure_of(error: &BackendError) -> RemoteFailure {
    match error {
        BackendError::Unreachable(_) => RemoteFailure::Unreachable,
        BackendError::Timeout { .. } => RemoteFailure::Timeout,
        BackendError::Denied(_) => RemoteFailure::Denied,
        BackendError::Busy { .. } => RemoteFailure::Busy,
        BackendError::Full(_) => RemoteFailure::Full,
        BackendError::Server(_) => RemoteFailure::Server,
        BackendError::Garbled(_) => RemoteFailure::Garbled,
        BackendError::TooLarge(_) => RemoteFailure::TooLarge,
        BackendError::Tls(_) => RemoteFailure::Tls,
    }
}
