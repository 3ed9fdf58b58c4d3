//! Decides whether a server is asked: after a few failures in a row it is left alone until it answers a probe, so that a
//! server that is down costs the compiles of a whole build no more than those few waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row end the requests.
const FAILURES: u32 = 3;

/// How long a server is left alone before the first probe; twice as long before each further one, up to the most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is known of how a server answers.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<BreakerState>,
}

#[derive(Debug, Default)]
struct BreakerState {
    failures: u32,
    /// The pause that is running, and when the next probe is due; `None` while the server is asked.
    open: Option<(Duration, Instant)>,
    last_error: Option<String>,
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server is asked.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().open.is_none()
    }

    /// Notes an answer: also that there is no such value.
    pub(super) fn note_answer(&self) {
        *self.lock() = BreakerState::default();
    }

    /// Notes a failure. The server may say how long it wants to be left alone.
    pub(super) fn note_failure(&self, error: &str, retry_after: Option<Duration>, now: Instant) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        state.last_error = Some(error.to_owned());
        if state.open.is_none() && (state.failures >= FAILURES || retry_after.is_some()) {
            let pause = retry_after.unwrap_or(FIRST_PAUSE).min(LONGEST_PAUSE);
            state.open = Some((pause, now + pause));
        }
    }

    /// Whether a probe is due.
    pub(super) fn is_probe_due(&self, now: Instant) -> bool {
        self.lock().open.is_some_and(|(_, due)| due <= now)
    }

    /// Notes that a probe failed.
    pub(super) fn note_failed_probe(&self, error: &str, now: Instant) {
        let mut state = self.lock();
        state.last_error = Some(error.to_owned());
        if let Some((pause, due)) = &mut state.open {
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            *due = now + *pause;
        }
    }

    /// The last failure, if the server has not answered since.
    pub(super) fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, FIRST_PAUSE};
    use std::time::{Duration, Instant};

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_closes_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        breaker.note_failure("down", None, now);
        breaker.note_failure("down", None, now);
        breaker.note_answer();
        breaker.note_failure("down", None, now);
        breaker.note_failure("down", None, now);
        assert!(breaker.is_closed());
        breaker.note_failure("down", None, now);
        assert!(!breaker.is_closed() && !breaker.is_probe_due(now));
        assert_eq!(breaker.last_error().as_deref(), Some("down"));
        assert!(breaker.is_probe_due(now + FIRST_PAUSE));
        breaker.note_failed_probe("still down", now + FIRST_PAUSE);
        assert!(!breaker.is_probe_due(now + 2 * FIRST_PAUSE));
        assert!(breaker.is_probe_due(now + 3 * FIRST_PAUSE));
        breaker.note_answer();
        assert!(breaker.is_closed() && breaker.last_error().is_none());
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let pause = Duration::from_secs(7);
        breaker.note_failure("429", Some(pause), now);
        assert!(!breaker.is_closed() && !breaker.is_probe_due(now + pause / 2));
        assert!(breaker.is_probe_due(now + pause));
    }
}
