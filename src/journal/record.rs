//! A record of the journal: one process of `pcache-nvcc`. Times are in microseconds. Paths are text in which
//! invalid UTF-8 is escaped, since no program opens them.

use crate::secret::hide_text;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The version of the record. Records of other versions are passed over.
pub const SCHEMA: u32 = 1;

/// How a compile, or one of its units, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompileOutcome {
    /// Answered without starting a process.
    DirectHit,
    /// Answered after preprocessing.
    PreprocessedHit,
    /// Answered after waiting for another process that compiled it.
    Coalesced,
    /// Compiled; the records of its stages show which of them were in the cache.
    Miss,
    /// Handed to nvcc at once.
    Bypass,
    /// Begun, then handed to nvcc.
    Fallback,
    /// Ended by a signal.
    Interrupted,
    /// NVRTC did not compile it, or the program did not fetch its result.
    Failed,
}

impl CompileOutcome {
    /// The name that is shown to users.
    pub const fn text(self) -> &'static str {
        match self {
            Self::DirectHit => "direct hit",
            Self::PreprocessedHit => "preprocessed hit",
            Self::Coalesced => "hit after waiting",
            Self::Miss => "miss",
            Self::Bypass => "passed to nvcc",
            Self::Fallback => "fell back to nvcc",
            Self::Interrupted => "interrupted",
            Self::Failed => "not compiled",
        }
    }

    /// Whether the result was in the cache.
    pub const fn is_hit(self) -> bool {
        matches!(
            self,
            Self::DirectHit | Self::PreprocessedHit | Self::Coalesced
        )
    }
}

/// One compile: everything that one process did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compile {
    /// [`SCHEMA`].
    pub v: u32,
    /// When it started: microseconds since 1970.
    pub start: u64,
    /// How long it took, in microseconds; if nvcc took over, until then.
    pub wall: u64,
    /// The process id.
    pub pid: u32,
    /// The working directory.
    pub directory: String,
    /// The value of `-o`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The inputs, as they were written.
    pub sources: Vec<String>,
    /// Whether a running program compiled it with NVRTC: the source is the program's name.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nvrtc: bool,
    /// How it ended: the worst outcome of its units.
    pub level: CompileOutcome,
    /// Whether it was a semantic hit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub semantic: bool,
    /// The reason of a bypass or a fallback, as in `pcache stats --json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What caused it: an argument, a file, a variable's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why its result was not stored for direct mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<String>,
    /// Milliseconds that the compile of a delivered stored result took.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stored: u64,
    /// Whether it is a hit that a server served, at least for one of its units.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remote: bool,
    /// How long it waited for servers, whatever they had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub remote_wait: u64,
    /// Whether PCACHE_RECACHE was set, so that nothing was looked up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recache: bool,
    /// The key of the record of what it, or its stored result, depended on: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<String>,
    /// The key of the result of a direct hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its units; empty for a direct hit, a bypass or a fallback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitOutcome>,
    /// Its waits for other processes that were compiling the same thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flights: Vec<FlightSpan>,
    /// Its stages in the order in which they started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRun>,
}

/// One translation unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// Its source, as nvcc spells it.
    pub source: String,
    /// How it ended.
    pub level: CompileOutcome,
    /// Whether it was a semantic hit: lines had moved.
    #[serde(default, skip_serializing_if = "is_false")]
    pub semantic: bool,
    /// Whether it is a hit that a server served.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remote: bool,
    /// Why the result of a miss was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstored: Option<String>,
    /// Its key.
    pub key: String,
}

/// A wait for another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightSpan {
    /// The index of the unit in the compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<usize>,
    /// When it started: microseconds since the start of the compile.
    pub begin: u64,
    /// How long it lasted.
    pub wait: u64,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRun {
    /// The index of the unit in the compile; `None` for link stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<usize>,
    /// The tool, as in `pcache stats --json`.
    pub name: String,
    /// The architecture, such as `sm_80` or `compute_80`; `None` on the host's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// When all its inputs were ready: microseconds since the start of the compile.
    pub begin: u64,
    /// How long it waited for a slot.
    pub wait: u64,
    /// How long it ran, or how long the lookup and writing its result took.
    pub run: u64,
    /// Whether its result was in the cache.
    pub hit: bool,
    /// Whether a server had brought that result for this compile.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remote: bool,
    /// Whether it succeeded.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub done: bool,
}

impl StageRun {
    /// How it ended.
    pub const fn outcome(&self) -> &'static str {
        match (self.hit, self.remote, self.done) {
            (true, true, _) => "from a server",
            (true, false, _) => "from the cache",
            (false, _, true) => "run",
            (false, _, false) => "not ended",
        }
    }
}

impl Compile {
    /// The text of the record.
    pub fn to_text(&self) -> String {
        // Strings, numbers and lists of them can always be serialised.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The record in `text`, if this version can read it. Secrets are hidden here too, for records of old versions,
    /// which did not hide them.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut record: Self = serde_json::from_str(text).ok()?;
        record.hide();
        (record.v == SCHEMA).then_some(record)
    }

    /// Hides secret values in every field that may hold a word of the command line.
    pub(super) fn hide(&mut self) {
        let unstored = self
            .units
            .iter_mut()
            .filter_map(|unit| unit.unstored.as_mut());
        let reasons = [&mut self.detail, &mut self.forgotten]
            .into_iter()
            .flatten();
        // These are names of files, unless `-D NAME=value` was mistaken for one.
        let may_be_value =
            |name: &&mut String| !name.split('=').next().unwrap_or_default().contains('/');
        let files = self
            .sources
            .iter_mut()
            .chain(&mut self.output)
            .filter(may_be_value);
        for text in unstored.chain(reasons).chain(files) {
            if let Cow::Owned(hidden) = hide_text(text) {
                *text = hidden;
            }
        }
    }

