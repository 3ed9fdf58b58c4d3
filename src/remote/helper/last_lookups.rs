//! Whether the lists of path sets and the direct results that compiles asked for lately were there. If they were, the next
//! compile had better wait for its own, which saves all of its passes; if not, it had better run them meanwhile.

use crate::remote::protocol::{FetchAnswer, Greeting};
use std::sync::atomic::{AtomicU8, Ordering};

/// How many of the last answers count: compiles of a cold build soon stop waiting, and a few new files among many
/// known ones change nothing.
const LAST: u32 = 4;

/// The last answers, the newest in the lowest bit: 1 for what was not there.
#[derive(Debug, Default)]
pub(super) struct LastLookups(AtomicU8);

impl LastLookups {
    pub(super) fn note(&self, answer: FetchAnswer) {
        let was_missing = u8::from(answer != FetchAnswer::Imported);
        let noted = |last: u8| Some(last << 1 | was_missing);
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, noted);
    }

    /// How the next compile is greeted.
    pub(super) fn greeting(&self) -> Greeting {
        if self.0.load(Ordering::Relaxed).trailing_ones() < LAST {
            Greeting::Hopeful
        } else {
            Greeting::Doubtful
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FetchAnswer, Greeting, LAST, LastLookups};

    #[test]
    fn hope_ends_with_some_answers_of_no_and_comes_back_with_one_of_yes() {
        let lookups = LastLookups::default();
        for _ in 0..LAST {
            assert_eq!(lookups.greeting(), Greeting::Hopeful);
            lookups.note(FetchAnswer::Absent);
        }
        assert_eq!(lookups.greeting(), Greeting::Doubtful);
        lookups.note(FetchAnswer::Imported);
        assert_eq!(lookups.greeting(), Greeting::Hopeful);
    }
}
