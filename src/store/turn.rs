//! Single flight for the values of a store: take the lead and make a value, or wait for the thread or process that
//! is making it and take its result.

use super::flight::{Flight, LeadGuard};

/// How many leaders a process waits for, one after the other. The second covers the death of the first. If two have
/// ended and nothing is stored, nothing will be (the result is not stored, or the source has an error), so all that
/// still wait go on in parallel rather than one after the other.
const MAX_WAITS: u32 = 2;

/// What to do about a key.
pub enum Turn<T> {
    /// Nothing: another thread or process has stored the value meanwhile.
    Found {
        /// The value that was looked up.
        value: T,
        /// Whether this process waited for it.
        waited: bool,
    },
    /// Make the value. With a lead, others wait for it until the guard is dropped.
    Make(Option<LeadGuard>),
}

/// Calls `join` to take the lead or to wait for the leader, and `look_up` for the value that the leader has stored.
/// If a lock cannot be used, calls `failed` and makes the value without the lead.
///
/// # Errors
/// The signal that interrupted `join`.
pub fn take_turn<T, S>(
    join: &mut dyn FnMut() -> Flight<S>,
    look_up: &mut dyn FnMut() -> Option<T>,
    failed: &mut dyn FnMut(),
) -> Result<Turn<T>, S> {
    let mut followed = 0;
    while followed < MAX_WAITS {
        let lead = match join() {
            Flight::Leader(lead) => Some(lead),
            Flight::Followed => {
                followed += 1;
                None
            }
            Flight::Interrupted(signal) => return Err(signal),
            Flight::Impatient | Flight::Unsupported => break,
            Flight::Failed(_) => {
                failed();
                break;
            }
        };
        // The leader looks too: another process may have stored the value since the caller's own lookup.
        if let Some(value) = look_up() {
            let waited = followed > 0;
            return Ok(Turn::Found { value, waited });
        }
        if lead.is_some() {
            return Ok(Turn::Make(lead));
        }
    }
    Ok(Turn::Make(None))
}
