//! What `pcache stats --json` counts, and the difference between two readings.

use std::collections::BTreeMap;

use serde_json::Value;

/// One reading of the counters, or the difference of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Results served from the store, by either key.
    pub hits: u64,
    /// Those of them that direct mode found, without starting a process.
    pub direct_hits: u64,
    /// Those of them whose sources had changed in what no compiler sees.
    pub semantic_hits: u64,
    /// Results served from the store after waiting for another process.
    pub coalesced: u64,
    /// Results computed and stored.
    pub misses: u64,
    /// Invocations handed to nvcc at once, by reason.
    pub bypassed: BTreeMap<String, u64>,
    /// Compiles handed to nvcc after all, by reason.
    pub fallbacks: BTreeMap<String, u64>,
    /// Cache errors that a compile survived.
    pub errors: u64,
}

impl Counters {
    /// Reads the answer of `pcache stats --json`.
    #[track_caller]
    pub fn parse(json: &[u8]) -> Self {
        let text = String::from_utf8_lossy(json);
        let value: Value = serde_json::from_slice(json)
            .unwrap_or_else(|e| panic!("pcache stats --json printed no JSON: {e}\n{text}"));
        let number = |name: &str| {
            value[name]
                .as_u64()
                .unwrap_or_else(|| panic!("`{name}` is no number in\n{text}"))
        };
        Self {
            hits: number("direct_hits") + number("preprocessed_hits"),
            direct_hits: number("direct_hits"),
            semantic_hits: number("semantic_hits"),
            coalesced: number("coalesced"),
            misses: number("misses"),
            bypassed: reasons(&value["bypassed"]),
            fallbacks: reasons(&value["fallbacks"]),
            errors: number("errors"),
        }
    }

    /// What was counted after `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            hits: self.hits - before.hits,
            direct_hits: self.direct_hits - before.direct_hits,
            semantic_hits: self.semantic_hits - before.semantic_hits,
            coalesced: self.coalesced - before.coalesced,
            misses: self.misses - before.misses,
            bypassed: subtract(&self.bypassed, &before.bypassed),
            fallbacks: subtract(&self.fallbacks, &before.fallbacks),
            errors: self.errors - before.errors,
        }
    }

    /// The same, without telling one kind of hit from the other.
    pub fn of_any_kind(&self) -> Self {
        Self {
            direct_hits: 0,
            semantic_hits: 0,
            ..self.clone()
        }
    }

    /// Only so many hits.
    pub fn hits(n: u64) -> Self {
        Self {
            hits: n,
            ..Self::default()
        }
    }

    /// Only so many misses.
    pub fn misses(n: u64) -> Self {
        Self {
            misses: n,
            ..Self::default()
        }
    }

    /// One bypass, for this reason.
    pub fn bypass(reason: &str) -> Self {
        Self {
            bypassed: BTreeMap::from([(reason.to_owned(), 1)]),
            ..Self::default()
        }
    }

    /// All events together: one for every translation unit or bypassed invocation.
    pub fn events(&self) -> u64 {
        let sum = |reasons: &BTreeMap<String, u64>| reasons.values().sum::<u64>();
        self.hits + self.coalesced + self.misses + sum(&self.bypassed) + sum(&self.fallbacks)
    }
}

fn reasons(value: &Value) -> BTreeMap<String, u64> {
    let object = value.as_object().into_iter().flatten();
    object
        .filter_map(|(reason, n)| Some((reason.clone(), n.as_u64()?)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

fn subtract(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    now.iter()
        .map(|(reason, n)| (reason.clone(), n - before.get(reason).unwrap_or(&0)))
        .filter(|(_, n)| *n > 0)
        .collect()
}
