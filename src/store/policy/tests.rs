//! The policies in single steps, and against models that remove one entry after another.

use super::{Candidate, Limits, Nanos, Policy};
use crate::config::EvictionPolicy;
use crate::store::ContentKind;
use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::collections::BTreeSet;

const TTL: Policy = Policy::Ttl { lifetime: 10 };

const TLRU: Policy = Policy::Tlru {
    objects: 10,
    device: 100,
};

fn entry(size: u64, read: Nanos, written: Nanos) -> Candidate {
    Candidate {
        size,
        read,
        written,
        uses: 1,
        expires: None,
    }
}

#[track_caller]
fn goes(policy: Policy, entries: &[Candidate], max_bytes: u64, expected: &[usize]) {
    let victims = policy.victims(entries, Limits::exactly(max_bytes), 9);
    assert_eq!(victims, expected);
}

#[test]
fn nothing_goes_up_to_the_cap() {
    let entries = [entry(60, 1, 1), entry(40, 2, 2)];
    for policy in [Policy::Lru, Policy::Fifo, Policy::Lfu, TTL, TLRU] {
        assert!(policy.victims(&entries, Limits::below(100), 9).is_empty());
    }
}

#[test]
fn least_recently_read_goes_until_ninety_percent_are_left() {
    let entries = [entry(50, 5, 1), entry(6, 3, 9), entry(45, 4, 2)];
    let lru = |entries: &[Candidate], limits| Policy::Lru.victims(entries, limits, 9);
    assert_eq!(lru(&entries, Limits::below(100)), [1, 2]);
    assert_eq!(lru(&entries, Limits::exactly(100)), [1]);
    assert_eq!(lru(&entries[..2], Limits::below(55)), [1]);
    assert_eq!(lru(&entries[..2], Limits::below(55).without(1)), [1, 0]);
}

#[test]
fn target_above_the_cap_is_the_cap() {
    let limits = Limits {
        max_bytes: 10,
        target_bytes: 100,
    };
    let entries = [entry(8, 1, 1), entry(8, 2, 2)];
    assert_eq!(Policy::Lru.victims(&entries, limits, 9), [0]);
}

#[test]
fn of_those_read_at_once_the_first_written_goes() {
    let entries = [entry(10, 1, 7), entry(10, 1, 6), entry(10, 1, 8)];
    goes(Policy::Lru, &entries, 29, &[1]);
}

#[test]
fn first_written_goes_however_often_it_was_read() {
    let entries = [entry(10, 1, 2), entry(10, 9, 1), entry(10, 5, 3)];
    goes(Policy::Fifo, &entries, 10, &[1, 0]);
}

#[test]
fn least_often_used_goes_and_of_equals_the_least_recently_read() {
    let mut entries = [entry(10, 1, 1), entry(10, 8, 2), entry(10, 5, 3)];
    goes(Policy::Lfu, &entries, 10, &[0, 2]);
    entries[0].uses = 2;
    goes(Policy::Lfu, &entries, 10, &[2, 1]);
}

#[test]
fn expired_entries_go_first_and_below_the_cap() {
    let mut entries = [entry(10, 1, 1), entry(10, 2, 2), entry(10, 3, 3)];
    entries[1].expires = Some(9);
    entries[2].expires = Some(8);
    for policy in [TTL, TLRU] {
        goes(policy, &entries, 100, &[2, 1]);
        goes(policy, &entries, 9, &[2, 1, 0]);
        assert_eq!(policy.expired(&entries, 9), [2, 1]);
        assert_eq!(policy.expired(&entries, 8), [2]);
        assert!(policy.expired(&entries, 7).is_empty());
    }
}

#[test]
fn policies_that_know_no_expiry_do_not_look_at_it() {
    let mut entries = [entry(10, 1, 1), entry(10, 2, 2)];
    entries[1].expires = Some(0);
    for policy in [Policy::Lru, Policy::Fifo, Policy::Lfu] {
        assert!(!policy.knows_expiry() && policy.expired(&entries, 9).is_empty());
        assert_eq!(policy.expires(ContentKind::Device, 5), None);
        goes(policy, &entries, 10, &[0]);
    }
}

#[test]
fn lifetimes_count_from_writing_and_by_class() {
    assert_eq!(TTL.expires(ContentKind::Object, 5), Some(15));
    assert_eq!(TTL.expires(ContentKind::Device, 5), Some(15));
    assert_eq!(TLRU.expires(ContentKind::Object, 5), Some(15));
    assert_eq!(TLRU.expires(ContentKind::Device, 5), Some(105));
    assert_eq!(
        TLRU.expires(ContentKind::Device, Nanos::MAX),
        Some(Nanos::MAX)
    );
}

#[test]
fn setting_gives_the_policy_with_its_lifetimes() {
    let of = |text: &str| Policy::from(text.parse::<EvictionPolicy>().unwrap());
    let second = 1_000_000_000;
    assert_eq!(of("lru"), Policy::Lru);
    assert_eq!(of("fifo"), Policy::Fifo);
    assert_eq!(of("lfu"), Policy::Lfu);
    assert_eq!(of("random"), Policy::Random { seed: 0 });
    let lifetime = 7200 * second;
    assert_eq!(of("ttl:2h"), Policy::Ttl { lifetime });
    let (objects, device) = (30 * 86_400 * second, 90 * 86_400 * second);
    assert_eq!(of("tlru"), Policy::Tlru { objects, device });
    let Policy::Ttl { lifetime } = of("ttl:18446744073709551615s") else {
        panic!("another policy");
    };
    assert_eq!(lifetime, Nanos::from(u64::MAX) * second);
}

