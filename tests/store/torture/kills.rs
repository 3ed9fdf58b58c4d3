//! Kills processes that work on one store at random moments, and looks at what they leave. The processes are this
//! program again.

use pcache_nvcc::stats::{Counter, StoreSize};
use pcache_nvcc::store::{Artefact, FileStore};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Small enough that the workers evict all the time.
pub const CAP: u64 = 4_000_000;

const ROOT: &str = "PCACHE_TORTURE_ROOT";
const SEED: &str = "PCACHE_TORTURE_SEED";
const KEYS: u64 = 400;
const WORKERS: u64 = 4;

/// Numbers that look random: xorshift64* (Vigna 2016).
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % end
    }
}

/// A value that tells whether it is whole and under which key it was stored.
fn value(key: u64, random: &mut Random) -> Vec<u8> {
    let longest = if random.below(50) == 0 {
        400_000
    } else {
        20_000
    };
    let length = random.below(longest) as usize;
    let fill = random.below(256) as u8;
    let mut value = vec![fill; length];
    value.splice(
        ..length.min(8),
        random
            .below(u64::MAX)
            .to_le_bytes()
            .into_iter()
            .take(length),
    );
    let check = checksum(key, &value);
    value.extend(check);
    value
}

fn checksum(key: u64, body: &[u8]) -> [u8; 32] {
    let digest = Sha256::new().chain_update(key.to_le_bytes());
    digest.chain_update(body).finalize().into()
}

fn check(what: &str, key: u64, value: &[u8]) {
    let whole = value.split_last_chunk::<32>();
    let whole = whole.is_some_and(|(body, check)| checksum(key, body) == *check);
    assert!(
        whole,
        "torn or wrong {what} under {key}: {} bytes",
        value.len()
    );
}

/// Works until it is killed, if this process was started as a worker. Wrong bytes end it with 101.
pub fn work_if_asked() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let seed = std::env::var(SEED).expect("given with the root");
    let mut random = Random::new(seed.parse().expect("a number"));
    let mut artefacts: Vec<(Artefact, Vec<u8>)> = Vec::new();
    loop {
        // Often, as compiles are processes of their own.
        let store = FileStore::open(Path::new(&root), CAP).expect("it opens");
        for _ in 0..random.below(60) {
            step(&store, &mut random, &mut artefacts);
        }
    }
}

fn step(store: &FileStore, random: &mut Random, artefacts: &mut Vec<(Artefact, Vec<u8>)>) {
    let key = random.below(KEYS);
    let name = key.to_le_bytes();
    match random.below(10) {
        0 | 1 => store.put(&name, &value(key, random)).expect("it is put"),
        2 => store
            .put_record(&name, &value(key, random))
            .expect("it is put"),
        3 => {
            let bytes = value(key, random);
            artefacts.truncate(20);
            artefacts.insert(0, (store.put_artefact(&bytes).expect("it is put"), bytes));
        }
        9 => {
            // Compressed, as most of what is intermediate is.
            let bytes = [value(key, random), vec![b' '; 3000]].concat();
            let stored = store.put_intermediate(&bytes).expect("it is put");
            artefacts.truncate(20);
            artefacts.insert(0, (stored, bytes));
            let record = value(key, random);
            let put = store.put_intermediate_record(&name, &record);
            put.expect("it is put");
            let found = store.get_intermediate_record(&name).expect("it is read");
            found.inspect(|value| check("intermediate record", key, value));
        }
        4 | 5 => {
            let found = store.get(&name).expect("it is read");
            found.inspect(|value| check("entry", key, value));
        }
        6 => {
            let found = store.get_record(&name).expect("it is read");
            found.inspect(|value| check("record", key, value));
        }
        7 => {
            for (artefact, bytes) in artefacts.iter() {
                let found = store.get_artefact(artefact).expect("it is read");
                assert!(found.is_none_or(|found| found == *bytes), "wrong artefact");
            }
        }
        _ if random.below(40) == 0 => drop(store.clear().expect("it is cleared")),
        _ => drop(store.remove(&name).expect("it is removed")),
    }
}

