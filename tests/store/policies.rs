//! The store in memory against Python's cachetools: the same random operations on both, every answer
//! and every eviction compared, in order. What a policy chooses at random is held to what must be
//! true of any choice. The differences that remain are in `docs/design/store.md`.

use crate::oracles;
use pcache_nvcc::store::policy::{Limits, Nanos, Policy};
use pcache_nvcc::store::{Backend, Entry, MemoryStore, Name, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Rounds with a cache of their own, for each policy.
const ROUNDS: u64 = 12;

/// Operations in a round.
const STEPS: u64 = 1500;

/// The clock moves in multiples of this, so that a step's number can make moments differ.
const TICK: i64 = 10_000;

/// What moves the operations: the generator `xorshift64*`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// One line for the oracle.
#[derive(Clone, Debug)]
enum Step {
    Time(i64),
    Put(i64, String, String),
    Call(i64, String, String),
    Get(String),
    Remove(String),
    Keys,
    Len,
    Size,
    Info,
    Expire,
    Clear,
}

impl Step {
    fn line(&self) -> String {
        match self {
            Self::Time(time) => format!("time {time}"),
            Self::Put(expires, key, value) => format!("put {expires} {key} {value}"),
            Self::Call(expires, key, value) => format!("call {expires} {key} {value}"),
            Self::Get(key) => format!("get {key}"),
            Self::Remove(key) => format!("remove {key}"),
            Self::Keys => "keys".into(),
            Self::Len => "len".into(),
            Self::Size => "size".into(),
            Self::Info => "info".into(),
            Self::Expire => "expire".into(),
            Self::Clear => "clear".into(),
        }
    }
}

/// Whether two entries may expire at the same moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moments {
    Distinct,
    Shared,
}

/// A round: a cap, the number of keys, and the steps.
struct Round {
    max: u64,
    keys: u64,
    steps: Vec<Step>,
}

impl Round {
    /// Rounds differ in how hard the cap presses: from a few small values to many.
    fn new(seed: u64, moments: Moments) -> Self {
        let mut dice = Dice(0x9e37_79b9 + seed * 7919);
        let (max, keys) = (1 + dice.below(120), 1 + dice.below(24));
        let mut time = 0;
        let steps = (0..STEPS).map(|number| {
            time += dice.below(3) as i64 / 2 * TICK;
            let key = format!("k{}", dice.below(keys));
            // Some are empty, some just fit, some are too large.
            let size = match dice.below(20) {
                0 => 0,
                1 => max + dice.below(2),
                _ => dice.below(max.min(30) + 1),
            };
            let value = format!("{number}.{:.<40}{:.<100}", "", "");
            let value = value[..(size as usize).min(value.len())].to_owned();
            let distinct = i64::from(moments == Moments::Distinct) * number as i64;
            let expires = time + (dice.below(60) as i64 - 3) * TICK + distinct;
            match dice.below(40) {
                0..15 => Step::Put(expires, key, value),
                15..17 => Step::Call(expires, key, value),
                17..29 => Step::Get(key),
                29..31 => Step::Remove(key),
                31 => Step::Len,
                32 => Step::Size,
                33..35 => Step::Keys,
                35 => Step::Info,
                36 => Step::Expire,
                37 if dice.below(10) == 0 => Step::Clear,
                _ => Step::Time(time),
            }
        });
        let steps = steps.collect();
        Self { max, keys, steps }
    }
}

/// The store under test, and what is known about its keys.
struct Ours {
    store: MemoryStore,
    policy: Policy,
    time: Arc<AtomicI64>,
    names: BTreeMap<Name, String>,
}

