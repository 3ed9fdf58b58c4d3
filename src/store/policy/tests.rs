//! The policies in single steps, and against models that remove one entry after another.

use super::{Candidate, Limits, Nanos, Policy};
use crate::config::EvictionPolicy;
use crate::store::{ContentKind, Worth};
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
        ..Candidate::default()
    }
}

fn intermediate(size: u64, read: Nanos) -> Candidate {
    Candidate {
        worth: Worth::Intermediate,
        ..entry(size, read, read)
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
        target_bytes: 100,
        ..Limits::exactly(10)
    };
    let entries = [entry(8, 1, 1), entry(8, 2, 2)];
    assert_eq!(Policy::Lru.victims(&entries, limits, 9), [0]);
}

#[test]
fn intermediates_go_before_results_while_they_take_more_than_a_quarter() {
    let entries = [
        entry(50, 1, 1),
        intermediate(20, 8),
        intermediate(10, 9),
        intermediate(20, 7),
    ];
    for policy in [Policy::Lru, Policy::Fifo, TTL, TLRU] {
        goes(policy, &entries, 95, &[3]);
        goes(policy, &entries, 75, &[3, 1]);
        // What is left of them is less than a quarter, and the result is older.
        goes(policy, &entries, 59, &[3, 1, 0]);
    }
}

#[test]
fn old_results_make_room_for_new_intermediates() {
    let entries = [entry(50, 1, 1), entry(40, 2, 2), intermediate(20, 9)];
    goes(Policy::Lru, &entries, 100, &[0]);
}

#[test]
fn results_within_three_quarters_stay_whatever_else_there_is() {
    let results = (0..7).map(|at| entry(10, at, at));
    let entries: Vec<_> = results
        .chain((10..90).map(|at| intermediate(10, at)))
        .collect();
    let limits = Limits::exactly(100);
    for policy in [
        Policy::Lru,
        Policy::Lfu,
        Policy::Fifo,
        Policy::Random { seed: 1 },
    ] {
        let victims = policy.victims(&entries, limits, 100);
        assert!(victims.iter().all(|at| *at >= 7), "{policy:?}");
        assert_eq!(victims.len(), 77);
    }
}

#[test]
fn files_are_limited_too() {
    let entries = [
        entry(1, 3, 3),
        intermediate(1, 9),
        entry(1, 1, 1),
        entry(1, 2, 2),
    ];
    let victims = |files| Policy::Lru.victims(&entries, Limits::exactly(100).to_files(files), 9);
    assert!(victims(4).is_empty());
    assert_eq!(victims(3), [1]);
    assert_eq!(victims(2), [1, 2]);
    let limits = Limits::exactly(100).with_files(30);
    assert_eq!((limits.max_files, limits.target_files), (30, 27));
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
    assert_eq!(lifetime, Nanos::MAX);
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
    let expires = prop_oneof![Just(None), (0i64..30).prop_map(Some)];
    let worth = prop_oneof![Just(Worth::Result), Just(Worth::Intermediate)];
    let one = (0u64..50, 0i64..20, 0i64..20, 1u64..4, expires, worth);
    let one = one.prop_map(|(size, read, written, uses, expires, worth)| Candidate {
        size,
        worth,
        read,
        written,
        uses,
        expires,
    });
    prop::collection::vec(one, 0..30)
}

fn limits() -> impl Strategy<Value = Limits> {
    let limits = (1u64..800, 0u64..900, 0u64..100, 1u64..40);
    limits.prop_map(|(max_bytes, held, spare, max_files)| {
        let target_bytes = max_bytes.saturating_sub(spare);
        let limits = Limits {
            max_bytes,
            target_bytes,
            ..Limits::exactly(0)
        };
        limits.with_files(max_files).without(held)
    })
}

/// Removes what has expired by `now`; then the least intermediate by `key` one by one, while intermediates have more than
/// their share; and then the least of all.
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
    let total = |left: &[usize], counts: fn(&Candidate) -> u64, of: Option<Worth>| {
        let counted = left.iter().map(|&at| &entries[at]);
        let counted = counted.filter(|entry| of.is_none_or(|worth| entry.worth == worth));
        counted.map(counts).sum::<u64>()
    };
    let bytes: fn(&Candidate) -> u64 = |entry| entry.size;
    let files: fn(&Candidate) -> u64 = |_| 1;
    let most = [(bytes, limits.max_bytes), (files, limits.max_files)];
    let targets = [(bytes, limits.target_bytes), (files, limits.target_files)];
    if most
        .iter()
        .all(|&(counts, most)| total(&left, counts, None) <= most)
    {
        return gone;
    }
    let take = |left: &mut Vec<usize>, gone: &mut Vec<usize>, of: Option<Worth>| {
        let fitting = left.iter().copied();
        let fitting = fitting.filter(|&at| of.is_none_or(|worth| entries[at].worth == worth));
        let least = fitting.min_by_key(|&at| (key(&entries[at]), at));
        left.retain(|&other| Some(other) != least);
        gone.extend(least);
    };
    let cheap = Some(Worth::Intermediate);
    while targets.iter().any(|&(counts, target)| {
        total(&left, counts, None) > target && total(&left, counts, cheap) > target / 4
    }) {
        take(&mut left, &mut gone, cheap);
    }
    while targets
        .iter()
        .any(|&(counts, target)| total(&left, counts, None) > target)
    {
        take(&mut left, &mut gone, None);
    }
    gone
}

proptest! {
    #[test]
    fn policies_agree_with_the_model(entries in entries(), limits in limits(), now in 0i64..30) {
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
        now in 0i64..30,
        seed in 0u64..9,
    ) {
        for policy in [Policy::Lru, Policy::Fifo, Policy::Lfu, Policy::Random { seed }, TTL, TLRU] {
            let victims = policy.victims(&entries, limits, now);
            let expired = policy.expired(&entries, now);
            prop_assert!(victims.starts_with(&expired));
            let distinct: BTreeSet<_> = victims.iter().copied().collect();
            prop_assert_eq!(distinct.len(), victims.len());
            let total: u64 = entries.iter().map(|entry| entry.size).sum();
            let left = |gone: &[usize]| {
                let bytes = gone.iter().map(|&at| entries[at].size).sum::<u64>();
                (total - bytes, (entries.len() - gone.len()) as u64)
            };
            let fits = |(bytes, files): (u64, u64), most: u64, most_files: u64| bytes <= most && files <= most_files;
            prop_assert!(fits(left(&victims), limits.max_bytes, limits.max_files));
            if victims.len() > expired.len() {
                let before = left(&victims[..victims.len() - 1]);
                prop_assert!(!fits(left(&expired), limits.max_bytes, limits.max_files));
                prop_assert!(!fits(before, limits.target_bytes, limits.target_files));
            }
        }
    }
}
