//! Which entries go when there are too many: pure functions `(entries, limits, now) -> victims`.
//! Read no clock and no file; the caller removes what is named, if it still is what it was.

/// Nanoseconds since 1970; negative before.
pub type Nanos = i128;

/// What a policy knows of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Bytes.
    pub size: u64,
    /// Last read, or written if it never was.
    pub read: Nanos,
    /// Last written.
    pub written: Nanos,
}

/// How much may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Up to this many bytes, nothing goes.
    pub max_bytes: u64,
    /// Beyond them, entries go until no more than this is left.
    pub target_bytes: u64,
}

impl Limits {
    /// A cap with its low-water mark at 90 %, so that a full store does not evict at every put.
    pub fn below(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            target_bytes: max_bytes - max_bytes / 10,
        }
    }

    /// The same limits where `bytes` are taken by what cannot be evicted.
    pub fn without(self, bytes: u64) -> Self {
        Self {
            max_bytes: self.max_bytes.saturating_sub(bytes),
            target_bytes: self.target_bytes.saturating_sub(bytes),
        }
    }
}

/// A policy: indices of the entries to remove, first victim first. `now` is for those that compare
/// ages with a duration.
pub type Policy = fn(entries: &[Candidate], limits: Limits, now: Nanos) -> Vec<usize>;

/// Least recently read first; of those read at the same moment, the one written first.
pub fn lru(entries: &[Candidate], limits: Limits, _now: Nanos) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&at| (entries[at].read, entries[at].written, at));
    until_small_enough(entries, order, limits)
}

/// The shortest beginning of `order` whose removal reaches the target.
fn until_small_enough(entries: &[Candidate], order: Vec<usize>, limits: Limits) -> Vec<usize> {
    // Wide enough for any number of sizes.
    let mut left: u128 = entries.iter().map(|entry| u128::from(entry.size)).sum();
    if left <= u128::from(limits.max_bytes) {
        return Vec::new();
    }
    let mut victims = Vec::new();
    for at in order {
        if left <= u128::from(limits.target_bytes) {
            break;
        }
        left -= u128::from(entries[at].size);
        victims.push(at);
    }
    victims
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Limits, Nanos, lru};
    use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};

    fn entry(size: u64, read: Nanos, written: Nanos) -> Candidate {
        Candidate {
            size,
            read,
            written,
        }
    }

    #[test]
    fn nothing_goes_up_to_the_cap() {
        let entries = [entry(60, 1, 1), entry(40, 2, 2)];
        assert!(lru(&entries, Limits::below(100), 9).is_empty());
    }

    #[test]
    fn least_recently_read_goes_until_ninety_percent_are_left() {
        let entries = [entry(50, 5, 1), entry(6, 3, 9), entry(45, 4, 2)];
        assert_eq!(lru(&entries, Limits::below(100), 9), [1, 2]);
        assert_eq!(lru(&entries[..2], Limits::below(55), 9), [1]);
        assert_eq!(lru(&entries[..2], Limits::below(55).without(1), 9), [1, 0]);
    }

    #[test]
    fn of_those_read_at_once_the_first_written_goes() {
        let entries = [entry(10, 1, 7), entry(10, 1, 6), entry(10, 1, 8)];
        assert_eq!(lru(&entries, Limits::below(29), 9), [1]);
    }

    #[test]
    fn huge_sizes_do_not_overflow() {
        let entries = [entry(u64::MAX, 1, 1), entry(u64::MAX, 2, 2)];
        assert_eq!(lru(&entries, Limits::below(u64::MAX), 9), [0, 1]);
    }

    fn entries() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0u64..50, 0i128..20, 0i128..20);
        prop::collection::vec(one.prop_map(|(s, r, w)| entry(s, r, w)), 0..30)
    }

    /// Removes the oldest one by one.
    fn model(entries: &[Candidate], limits: Limits) -> Vec<usize> {
        let mut left: Vec<usize> = (0..entries.len()).collect();
        let mut gone = Vec::new();
        let total = |left: &[usize]| left.iter().map(|&at| entries[at].size).sum::<u64>();
        if total(&left) > limits.max_bytes {
            while total(&left) > limits.target_bytes {
                let key = |&&at: &&usize| (entries[at].read, entries[at].written, at);
                let oldest = *left.iter().min_by_key(key).unwrap();
                left.retain(|&at| at != oldest);
                gone.push(oldest);
            }
        }
        gone
    }

    proptest! {
        #[test]
        fn lru_agrees_with_the_model(entries in entries(), max in 1u64..800, held in 0u64..900) {
            let limits = Limits::below(max).without(held);
            let victims = lru(&entries, limits, 20);
            prop_assert_eq!(&victims, &model(&entries, limits));
            let goes: u64 = victims.iter().map(|&at| entries[at].size).sum();
            let total: u64 = entries.iter().map(|entry| entry.size).sum();
            prop_assert!(total - goes <= limits.max_bytes);
        }
    }
}
