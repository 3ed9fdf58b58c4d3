//! The time that is left of a call.

use super::{TimeoutPhase, Timeouts};
use std::time::{Duration, Instant};

/// When a call must end, and when the phase in which it is must.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    timeouts: Timeouts,
    end: Instant,
    /// The end of the phase, if it is not the whole call.
    phase: Option<(TimeoutPhase, Instant)>,
}

impl Deadline {
    /// A call that starts now.
    pub(super) fn start(timeouts: Timeouts) -> Self {
        let end = after(timeouts.whole);
        let phase = None;
        Self {
            timeouts,
            end,
            phase,
        }
    }

    /// The same call, in a phase that starts now.
    pub(super) fn enter(self, phase: TimeoutPhase) -> Self {
        let end = after(self.timeouts.of(phase));
        let phase = (phase != TimeoutPhase::Whole).then_some((phase, end));
        Self { phase, ..self }
    }

    /// The time that is left; the phase that is over if there is none.
    pub(super) fn left(&self) -> Result<Duration, TimeoutPhase> {
        let now = Instant::now();
        let (phase, end) = match self.phase {
            Some((phase, end)) if end < self.end => (phase, end),
            _ => (TimeoutPhase::Whole, self.end),
        };
        match end.checked_duration_since(now) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(phase),
        }
    }

    /// The phase whose end comes first.
    pub(super) fn phase(&self) -> TimeoutPhase {
        match self.phase {
            Some((phase, end)) if end < self.end => phase,
            _ => TimeoutPhase::Whole,
        }
    }
}

/// The end of a time that starts now. Longer than a day is a day, as the clock cannot hold every duration.
fn after(time: Duration) -> Instant {
    Instant::now() + time.min(Duration::from_secs(24 * 60 * 60))
}
