//! Waiting for a condition, with a deadline that only a hang can reach.

use std::thread;
use std::time::{Duration, Instant};

/// Asks `ready` until it gives an answer; panics with `what` if it never does.
#[track_caller]
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(answer) = ready() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
