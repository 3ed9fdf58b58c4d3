//! What became of the stages of a build, as `pcache stats --json` counts them. Preprocessing, which
//! always runs, is left out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::outcome::Outcome;
use super::workspace::{Workspace, program};

/// How often each kind of stage came from the store, and ran.
pub type StageCounts = BTreeMap<String, (u64, u64)>;

/// The counters of all stages so far.
#[track_caller]
pub fn stage_counts(ws: &Workspace) -> StageCounts {
    let mut command = ws.command(program("pcache"));
    let output = command.args(["stats", "--json"]).output();
    let output = output.expect("run pcache").stdout;
    let value: Value = serde_json::from_slice(&output).expect("JSON from pcache");
    let stages = value["stages"].as_object().expect("stages").iter();
    let number = |value: &Value| value.as_u64().expect("a number");
    stages
        .map(|(kind, counts)| {
            let counts = (number(&counts["hits"]), number(&counts["misses"]));
            (kind.clone(), counts)
        })
        .collect()
}

/// Runs `build` and says which stages were served and which ran: `served(kinds)` and `ran(kinds)`.
#[track_caller]
pub fn staged(ws: &Workspace, build: impl FnOnce() -> Outcome) -> Staged {
    let before = stage_counts(ws);
    let outcome = build();
    let mut counts = stage_counts(ws);
    for (kind, count) in &mut counts {
        let (hits, misses) = before.get(kind).copied().unwrap_or_default();
        *count = (count.0 - hits, count.1 - misses);
    }
    counts.retain(|kind, count| kind != "preprocess" && *count != (0, 0));
    Staged { outcome, counts }
}

/// A build with what became of its stages.
pub struct Staged {
    /// The build.
    pub outcome: Outcome,
    counts: StageCounts,
}

impl Staged {
    /// The build succeeded, these stages came from the store, and those ran; no others.
    #[track_caller]
    pub fn expect(&self, served: &[(&str, u64)], ran: &[(&str, u64)]) -> &Outcome {
        self.outcome.succeeds();
        let mut expected = StageCounts::new();
        for (kind, count) in served {
            expected.entry((*kind).to_owned()).or_default().0 = *count;
        }
        for (kind, count) in ran {
            expected.entry((*kind).to_owned()).or_default().1 = *count;
        }
        assert_eq!(self.counts, expected, "(served, ran) of each kind");
        &self.outcome
    }

    /// The kinds of stages that ran.
    pub fn ran(&self) -> Vec<&str> {
        let ran = self.counts.iter().filter(|(_, (_, ran))| *ran > 0);
        ran.map(|(kind, _)| kind.as_str()).collect()
    }
}
