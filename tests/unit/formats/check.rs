//! What holds for any bytes in the place of each file and record of a cache: for fuzz targets, and for the test of
//! random mutations. Readers are the real ones; formats that are read from files are written to files first.

#![allow(dead_code)] // Each fuzz target compiles this, and uses its own part.

use pcache_nvcc::cli::{self, Colours, Env};
use pcache_nvcc::compile::formats::{self, RecordFormat};
use pcache_nvcc::explain::{DependencyReport, Later, differences};
use pcache_nvcc::includes::digests::{DigestTable, Sighting};
use pcache_nvcc::includes::path_set::{list_with, read_list};
use pcache_nvcc::journal::{Compile, Removal};
use pcache_nvcc::key::Roots;
use pcache_nvcc::nvrtc::record::NvrtcRecord;
use pcache_nvcc::plan::Plan;
use pcache_nvcc::stat::CoarseTime;
use pcache_nvcc::stats::{Counter, Stats};
use pcache_nvcc::store::FileStore;
use pcache_nvcc::toolchain::{MemoSelection, Memos, forget};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// A format, and what holds for it; whether the bytes were read, and not refused.
pub type Check = (&'static str, fn(&[u8]) -> bool);

/// Every check by the name of its fuzz target.
pub const CHECKS: [Check; 9] = [
    ("path_sets", path_sets),
    ("token_sets", token_sets),
    ("plan", plan),
    ("records", records),
    ("facts", facts),
    ("journal", journal),
    ("pages", pages),
    ("digests", digests),
    ("toolchains", toolchains),
];

/// Path sets: what was read can be written, and is then the same.
pub fn path_sets(bytes: &[u8]) -> bool {
    let Some(sets) = read_list(bytes) else {
        return false;
    };
    for set in &sets {
        let files = set.shown_files();
        assert_eq!(
            set.has_files(),
            files.as_ref().is_some_and(|files| !files.is_empty())
        );
        let _ = set.names("a");
        let _ = set.with("a", Path::new("/b"));
        // Not where a name could be that of a device.
        if !set.names("/dev") && !set.names("/proc") {
            let _ = set.check(
                &DigestTable::nowhere(),
                None,
                CoarseTime::default(),
                &Roots::default(),
            );
        }
    }
    let mut others = sets.clone();
    let Some(last) = others.pop() else {
        return true;
    };
    if let Some(written) = list_with(last.clone(), others) {
        let again = read_list(&written).expect("what was written can be read");
        assert_eq!(again[0], last);
        assert!(again.len() <= 8);
    }
    true
}

/// Token sets: the same.
pub fn token_sets(bytes: &[u8]) -> bool {
    let written = formats::token_sets(bytes);
    if let Some(written) = &written {
        assert_eq!(formats::token_sets(written).as_ref(), Some(written));
    }
    written.is_some()
}

/// A plan as nvcc prints it, and one as it is remembered.
pub fn plan(bytes: &[u8]) -> bool {
    let root = Path::new("/tmp/work");
    let parsed = Plan::parse(bytes, root);
    if let Ok(plan) = &parsed {
        let count = plan.stages.len();
        let mut named = plan.units.iter().flat_map(|unit| &unit.stages);
        assert!(named.all(|stage| *stage < count));
    }
    let remembered = formats::plan(bytes, &[b"-DAPI_KEY=secret"], root);
    parsed.is_ok() || remembered.is_some()
}

/// The values of records: each reader, and those that list records without knowing what they are.
pub fn records(bytes: &[u8]) -> bool {
    let known = RecordFormat::ALL.map(|format| formats::read(format, bytes));
    let is_known = known.contains(&true) || NvrtcRecord::read(bytes).is_some();
    let home = Home::new();
    let store = home.store();
    store.put_record(b"key", bytes).expect("stored");
    assert_eq!(
        store.get_record(b"key").expect("readable").as_deref(),
        Some(bytes)
    );
    for line in ["list --json", "list --matching a*", "verify"] {
        assert_eq!(home.pcache(line), 0, "{line}");
    }
    is_known
}

/// What a compile depended on, beside nothing and beside itself.
pub fn facts(bytes: &[u8]) -> bool {
    let _ = serde_json::from_slice::<Later>(bytes);
    let Some(facts) = DependencyReport::from_record(bytes) else {
        return false;
    };
    // A damaged one may have a field twice, and so differ from itself.
    let _ = differences(&facts, &facts);
    let _ = differences(&DependencyReport::default(), &facts);
    let _ = differences(&facts, &DependencyReport::default());
    for at in 0..facts.files.len() {
        let _ = facts.chain(at);
    }
    let record = facts.clone().to_record().expect("it can be written");
    assert_eq!(DependencyReport::from_record(&record), Some(facts));
    true
}

/// The journal: as a file, and as a record that was written as it should be.
pub fn journal(bytes: &[u8]) -> bool {
    let home = Home::new();
    let store = home.store();
    let text = String::from_utf8_lossy(bytes);
    let mut is_read = false;
    for record in text.split('\u{1e}').take(20) {
        is_read |= Removal::from_text(record).is_some();
        if let Some(read) = Compile::from_text(record) {
            assert_eq!(Compile::from_text(&read.to_text()), Some(read));
            store.note(record).expect("written");
            is_read = true;
        }
    }
    fs::write(home.cache().join("journal/1"), bytes)
        .or_else(|_| {
            fs::create_dir_all(home.cache().join("journal"))?;
            fs::write(home.cache().join("journal/1"), bytes)
        })
        .expect("written");
    assert!(store.noted().is_ok());
    for line in [
        "explain --last 99",
        "trace",
        "report",
        "stats --since 2000-01-01 --json",
    ] {
        assert!(home.pcache(line) < 2, "{line}");
    }
    is_read
}

/// Pages of counters and totals, behind headers of ours or not.
pub fn pages(bytes: &[u8]) -> bool {
    let home = Home::new();
    drop(home.store());
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    for file in ["counters", "shards"] {
        overwrite(
            &home.cache().join(file),
            if first % 4 == 0 { 0 } else { 16 },
            rest,
        );
    }
    let stats = Stats::open(&home.cache());
    stats.add(Counter::Miss, u64::MAX);
    let _ = (stats.snapshot(), stats.store_size(), stats.journal_turn());
    let store = home.store();
    store.note(r#"{"v":1}"#).expect("written");
    store.put_record(b"key", b"value").expect("stored");
    assert!(store.noted().is_ok() && store.bytes().is_ok());
    for line in ["stats", "stats --json", "stats --prometheus", "gc"] {
        assert_eq!(home.pcache(line), 0, "{line}");
    }
    true
}

/// The table of digests: what it says of a file is its digest, or nothing.
pub fn digests(bytes: &[u8]) -> bool {
    let home = Home::new();
    drop(home.store());
    let file = home.path().join("header.h");
    fs::write(&file, bytes).expect("written");
    drop(DigestTable::open(&home.cache()));
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let table = home.cache().join("digests");
    // None on file systems that it does not trust.
    if table.exists() {
        overwrite(&table, if first % 4 == 0 { 0 } else { 64 }, rest);
    }
    let table = DigestTable::open(&home.cache());
    let told = table.digest_of(&file).expect("a digest");
    assert_eq!(
        told.1,
        DigestTable::nowhere().digest_of(&file).expect("a digest").1
    );
    let seen = Sighting::at(&file).expect("seen");
    assert!(!table.is_known(&seen, &[7; 32]));
    true
}

/// Remembered toolchains: what is none, or not this machine's, is forgotten.
pub fn toolchains(bytes: &[u8]) -> bool {
    let home = Home::new();
    let place = home.path().join("manifests/toolchains");
    fs::create_dir_all(&place).expect("made");
    fs::write(place.join("memo.json"), bytes).expect("written");
    let forgotten = forget(&Memos::new(home.path()), MemoSelection::Stale);
    let (files, forgotten) = forgotten.expect("tidied");
    assert!(files == 0 || (files, forgotten) == (1, bytes.len() as u64));
    true
}

/// Repeats `bytes` all over a file from `from` on.
fn overwrite(file: &Path, from: usize, bytes: &[u8]) {
    let mut text = fs::read(file).expect("a file");
    if !bytes.is_empty() {
        let filling = bytes.iter().cycle();
        text.iter_mut()
            .skip(from)
            .zip(filling)
            .for_each(|(place, byte)| *place = *byte);
    }
    fs::write(file, text).expect("written");
}

/// A home without settings, on a file system in memory where there is one, and `pcache` in it without a process.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let memory = tempfile::tempdir_in("/dev/shm");
        Self(
            memory
                .or_else(|_| tempfile::tempdir())
                .expect("a directory"),
        )
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn cache(&self) -> std::path::PathBuf {
        self.path().join("cache")
    }

    fn store(&self) -> FileStore {
        FileStore::open(&self.cache(), 1 << 30).expect("a store")
    }

    fn pcache(&self, line: &str) -> u8 {
        let arguments = format!("pcache {line}");
        let arguments: Vec<_> = arguments.split(' ').map(OsString::from).collect();
        let var = |name: &str| match name {
            "PCACHE_DIR" => Some(self.cache().into()),
            "HOME" => Some(self.path().into()),
            _ => None,
        };
        let env = Env {
            var: &var,
            variables: Vec::new(),
            program: None,
            library: None,
            out_colours: Colours::None,
            out_is_terminal: false,
            err_is_terminal: false,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = cli::run(&arguments, &env, &mut out, &mut err);
        for printed in [out, err] {
            let printed = String::from_utf8(printed).expect("text");
            assert!(
                !printed.contains(|c: char| c.is_control() && !"\n\t".contains(c)),
                "{line}: {printed:?}"
            );
        }
        status
    }
}
