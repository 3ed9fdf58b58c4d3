//! A record of the journal: one process of `pcache-nvcc`. Times in microseconds; paths as text, with
//! what is no UTF-8 escaped, since no program opens them.

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
    /// Answered after waiting for another process that made it.
    Coalesced,
    /// Compiled; its stages tell which of them had results.
    Miss,
    /// Went straight to nvcc.
    Bypass,
    /// Begun, and handed to nvcc.
    Fallback,
    /// A signal ended it.
    Interrupted,
    /// NVRTC did not compile it, or its result was not fetched.
    Failed,
}

impl CompileOutcome {
    /// For people.
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
    /// How long it took, in microseconds; until nvcc took over where it did.
    pub wall: u64,
    /// The process.
    pub pid: u32,
    /// The working directory.
    pub directory: String,
    /// What `-o` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The inputs, as they were written.
    pub sources: Vec<String>,
    /// Whether a running program compiled it with NVRTC: the source is the program's name.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nvrtc: bool,
    /// How it ended: as the worst of its units.
    pub level: CompileOutcome,
    /// Whether a hit's sources had changed in what no compiler sees.
    #[serde(default, skip_serializing_if = "is_false")]
    pub semantic: bool,
    /// The reason of a bypass or a fallback, as in `pcache stats --json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What decided so: an argument, a file, a variable's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why direct mode remembers nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<String>,
    /// Milliseconds that the compile took whose result was delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stored: u64,
    /// Whether PCACHE_RECACHE was set, so that nothing was looked up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recache: bool,
    /// The record of what it depended on, or on which its result did: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<String>,
    /// Of a direct hit, the key of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its units; none of a direct hit, a bypass or a fallback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitOutcome>,
    /// Its waits for other processes that were making the same.
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
    /// Whether lines had moved.
    #[serde(default, skip_serializing_if = "is_false")]
    pub semantic: bool,
    /// Why what was compiled is not in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstored: Option<String>,
    /// Its key.
    pub key: String,
}

/// A wait for another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightSpan {
    /// The unit's place among the compile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<usize>,
    /// When it started: microseconds since the compile did.
    pub begin: u64,
    /// How long it lasted.
    pub wait: u64,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRun {
    /// The unit's place among the compile's; none for what joins units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<usize>,
    /// The tool, as in `pcache stats --json`.
    pub name: String,
    /// The architecture, such as `sm_80` or `compute_80`; none on the host's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// When it could have begun: microseconds since the compile did.
    pub begin: u64,
    /// How long it waited for a slot.
    pub wait: u64,
    /// How long it ran, or was looked for and put in place.
    pub run: u64,
    /// Whether its result was in the cache.
    pub hit: bool,
    /// Whether it ended at all and well.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub done: bool,
}

impl Compile {
    /// The text of the record.
    pub fn to_text(&self) -> String {
        // Strings, numbers and lists of them can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The record that `text` holds, if this version can read it. Those of versions that hid nothing lose their
    /// secrets here.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut found: Self = serde_json::from_str(text).ok()?;
        found.hide();
        (found.v == SCHEMA).then_some(found)
    }

    /// Hides secret values wherever a word of the command line may stand.
    pub(super) fn hide(&mut self) {
        let unstored = self
            .units
            .iter_mut()
            .filter_map(|unit| unit.unstored.as_mut());
        let said = [&mut self.detail, &mut self.forgotten]
            .into_iter()
            .flatten();
        // Names of files, unless `-D NAME=value` was taken for one.
        let is_value =
            |name: &&mut String| !name.split('=').next().unwrap_or_default().contains('/');
        let named = self
            .sources
            .iter_mut()
            .chain(&mut self.output)
            .filter(is_value);
        for text in unstored.chain(said).chain(named) {
            if let Cow::Owned(hidden) = hide_text(text) {
                *text = hidden;
            }
        }
    }

    /// When it was over: microseconds since 1970. A record may hold any numbers.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.wall)
    }

    /// Milliseconds that a hit took less than the compile whose result it delivered.
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

    /// How many translation units it stands for.
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
            recache: true,
            facts: text("11"),
            key: text("22"),
            units: vec![unit],
            flights: vec![flight],
            stages: vec![stage],
            ..Compile::from_text(LEAST).unwrap()
        };
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