/// What all rounds together saw.
#[derive(Debug, Default)]
pub struct Report {
    /// Rounds.
    pub rounds: u64,
    /// Entries and records that were read and found whole after the kills.
    pub whole: u64,
    /// Evicted files.
    pub evicted: u64,
    /// Temporary files that the dead left.
    pub left: u64,
    /// The largest difference between counted and found bytes right after a kill, in thousandths of
    /// the cap.
    pub worst_drift: u64,
}

/// Lets workers loose on the store in `root` and kills them, so many rounds; panics at the first thing
/// that is wrong. `worker` gives the command that runs this program again.
pub fn run(root: &Path, rounds: u64, seed: u64, worker: impl Fn() -> Command) -> Report {
    let mut random = Random::new(seed);
    let mut report = Report::default();
    for _ in 0..rounds {
        let mut workers: Vec<Child> = (0..WORKERS)
            .map(|_| start(root, random.below(u64::MAX), worker()))
            .collect();
        sleep(Duration::from_micros(2_000 + random.below(120_000)));
        for worker in &mut workers {
            worker.kill().expect("it runs");
            // Some die before others, who go on with what these leave.
            sleep(Duration::from_micros(random.below(3_000)));
        }
        for mut worker in workers {
            let status = worker.wait().expect("it ends");
            assert_eq!(status.code(), None, "a worker ended by itself: {status}");
        }
        examine(root, &mut report, random.below(10) == 0);
        report.rounds += 1;
    }
    let store = FileStore::open(root, CAP).expect("it opens");
    let snapshot = store.stats().snapshot();
    report.evicted = snapshot.get(Counter::Evicted);
    assert_eq!(snapshot.get(Counter::Error), 0, "something was damaged");
    report
}

fn start(root: &Path, seed: u64, mut command: Command) -> Child {
    let command = command.env(ROOT, root).env(SEED, seed.to_string());
    command.stdout(Stdio::null()).spawn().expect("it starts")
}

/// Everything that can be read is whole, no lock is held, and the totals are right once counted.
fn examine(root: &Path, report: &mut Report, is_time_to_tidy: bool) {
    let lock = root.join("locks/evict");
    if let Ok(lock) = File::open(lock) {
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("nobody holds the lock");
    }
    let store = FileStore::open(root, CAP).expect("it opens");
    for key in 0..KEYS {
        let name = key.to_le_bytes();
        for (what, found) in [
            ("entry", store.get(&name)),
            ("record", store.get_record(&name)),
        ] {
            if let Some(value) = found.expect("it is read") {
                check(what, key, &value);
                report.whole += 1;
            }
        }
    }
    let counted = store.stats().store_size().unwrap_or_default();
    let found = store.recount().expect("it is listed");
    let drift = counted.bytes.abs_diff(found.bytes) * 1000 / CAP;
    report.worst_drift = report.worst_drift.max(drift);
    let recounted = store.stats().store_size();
    let recounted = if found == StoreSize::default() {
        Some(found)
    } else {
        recounted
    };
    assert_eq!(recounted, Some(found), "totals are right once counted");
    let (disk, unfinished) = (bytes_below(root), files(&root.join("tmp")));
    assert!(
        disk.abs_diff(found.bytes) <= disk / 100,
        "{disk} bytes on the disk, {found:?}"
    );
    report.left += unfinished.len() as u64;
    if is_time_to_tidy {
        // An hour later.
        for path in unfinished {
            let times = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(9));
            File::open(path)
                .and_then(|file| file.set_times(times))
                .expect("it is ours");
        }
        store.clear().expect("it is cleared");
        assert_eq!(files(&root.join("tmp")), Vec::<PathBuf>::new());
        assert_eq!(store.bytes().expect("it is counted"), 0);
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(dir) else {
        return Vec::new();
    };
    listing
        .map(|child| child.expect("it is listed").path())
        .collect()
}

/// Without the pages and logs, which no total holds.
fn bytes_below(root: &Path) -> u64 {
    let mut left: Vec<_> = ["entries", "manifests", "intermediates", "tmp"]
        .map(|dir| root.join(dir))
        .into();
    let mut bytes = 0;
    while let Some(path) = left.pop() {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => left.extend(files(&path)),
            Ok(_) if path.to_string_lossy().contains("/counters-") => {}
            Ok(metadata) => bytes += metadata.size(),
            Err(_) => {}
        }
    }
    bytes
}

/// A seed that differs from run to run.
pub fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64)
}