#[test]
fn random_choice_changes_with_the_seed_and_with_the_moment() {
    let entries = [entry(1, 1, 1); 64];
    let order = |seed, now| Policy::Random { seed }.victims(&entries, Limits::exactly(0), now);
    assert_eq!(order(1, 1), order(1, 1));
    assert_ne!(order(1, 1), order(2, 1));
    assert_ne!(order(1, 1), order(1, 2));
}

#[test]
fn random_choice_prefers_no_place() {
    let entries = [entry(1, 1, 1); 8];
    let mut firsts = [0; 8];
    for now in 0..8000 {
        let victims = Policy::Random { seed: 3 }.victims(&entries, Limits::exactly(7), now);
        firsts[victims[0]] += 1;
    }
    // Seven standard deviations around a thousand.
    assert!(firsts.iter().all(|n| (800..1200).contains(n)), "{firsts:?}");
}

#[test]
fn huge_sizes_do_not_overflow() {
    let entries = [entry(u64::MAX, 1, 1), entry(u64::MAX, 2, 2)];
    let limits = Limits::below(u64::MAX);
    assert_eq!(Policy::Lru.victims(&entries, limits, 9), [0, 1]);
}

fn entries() -> impl Strategy<Value = Vec<Candidate>> {
    let expires = prop_oneof![Just(None), (0i128..30).prop_map(Some)];
    let one = (0u64..50, 0i128..20, 0i128..20, 1u64..4, expires);
    let one = one.prop_map(|(size, read, written, uses, expires)| Candidate {
        size,
        read,
        written,
        uses,
        expires,
    });
    prop::collection::vec(one, 0..30)
}

fn limits() -> impl Strategy<Value = Limits> {
    let limits = (1u64..800, 0u64..900, 0u64..100);
    limits.prop_map(|(max_bytes, held, spare)| {
        let target_bytes = max_bytes.saturating_sub(spare);
        Limits {
            max_bytes,
            target_bytes,
        }
        .without(held)
    })
}

/// Removes what has expired by `now`, and then the least by `key` one by one.
fn model<K: Ord>(
    entries: &[Candidate],
    limits: Limits,
    now: Option<Nanos>,
    key: impl Fn(&Candidate) -> K,
) -> Vec<usize> {
    let mut left: Vec<usize> = (0..entries.len()).collect();
    let mut gone = Vec::new();
    let is_expired =
        |&at: &usize| now.is_some_and(|now| entries[at].expires.is_some_and(|e| now >= e));
    while let Some(at) = left.iter().copied().filter(is_expired).min_by_key(|&at| {
        let Candidate {
            expires, written, ..
        } = entries[at];
        (expires, written, at)
    }) {
        left.retain(|&other| other != at);
        gone.push(at);
    }
    let total = |left: &[usize]| left.iter().map(|&at| entries[at].size).sum::<u64>();
    if total(&left) > limits.max_bytes {
        while total(&left) > limits.target_bytes {
            let least = left
                .iter()
                .copied()
                .min_by_key(|&at| (key(&entries[at]), at));
            left.retain(|&other| Some(other) != least);
            gone.extend(least);
        }
    }
    gone
}

proptest! {
    #[test]
    fn policies_agree_with_the_model(entries in entries(), limits in limits(), now in 0i128..30) {
        let victims = |policy: Policy| policy.victims(&entries, limits, now);
        let read = |e: &Candidate| (e.read, e.written);
        let lru = model(&entries, limits, None, read);
        prop_assert_eq!(victims(Policy::Lru), lru);
        let timed = model(&entries, limits, Some(now), read);
        prop_assert_eq!(&victims(TTL), &timed);
        prop_assert_eq!(&victims(TLRU), &timed);
        let fifo = model(&entries, limits, None, |e| e.written);
        prop_assert_eq!(victims(Policy::Fifo), fifo);
        let lfu = model(&entries, limits, None, |e| (e.uses, e.read, e.written));
        prop_assert_eq!(victims(Policy::Lfu), lfu);
    }

    #[test]
    fn any_policy_names_members_once_and_no_more_than_it_must(
        entries in entries(),
        limits in limits(),
        now in 0i128..30,
        seed in 0u64..9,
    ) {
        for policy in [Policy::Lru, Policy::Fifo, Policy::Lfu, Policy::Random { seed }, TTL, TLRU] {
            let victims = policy.victims(&entries, limits, now);
            let expired = policy.expired(&entries, now);
            prop_assert!(victims.starts_with(&expired));
            let distinct: BTreeSet<_> = victims.iter().copied().collect();
            prop_assert_eq!(distinct.len(), victims.len());
            let total: u64 = entries.iter().map(|entry| entry.size).sum();
            let left = |gone: &[usize]| total - gone.iter().map(|&at| entries[at].size).sum::<u64>();
            prop_assert!(left(&victims) <= limits.max_bytes);
            if victims.len() > expired.len() {
                let before = left(&victims[..victims.len() - 1]);
                prop_assert!(left(&expired) > limits.max_bytes && before > limits.target_bytes);
            }
        }
    }
}
