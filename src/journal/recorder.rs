//! Records what a compile does while it runs. Both the journal's record and the log's block are built from it, so
//! that they cannot disagree.

use super::record::{Compile, CompileOutcome, FlightSpan, SCHEMA, StageRun, UnitOutcome};
use crate::log::Block;
use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The record of one compile.
#[derive(Debug)]
pub struct Recorder {
    clock: Instant,
    found: RefCell<Compile>,
    /// Names and values of the log's lines; `None` if no log is kept.
    notes: Option<RefCell<Vec<(&'static str, String)>>>,
    unit: Cell<Option<usize>>,
}

/// A stage that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageHandle(usize);

/// How a stage was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageEnd {
    /// The store had its result.
    Cached,
    /// A server had its result, which is in the store now.
    Served,
    /// Its command has succeeded.
    Ran,
}

impl StageEnd {
    /// That of a stage whose result was in the store; `is_served` if a server had just brought it.
    pub const fn found(is_served: bool) -> Self {
        if is_served {
            Self::Served
        } else {
            Self::Cached
        }
    }
}

impl Recorder {
    /// A recorder of a compile that begins now. With `notes`, it collects notes for a log.
    pub fn begin(notes: bool) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let start = since_epoch.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(0));
        let record = Compile {
            v: SCHEMA,
            start,
            wall: 0,
            pid: std::process::id(),
            directory: String::new(),
            output: None,
            sources: Vec::new(),
            nvrtc: false,
            level: CompileOutcome::Interrupted,
            semantic: false,
            reason: None,
            detail: None,
            forgotten: None,
            stored: 0,
            remote: false,
            remote_wait: 0,
            recache: false,
            facts: None,
            key: None,
            units: Vec::new(),
            flights: Vec::new(),
            stages: Vec::new(),
        };
        Self {
            clock: Instant::now(),
            found: RefCell::new(record),
            notes: notes.then(RefCell::default),
            unit: Cell::new(None),
        }
    }

    /// Changes the journal's record.
    pub fn update(&self, change: impl FnOnce(&mut Compile)) {
        change(&mut self.found.borrow_mut());
    }

    /// Adds a line to the log: a decision, by name.
    pub fn note(&self, name: &'static str, value: impl fmt::Display) {
        if let Some(notes) = &self.notes {
            notes.borrow_mut().push((name, value.to_string()));
        }
    }

    /// Whether a log is kept; lets callers skip the formatting of notes.
    pub fn keeps_notes(&self) -> bool {
        self.notes.is_some()
    }

    /// Sets the unit to which the stages that begin from now on belong.
    pub fn enter_unit(&self, unit: Option<usize>) {
        self.unit.set(unit);
    }

    /// Adds how a unit ended.
    pub fn add_unit(&self, unit: UnitOutcome) {
        self.update(|record| record.units.push(unit));
    }

    /// Records that the present unit has waited since `begin` for another process that compiles the same thing.
    pub fn add_flight(&self, begin: u64) {
        let flight = FlightSpan {
            unit: self.unit.get(),
            begin,
            wait: self.elapsed().saturating_sub(begin),
        };
        self.update(|record| record.flights.push(flight));
    }

    /// Records that a stage begins: it is looked up in the cache, and waits for a slot if it is not there.
    pub fn begin_stage(&self, name: &str, arch: Option<String>) -> StageHandle {
        let stage = StageRun {
            unit: self.unit.get(),
            name: name.to_owned(),
            arch,
            begin: self.elapsed(),
            wait: 0,
            run: 0,
            hit: false,
            remote: false,
            done: false,
        };
        let mut record = self.found.borrow_mut();
        record.stages.push(stage);
        StageHandle(record.stages.len() - 1)
    }

    /// Records that the stage has its slot and runs.
    pub fn start_stage(&self, stage: StageHandle) {
        let now = self.elapsed();
        self.stage(stage, |stage| stage.wait = now.saturating_sub(stage.begin));
    }

    /// Records that the stage is done.
    pub fn end_stage(&self, stage: StageHandle, end: StageEnd) {
        let now = self.elapsed();
        self.stage(stage, |stage| {
            stage.run = now.saturating_sub(stage.begin + stage.wait);
            stage.hit = end != StageEnd::Ran;
            stage.remote = end == StageEnd::Served;
            stage.done = true;
        });
    }

    /// Microseconds since the start of the compile.
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The journal's record as of now, with secrets hidden.
    pub fn finish(&self) -> Compile {
        let wall = self.elapsed();
        let mut record = self.found.borrow().clone();
        record.wall = wall;
        record.hide();
        for stage in record.stages.iter_mut().filter(|stage| !stage.done) {
            stage.run = wall.saturating_sub(stage.begin + stage.wait);
        }
        record
    }

    /// Writes the notes, and the stages and times of the record, to a block of the log.
    pub fn write_block(&self, record: &Compile, block: &mut Block) {
        let Some(notes) = &self.notes else {
            return;
        };
        for (name, value) in notes.borrow().iter() {
            block.note(name, value);
        }
        for stage in &record.stages {
            let outcome = stage.outcome();
            let arch = stage.arch.as_deref().unwrap_or_default();
            let space = if arch.is_empty() { "" } else { " " };
            let (wait, run) = (Elapsed(stage.wait), Elapsed(stage.run));
            block.note(
                "stage",
                format_args!(
                    "{}{space}{arch}: {outcome}, {run}, waited {wait}",
                    stage.name
                ),
            );
        }
        if let Some(facts) = &record.facts {
            block.note("facts", facts);
        }
        if let Some(origin) = record.origin() {
            block.note("servers", origin);
        }
        block.note("took", Elapsed(record.wall));
    }

    fn stage(&self, stage: StageHandle, change: impl FnOnce(&mut StageRun)) {
        if let Some(stage) = self.found.borrow_mut().stages.get_mut(stage.0) {
            change(stage);
        }
    }
}

/// Microseconds as milliseconds.
struct Elapsed(u64);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} ms", self.0 / 1000, self.0 / 100 % 10)
    }
}

/// `bytes` as text; if they are not UTF-8, escaped.
pub fn text(bytes: &OsStr) -> String {
    match std::str::from_utf8(bytes.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.as_bytes().escape_ascii().to_string(),
    }
}

/// `path` resolved against `directory`, without `.` components.
pub fn place(directory: impl AsRef<Path>, path: impl AsRef<Path>) -> PathBuf {
    directory.as_ref().join(path).components().collect()
}
