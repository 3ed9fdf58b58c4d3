//! What a collection removes: what has expired, what was not used since a moment, and what is too much. Pure.

use super::policy::{Candidate, Limits, Nanos, Policy};
use std::collections::HashSet;

/// What a collection leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Files that were last read or written before this moment are removed.
    pub used_since: Option<Nanos>,
    /// The size limit.
    pub limits: Limits,
}

/// Why a file is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemovalReason {
    /// It was not used since the given moment.
    Unused,
    /// Its lifetime is over.
    Expired,
    /// The rest would exceed the limit.
    TooMuch,
}

impl Bounds {
    /// Those of a collection that is asked for nothing else: the store's own limit.
    pub(super) fn below(limits: Limits) -> Self {
        Self {
            used_since: None,
            limits,
        }
    }

    /// Files that were used since `used_since`, at most `max_bytes` of them, without a low-water mark.
    pub fn exactly(used_since: Option<Nanos>, max_bytes: Option<u64>) -> Self {
        Self {
            used_since,
            limits: Limits::exactly(max_bytes.unwrap_or(u64::MAX)),
        }
    }

    /// Indices of the candidates to remove, and why. `unfinished` bytes are taken up by files that stay. Takes the
    /// candidates, so that a large store's are not copied.
    pub(super) fn victims(
        &self,
        policy: Policy,
        mut candidates: Vec<Candidate>,
        unfinished: u64,
        now: Nanos,
    ) -> Vec<(usize, RemovalReason)> {
        let is_unused = |candidate: &Candidate| {
            let used = candidate.read.max(candidate.written);
            self.used_since.is_some_and(|since| used < since)
        };
        let (unused, rest): (Vec<_>, Vec<_>) =
            (0..candidates.len()).partition(|&at| is_unused(&candidates[at]));
        // What is unused makes room, so the policy sees the rest alone.
        candidates.retain(|candidate| !is_unused(candidate));
        let chosen = policy.victims(&candidates, self.limits.without(unfinished), now);
        let expired: HashSet<_> = policy.expired(&candidates, now).into_iter().collect();
        let chosen = chosen.into_iter().map(|at| {
            let reason = if expired.contains(&at) {
                RemovalReason::Expired
            } else {
                RemovalReason::TooMuch
            };
            (rest[at], reason)
        });
        let unused = unused.into_iter().map(|at| (at, RemovalReason::Unused));
        unused.chain(chosen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Candidate, Nanos, Policy, RemovalReason};

    fn file(read: Nanos, written: Nanos) -> Candidate {
        Candidate {
            size: 10,
            read,
            written,
            ..Candidate::default()
        }
    }

    /// Used at 1, 2, 5 and 7: the second by a write after its last read.
    fn files() -> [Candidate; 4] {
        [file(1, 1), file(1, 2), file(5, 1), file(7, 3)]
    }

    #[track_caller]
    fn check(bounds: Bounds, unfinished: u64, expected: &[(usize, RemovalReason)]) {
        let victims = bounds.victims(Policy::Lru, files().into(), unfinished, 9);
        assert_eq!(victims, expected);
    }

    #[test]
    fn reading_and_writing_are_uses() {
        use RemovalReason::Unused;
        check(Bounds::exactly(Some(1), None), 0, &[]);
        check(Bounds::exactly(Some(2), None), 0, &[(0, Unused)]);
        check(
            Bounds::exactly(Some(6), None),
            0,
            &[(0, Unused), (1, Unused), (2, Unused)],
        );
    }

    #[test]
    fn what_is_unused_makes_room_and_no_more_goes_than_must() {
        use RemovalReason::{TooMuch, Unused};
        check(Bounds::exactly(None, Some(30)), 0, &[(0, TooMuch)]);
        check(Bounds::exactly(Some(2), Some(30)), 0, &[(0, Unused)]);
        check(
            Bounds::exactly(Some(2), Some(29)),
            0,
            &[(0, Unused), (1, TooMuch)],
        );
        check(
            Bounds::exactly(None, Some(30)),
            10,
            &[(0, TooMuch), (1, TooMuch)],
        );
    }

    #[test]
    fn expired_files_go_whatever_the_size() {
        let policy = Policy::Ttl { lifetime: 5 };
        let mut files = files();
        for file in &mut files {
            file.expires = policy.expires(super::super::ContentKind::Object, file.written);
        }
        let victims = Bounds::exactly(Some(2), None).victims(policy, files.into(), 0, 7);
        let expected = [
            (0, RemovalReason::Unused),
            (2, RemovalReason::Expired),
            (1, RemovalReason::Expired),
        ];
        assert_eq!(victims, expected);
    }
}
