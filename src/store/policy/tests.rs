//! The policies in single steps, and against simple models.

use super::{Candidate, Limits, Nanos, Policy};
use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};

fn entry(size: u64, read: Nanos, written: Nanos) -> Candidate {
    Candidate {
        size,
        read,
        written,
        uses: 1,
        expires: None,
    }
}

#[test]
fn nothing_goes_up_to_the_cap() {
    let entries = [entry(60, 1, 1), entry(40, 2, 2)];
    assert!(
        Policy::Lru
            .victims(&entries, Limits::below(100), 9)
            .is_empty()
    );
}

#[test]
fn least_recently_read_goes_until_ninety_percent_are_left() {
    let entries = [entry(50, 5, 1), entry(6, 3, 9), entry(45, 4, 2)];
    assert_eq!(Policy::Lru.victims(&entries, Limits::below(100), 9), [1, 2]);
    assert_eq!(
        Policy::Lru.victims(&entries[..2], Limits::below(55), 9),
        [1]
    );
    assert_eq!(
        Policy::Lru.victims(&entries[..2], Limits::below(55).without(1), 9),
        [1, 0]
    );
}

#[test]
fn of_those_read_at_once_the_first_written_goes() {
    let entries = [entry(10, 1, 7), entry(10, 1, 6), entry(10, 1, 8)];
    assert_eq!(Policy::Lru.victims(&entries, Limits::below(29), 9), [1]);
}

#[test]
fn huge_sizes_do_not_overflow() {
    let entries = [entry(u64::MAX, 1, 1), entry(u64::MAX, 2, 2)];
    assert_eq!(
        Policy::Lru.victims(&entries, Limits::below(u64::MAX), 9),
        [0, 1]
    );
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
        let victims = Policy::Lru.victims(&entries, limits, 20);
        prop_assert_eq!(&victims, &model(&entries, limits));
        let goes: u64 = victims.iter().map(|&at| entries[at].size).sum();
        let total: u64 = entries.iter().map(|entry| entry.size).sum();
        prop_assert!(total - goes <= limits.max_bytes);
    }
}
