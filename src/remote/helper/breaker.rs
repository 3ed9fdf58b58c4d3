//! Decides whether a server is asked: after a few failures it is left alone until it answers a probe, so that a server that
//! is down costs the compiles of a whole build no more than those few waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many strikes end the requests.
const MOST_STRIKES: u32 = 3;

/// So many answers without a failure in between undo the strikes: a server that fails now and then is left alone too.
const FORGIVING: u32 = 16;

/// So many make a server as good as one that never failed.
const FORGETTING: u32 = 256;

/// How long a server is left alone before the first probe; twice as long before each further one, up to the most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How much longer it is left alone each time that it fails again soon after it has answered a probe.
const GROWTH: u32 = 8;

/// What is known of how a server answers.
#[derive(Debug)]
pub(super) struct Breaker {
    /// A failure after so long a time is enough for the server to be left alone: the next compile need not wait for it.
    dear: Duration,
    state: Mutex<BreakerState>,
}

#[derive(Debug)]
struct BreakerState {
    strikes: u32,
    /// Answers since the last failure.
    answers: u32,
    /// The pause that is running, and when the next probe is due; `None` while the server is asked.
    open: Option<(Duration, Instant)>,
    /// How long it is left alone when it fails again.
    next_pause: Duration,
    last_error: Option<String>,
}

impl Default for BreakerState {
    fn default() -> Self {
        Self {
            strikes: 0,
            answers: 0,
            open: None,
            next_pause: FIRST_PAUSE,
            last_error: None,
        }
    }
}

impl Breaker {
    pub(super) fn new(dear: Duration) -> Self {
        Self {
            dear,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server is asked.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().open.is_none()
    }

    /// Whether its last answer was no failure.
    pub(super) fn has_answered(&self) -> bool {
        self.lock().answers > 0
    }

    /// Notes an answer: also that there is no such value.
    pub(super) fn note_answer(&self) {
        let mut state = self.lock();
        state.answers = state.answers.saturating_add(1);
        state.last_error = None;
        if state.answers >= FORGETTING {
            state.next_pause = FIRST_PAUSE;
        }
        if state.answers >= FORGIVING {
            state.strikes = 0;
        }
    }

    /// Notes a failure for which a request has waited so long. The server may say how long it wants to be left alone.
    pub(super) fn note_failure(
        &self,
        error: &str,
        waited: Duration,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        let mut state = self.lock();
        state.answers = 0;
        state.last_error = Some(error.to_owned());
        let strikes = if waited < self.dear { 1 } else { MOST_STRIKES };
        state.strikes = state.strikes.saturating_add(strikes);
        if state.open.is_none() && (state.strikes >= MOST_STRIKES || retry_after.is_some()) {
            let pause = retry_after.unwrap_or(state.next_pause).min(LONGEST_PAUSE);
            state.open = Some((pause, now + pause));
            state.next_pause = (state.next_pause * GROWTH).min(LONGEST_PAUSE);
        }
    }

    /// Whether a probe is due.
    pub(super) fn is_probe_due(&self, now: Instant) -> bool {
        self.lock().open.is_some_and(|(_, due)| due <= now)
    }

    /// Notes that a probe was answered: the server is asked again, and left alone after one more failure.
    pub(super) fn note_probe(&self) {
        let mut state = self.lock();
        state.open = None;
        state.strikes = MOST_STRIKES - 1;
        state.last_error = None;
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
    use super::{Breaker, FIRST_PAUSE, FORGETTING, FORGIVING, GROWTH};
    use std::time::{Duration, Instant};

    const DEAR: Duration = Duration::from_millis(200);

    fn fail(breaker: &Breaker, now: Instant) {
        breaker.note_failure("down", DEAR / 2, None, now);
    }

    fn answer(breaker: &Breaker, times: u32) {
        (0..times).for_each(|_| breaker.note_answer());
    }

    #[test]
    fn failures_open_it_and_a_probe_closes_it() {
        let (breaker, now) = (Breaker::new(DEAR), Instant::now());
        fail(&breaker, now);
        fail(&breaker, now);
        assert!(breaker.is_closed());
        fail(&breaker, now);
        assert!(!breaker.is_closed() && !breaker.is_probe_due(now));
        assert_eq!(breaker.last_error().as_deref(), Some("down"));
        assert!(breaker.is_probe_due(now + FIRST_PAUSE));
        breaker.note_failed_probe("still down", now + FIRST_PAUSE);
        assert!(!breaker.is_probe_due(now + 2 * FIRST_PAUSE));
        assert!(breaker.is_probe_due(now + 3 * FIRST_PAUSE));
        breaker.note_probe();
        assert!(breaker.is_closed() && breaker.last_error().is_none());
    }

    #[test]
    fn a_wait_for_nothing_opens_it_at_once() {
        let (breaker, now) = (Breaker::new(DEAR), Instant::now());
        breaker.note_failure("silent", DEAR, None, now);
        assert!(!breaker.is_closed());
    }

    #[test]
    fn failures_between_answers_open_it_unless_they_are_rare() {
        let (breaker, now) = (Breaker::new(DEAR), Instant::now());
        for _ in 0..10 {
            fail(&breaker, now);
            answer(&breaker, FORGIVING);
        }
        assert!(breaker.is_closed());
        for _ in 0..3 {
            fail(&breaker, now);
            answer(&breaker, FORGIVING - 1);
        }
        assert!(!breaker.is_closed());
    }

    #[test]
    fn a_server_that_fails_again_is_left_alone_for_longer_until_it_has_been_well() {
        let (breaker, now) = (Breaker::new(DEAR), Instant::now());
        (0..3).for_each(|_| fail(&breaker, now));
        breaker.note_probe();
        assert!(!breaker.has_answered());
        fail(&breaker, now);
        assert!(!breaker.is_probe_due(now + FIRST_PAUSE));
        assert!(breaker.is_probe_due(now + GROWTH * FIRST_PAUSE));
        breaker.note_probe();
        answer(&breaker, FORGETTING);
        assert!(breaker.has_answered());
        (0..3).for_each(|_| fail(&breaker, now));
        assert!(breaker.is_probe_due(now + FIRST_PAUSE));
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it() {
        let (breaker, now) = (Breaker::new(DEAR), Instant::now());
        let pause = Duration::from_secs(7);
        breaker.note_failure("429", DEAR / 2, Some(pause), now);
        assert!(!breaker.is_closed() && !breaker.is_probe_due(now + pause / 2));
        assert!(breaker.is_probe_due(now + pause));
    }
}
