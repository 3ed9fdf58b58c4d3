//! Single flight for a translation unit: compile it, or wait for the process that is already compiling the same key
//! and use its result.

use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::unit::stored::{StoredUnit, fetch};
use crate::key::Digest;
use crate::stats::Counter;
use crate::store::{self, Flight, Turn};
use std::time::Instant;

/// Waits for another process that is compiling the unit with `key`, which was not in the store, or takes the lead.
pub(crate) fn take_turn(
    work: &UnitContext<'_>,
    key: &Digest,
    stages: &[usize],
) -> Result<Turn<StoredUnit>, Detour> {
    let Some(flights) = work.cache.shared_flights() else {
        return Ok(Turn::Make(None));
    };
    let deadline = Instant::now() + work.cache.wait;
    let (recorder, signals) = (work.runner.recorder, work.runner.signals);
    let mut join = || {
        let begin = recorder.elapsed();
        let joined = flights.join(key, deadline, &mut || signals.pending());
        if !matches!(joined, Flight::Leader(_)) {
            recorder.add_flight(begin);
        }
        joined
    };
    let mut look_up = || fetch(work, key, stages);
    let mut failed = || work.cache.stats.add(Counter::Error, 1);
    store::take_turn(&mut join, &mut look_up, &mut failed).map_err(Detour::Interrupted)
}