    /// Where the result came from, if servers were asked: a part of a sentence.
    pub fn origin(&self) -> Option<String> {
        let milliseconds = self.remote_wait as f64 / 1e3;
        match (self.remote, self.remote_wait) {
            (true, _) => Some(format!(
                "served from a server, asked for {milliseconds:.1} ms"
            )),
            (false, 0) => None,
            (false, _) => Some(format!("asked servers for {milliseconds:.1} ms")),
        }
    }

    /// When it ended: microseconds since 1970. It saturates, since a record may hold any numbers.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.wall)
    }

    /// Milliseconds that a hit saved: how much longer the compile of its result took.
    pub fn saved(&self) -> u64 {
        if self.level.is_hit() {
            self.stored.saturating_sub(self.wall / 1000)
        } else {
            0
        }
    }

    /// Milliseconds that a miss took.
    pub fn spent(&self) -> u64 {
        match self.level {
            CompileOutcome::Miss => self.wall / 1000,
            _ => 0,
        }
    }

    /// How many translation units it has.
    pub fn width(&self) -> u64 {
        self.units.len().max(self.sources.len()).max(1) as u64
    }
}

// The signatures are serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_true(value: &bool) -> bool {
    *value
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::{Compile, CompileOutcome, FlightSpan, StageRun, UnitOutcome};

    const LEAST: &str = r#"{"v":1,"start":5,"wall":7,"pid":9,"directory":"/src","sources":["a.cu"],"level":"direct_hit"}"#;

    #[test]
    fn secrets_of_any_version_are_hidden_and_names_of_files_stay() {
        let mut record = Compile::from_text(LEAST).unwrap();
        record.detail = Some("-DAPI_TOKEN=hunter2 b".to_owned());
        record.forgotten = Some("KEY=hunter2".to_owned());
        record.sources = vec!["/monkey=1/a.cu".to_owned(), "KEY=hunter2.cu".to_owned()];
        record.units = vec![UnitOutcome {
            source: "a.cu".to_owned(),
            level: CompileOutcome::Miss,
            semantic: false,
            remote: false,
            unstored: Some("-DKEY=hunter2".to_owned()),
            key: String::new(),
        }];
        let read = Compile::from_text(&record.to_text()).unwrap();
        let text = read.to_text();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("-DAPI_TOKEN=<hidden:") && text.contains("/monkey=1/a.cu"),
            "{text}"
        );
        assert_eq!(Compile::from_text(&text), Some(read));
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let least = Compile::from_text(LEAST).unwrap();
        assert_eq!(least.to_text(), LEAST);
        assert_eq!(least.origin(), None);
        let stage = r#"{"name":"cicc","begin":1,"wait":2,"run":3,"hit":false}"#;
        let stage: StageRun = serde_json::from_str(stage).unwrap();
        assert!(stage.done && stage.unit.is_none() && stage.arch.is_none());
    }

    #[test]
    fn everything_is_read_back() {
        let unit = UnitOutcome {
            source: "a \"b\"\n.cu".to_owned(),
            level: CompileOutcome::Miss,
            semantic: true,
            remote: true,
            unstored: Some("why".to_owned()),
            key: "00".to_owned(),
        };
        let stage = StageRun {
            unit: Some(1),
            name: "ptxas".to_owned(),
            arch: Some("sm_80".to_owned()),
            begin: 1,
            wait: 2,
            run: 3,
            hit: true,
            remote: true,
            done: false,
        };
        let flight = FlightSpan {
            unit: Some(1),
            begin: 1,
            wait: 2,
        };
        let text = |text: &str| Some(text.to_owned());
        let all = Compile {
            output: text("a.o"),
            nvrtc: true,
            level: CompileOutcome::Fallback,
            semantic: true,
            reason: text("stage_failed"),
            detail: text("gcc"),
            forgotten: text("__TIME__"),
            stored: 11,
            remote: true,
            remote_wait: 12,
            recache: true,
            facts: text("11"),
            key: text("22"),
            units: vec![unit],
            flights: vec![flight],
            stages: vec![stage],
            ..Compile::from_text(LEAST).unwrap()
        };
        assert_eq!(
            all.origin().as_deref(),
            Some("served from a server, asked for 0.0 ms")
        );
        let written = all.to_text();
        assert!(!written.contains('\n'), "a record is a line");
        assert_eq!(Compile::from_text(&written), Some(all));
    }

    #[test]
    fn other_versions_are_passed_over_and_other_members_ignored() {
        assert_eq!(
            Compile::from_text(&LEAST.replace("\"v\":1", "\"v\":2")),
            None
        );
        assert_eq!(Compile::from_text("{}"), None);
        let more = LEAST.replace("\"v\":1", "\"v\":1,\"new\":[]");
        assert!(Compile::from_text(&more).is_some());
    }

    #[test]
    fn a_hit_saves_what_it_took_less_and_a_miss_costs_all() {
        let mut compile = Compile::from_text(LEAST).unwrap();
        (compile.stored, compile.wall) = (900, 2_000);
        assert_eq!((compile.saved(), compile.spent()), (898, 0));
        compile.wall = 2_000_000;
        assert_eq!(compile.saved(), 0);
        compile.level = CompileOutcome::Miss;
        assert_eq!((compile.saved(), compile.spent()), (0, 2000));
    }
}
