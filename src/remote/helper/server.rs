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

/// One server.
pub(super) struct Server {
    pub(super) settings: RemoteServer,
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
            fetching: at(within(wait))?,
            sending: at(SENDING)?,
            probing: at(within(PROBING))?,
            fetch_breaker: Breaker::default(),
            send_breaker: Breaker::default(),
            stats,
        })
    }

    /// The value under `name`, for a compile that waits.
    pub(super) fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Unanswered> {
        let got = self.try_on(&self.fetch_breaker, || self.fetching.get(name, most))?;
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
                let now = Instant::now();
                breaker.note_failure(&error.to_string(), error.retry_after(), now);
                Err(Unanswered::Now)
            }
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
        let breakers = [&self.fetch_breaker, &self.send_breaker];
        let is_due = |breaker: &&Breaker| breaker.is_probe_due(Instant::now());
        if !breakers.iter().any(is_due) {
            return;
        }
        let probed = self.probing.probe();
        for breaker in breakers.into_iter().filter(is_due) {
            match &probed {
                Ok(()) => breaker.note_answer(),
                Err(error) => breaker.note_failed_probe(&error.to_string(), Instant::now()),
            }
        }
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