impl Ours {
    fn new(policy: Policy, max: u64, keys: u64) -> Self {
        let time = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&time);
        let store = MemoryStore::new(Limits::exactly(max)).unwrap();
        let names = (0..keys).map(|number| format!("k{number}"));
        Self {
            store: store
                .with_policy(policy)
                .with_clock(move || Nanos::from(clock.load(Ordering::Relaxed))),
            policy,
            time,
            names: names.map(|key| (Name::of(key.as_bytes()), key)).collect(),
        }
    }

    fn keys_of(&self, entries: &[Entry]) -> Vec<String> {
        entries
            .iter()
            .map(|e| self.names[&e.name].clone())
            .collect()
    }

    /// The answer to `step` and the keys that were evicted, as the oracle gives them.
    fn answer(&self, step: &Step) -> (String, Vec<String>) {
        let store = &self.store;
        let mut gone = Vec::new();
        let answer = match step {
            Step::Time(time) => {
                self.time.store(*time, Ordering::Relaxed);
                "set".into()
            }
            Step::Put(expires, key, value) => match self.insert(*expires, key, value) {
                Ok(evicted) => {
                    gone = evicted;
                    "stored".into()
                }
                Err(StoreError::TooLarge { .. }) => {
                    // cachetools removes what has expired before it looks at the size.
                    gone = store.expire().unwrap();
                    "refused".into()
                }
                Err(other) => panic!("{other}"),
            },
            Step::Call(expires, key, value) => self.call(*expires, key, value),
            Step::Get(key) => match store.get(key.as_bytes()).unwrap() {
                Some(value) => format!("={}", String::from_utf8(value).unwrap()),
                None => "none".into(),
            },
            Step::Remove(key) => {
                if store.remove(key.as_bytes()).unwrap() {
                    "yes".into()
                } else {
                    "no".into()
                }
            }
            Step::Keys => {
                let mut keys = self.keys_of(&store.entries().unwrap());
                keys.sort();
                keys.join(",")
            }
            // In cachetools, asking for the length or size removes what has expired.
            Step::Len => {
                let before = store.len().unwrap();
                gone = store.expire().unwrap();
                assert_eq!(store.len().unwrap(), before);
                assert_eq!(store.is_empty().unwrap(), before == 0);
                before.to_string()
            }
            Step::Size => {
                gone = store.expire().unwrap();
                store.info().unwrap().bytes.to_string()
            }
            Step::Info => {
                gone = store.expire().unwrap();
                let info = store.info().unwrap();
                let (hits, misses) = (info.hits, info.misses);
                format!("{hits} {misses} {} {}", info.max_bytes, info.bytes)
            }
            Step::Expire => {
                gone = store.expire().unwrap();
                "done".into()
            }
            Step::Clear => {
                store.clear().unwrap();
                "done".into()
            }
        };
        (answer, self.keys_of(&gone))
    }

    fn insert(&self, expires: i64, key: &str, value: &str) -> Result<Vec<Entry>, StoreError> {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        match self.policy {
            Policy::Tlru { .. } => {
                let expires = Some(Nanos::from(expires));
                self.store.insert_until(key, value, expires)
            }
            _ => self.store.insert(key, value),
        }
    }

    /// With lifetimes per entry there is no way to give one along, so that the function's two halves
    /// are done by hand.
    fn call(&self, expires: i64, key: &str, value: &str) -> String {
        let found = match self.policy {
            Policy::Tlru { .. } => self.store.get(key.as_bytes()).unwrap().unwrap_or_else(|| {
                let stored = self.insert(expires, key, value);
                assert!(matches!(stored, Ok(_) | Err(StoreError::TooLarge { .. })));
                if stored.is_err() {
                    self.store.expire().unwrap();
                }
                value.into()
            }),
            _ => {
                let make = || Ok::<_, Infallible>(value.as_bytes().to_vec());
                let found = self.store.get_or_insert_with(key.as_bytes(), make);
                if found
                    .as_ref()
                    .is_ok_and(|found| found.len() as u64 > self.max())
                {
                    self.store.expire().unwrap();
                }
                found.unwrap()
            }
        };
        format!("={}", String::from_utf8(found).unwrap())
    }

    fn max(&self) -> u64 {
        self.store.info().unwrap().max_bytes
    }
}

/// The parts of an oracle's line.
fn parse(line: &str) -> (String, Vec<String>) {
    let (answer, evicted) = line.split_once(" |").unwrap();
    let evicted = evicted.split_whitespace().map(str::to_owned);
    (answer.to_owned(), evicted.collect())
}

/// What `class` of cachetools does and what `policy` does are the same, step by step; how many
/// evictions that were.
#[track_caller]
fn agree(class: &str, ttl: &str, policy: Policy, moments: Moments) -> usize {
    let rounds: Vec<_> = (0..ROUNDS).map(|seed| Round::new(seed, moments)).collect();
    let mut lines = Vec::new();
    for round in &rounds {
        lines.push(format!("cache {class} {}{ttl}", round.max));
        lines.push("time 0".into());
        lines.extend(round.steps.iter().map(Step::line));
    }
    let answers = oracles::ask("policies.py", &(lines.join("\n") + "\n"));
    assert_eq!(answers.len(), lines.len());
    let mut answers = answers.iter();
    let mut evictions = 0;
    for (seed, round) in rounds.iter().enumerate() {
        let ours = Ours::new(policy, round.max, round.keys);
        let mut expiries = BTreeMap::new();
        answers.nth(1);
        for (at, step) in round.steps.iter().enumerate() {
            let expected = parse(answers.next().unwrap());
            let now = ours.time.load(Ordering::Relaxed);
            let misses = ours.store.info().unwrap().misses;
            let sort = |(answer, gone): (String, Vec<String>)| match moments {
                Moments::Distinct => (answer, gone),
                Moments::Shared => (answer, by_expiry(gone, &expiries, now)),
            };
            let expected = sort(expected);
            let got = sort(ours.answer(step));
            assert_eq!(
                got, expected,
                "{class}, round {seed}, cap {}, step {at}: {step:?}",
                round.max
            );
            evictions += got.1.len();
            let is_miss = ours.store.info().unwrap().misses > misses;
            match step {
                Step::Put(expires, key, _) if got.0 == "stored" => {
                    expiries.insert(key.clone(), *expires);
                }
                Step::Call(expires, key, value) if is_miss && value.len() as u64 <= round.max => {
                    expiries.insert(key.clone(), *expires);
                }
                _ => {}
            }
        }
    }
    evictions
}

