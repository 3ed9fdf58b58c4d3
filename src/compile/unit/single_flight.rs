//! A unit's turn at a key that is not in the store: to make it, or to wait for the process that is making it
//! and take that. Every way but a signal leads to a product; trouble with locks means that it is made
//! here. Does not know how a unit is made.

use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::unit::product::Ending;
use crate::compile::unit::stored::{StoredUnit, fetch};
use crate::key::Digest;
use crate::stats::Counter;
use crate::store::{Flight, LeadGuard};
use std::time::Instant;

/// How many others a unit waits for, one after the other. The second is for the first one's death.
/// Where two have ended and nothing is stored, nothing will be (the result is not for the store, or
/// the source is in error), and all who still wait go on side by side rather than in a row.
const LEADERS: u32 = 2;

/// What a unit is to do.
pub enum Turn {
    /// Nothing: another process has made it meanwhile.
    Served(StoredUnit, Ending),
    /// Make it; with the lead, others wait for it until that is dropped.
    Make(Option<LeadGuard>),
}

/// Waits for others that make what is under `key`, which was not in the store, or takes the lead.
pub fn take_turn(
    work: &UnitContext<'_>,
    key: &Digest,
    commands: &[(Vec<u8>, usize)],
) -> Result<Turn, Detour> {
    let Some(flights) = work.cache.shared_flights() else {
        return Ok(Turn::Make(None));
    };
    let deadline = Instant::now() + work.cache.wait;
    let mut ending = Ending::Hit;
    let mut followed = 0;
    while followed < LEADERS {
        let begin = work.runner.account.elapsed();
        let joined = flights.join(key, deadline, &mut || work.runner.signals.pending());
        if !matches!(joined, Flight::Leader(_)) {
            work.runner.account.add_flight(begin);
        }
        let lead = match joined {
            Flight::Leader(lead) => Some(lead),
            Flight::Followed => {
                ending = Ending::Coalesced;
                followed += 1;
                None
            }
            Flight::Interrupted(signal) => return Err(Detour::Interrupted(signal)),
            Flight::Impatient | Flight::Unsupported => break,
            Flight::Failed(_) => {
                work.cache.stats.add(Counter::Error, 1);
                break;
            }
        };
        // For the leader again: another may have stored it since this one looked.
        if let Some(stored) = fetch(work, key, commands) {
            return Ok(Turn::Served(stored, ending));
        }
        if lead.is_some() {
            return Ok(Turn::Make(lead));
        }
    }
    Ok(Turn::Make(None))
}
