//! Single flight for what is kept in a store: make it, or wait for the thread or process that is making it, and
//! take its result.

use super::flight::{Flight, LeadGuard};

/// How many others one waits for, one after the other. The second is for the first one's death. Where two have
/// ended and nothing is stored, nothing will be (the result is not for the store, or the source is in error),
/// and all who still wait go on side by side rather than in a row.
const LEADERS: u32 = 2;

/// What is to be done about a key.
pub enum Turn<T> {
    /// Nothing: another has made it meanwhile.
    Found {
        /// What was looked up.
        value: T,
        /// Whether this one waited for it.
        waited: bool,
    },
    /// Make it; with the lead, others wait for it until that is dropped.
    Make(Option<LeadGuard>),
}

/// Waits by `join` for others that make the same, or takes the lead; looks by `look_up` for what they have made.
/// Trouble with locks is told to `failed`, and means that it is made here.
///
/// # Errors
/// What interrupted `join`.
pub fn take_turn<T, S>(
    join: &mut dyn FnMut() -> Flight<S>,
    look_up: &mut dyn FnMut() -> Option<T>,
    failed: &mut dyn FnMut(),
) -> Result<Turn<T>, S> {
    let mut followed = 0;
    while followed < LEADERS {
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
        // For the leader again: another may have stored it since this one looked.
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