/// `gone`, with those at the beginning that have expired in the order of their moments and then of
/// their keys: of a shared moment, a heap gives one or the other first.
fn by_expiry(mut gone: Vec<String>, expiries: &BTreeMap<String, i64>, now: i64) -> Vec<String> {
    let expired = |key: &&String| expiries.get(*key).is_some_and(|expires| *expires <= now);
    let count = gone.iter().take_while(expired).count();
    gone[..count].sort_by_key(|key| (expiries[key], key.clone()));
    gone
}

/// So many evictions at least, or the rounds show little.
const ENOUGH: usize = 3000;

#[test]
fn least_recently_used_goes_as_in_cachetools() {
    assert!(agree("LRUCache", "", Policy::Lru, Moments::Distinct) > ENOUGH);
}

#[test]
fn first_in_goes_as_in_cachetools() {
    assert!(agree("FIFOCache", "", Policy::Fifo, Moments::Distinct) > ENOUGH);
}

#[test]
fn least_often_used_goes_as_in_cachetools() {
    assert!(agree("LFUCache", "", Policy::Lfu, Moments::Distinct) > ENOUGH);
}

#[test]
fn one_lifetime_for_all_is_as_in_cachetools() {
    for ticks in [2, 8, 30] {
        let lifetime = TICK * ticks;
        let policy = Policy::Ttl { lifetime };
        let ttl = format!(" {lifetime}");
        assert!(agree("TTLCache", &ttl, policy, Moments::Distinct) > ENOUGH);
    }
}

#[test]
fn lifetimes_per_entry_are_as_in_cachetools() {
    let policy = Policy::Tlru {
        objects: 1,
        device: 1,
    };
    for moments in [Moments::Distinct, Moments::Shared] {
        assert!(agree("TLRUCache", "", policy, moments) > ENOUGH);
    }
}

/// Puts distinct keys of one byte each: whatever goes, the counts are those of cachetools.
#[test]
fn random_choice_evicts_as_many_as_cachetools() {
    let (max, count) = (7, 200);
    let mut lines = vec![format!("cache RRCache {max}")];
    for number in 0..count {
        lines.push(format!("put 0 k{number} x"));
        lines.push("len".into());
    }
    let answers = oracles::ask("policies.py", &(lines.join("\n") + "\n"));
    let ours = Ours::new(Policy::Random { seed: 5 }, max, count);
    for (number, answers) in answers[1..].chunks(2).enumerate() {
        let gone = ours.insert(0, &format!("k{number}"), "x").unwrap();
        assert_eq!(gone.len(), parse(&answers[0]).1.len());
        assert_eq!(ours.answer(&Step::Len), parse(&answers[1]));
    }
}

#[test]
fn random_choice_takes_members_and_no_more_than_it_must() {
    let mut first_victims = BTreeSet::new();
    for seed in 0..ROUNDS {
        let round = Round::new(seed, Moments::Distinct);
        let ours = Ours::new(Policy::Random { seed }, round.max, round.keys);
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        for step in &round.steps {
            let (answer, gone) = match step {
                // Its evictions are not told.
                Step::Call(..) => continue,
                step => ours.answer(step),
            };
            let mut others = model.clone();
            match step {
                Step::Put(_, key, value) if answer == "stored" => {
                    let replaced = others.remove(key);
                    let size = |held: &BTreeMap<String, String>| {
                        held.values().map(String::len).sum::<usize>() + value.len()
                    };
                    for (at, victim) in gone.iter().enumerate() {
                        assert!(size(&others) as u64 > round.max, "a victim too many");
                        let was = others.remove(victim).is_some();
                        assert!(was || (victim == key && replaced.is_some()));
                        if at == 0 && model.len() == round.keys as usize {
                            first_victims.insert(victim.clone());
                        }
                    }
                    assert!(size(&others) as u64 <= round.max);
                    others.insert(key.clone(), value.clone());
                }
                Step::Get(key) => {
                    let held = model.get(key).map(|value| format!("={value}"));
                    assert_eq!(answer, held.unwrap_or_else(|| "none".into()));
                }
                Step::Remove(key) => {
                    let held = others.remove(key).is_some();
                    assert_eq!(answer == "yes", held);
                }
                Step::Clear => others.clear(),
                _ => assert!(gone.is_empty()),
            }
            model = others;
            assert_eq!(ours.store.len().unwrap(), model.len() as u64);
        }
    }
    assert!(first_victims.len() > 5, "not random: {first_victims:?}");
}
