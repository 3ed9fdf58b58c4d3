//! Measures the file-stream store. `worker` runs one operation many times, as one of several processes
//! that `scripts/store-bench` compares; `million` looks at what a million entries cost. Clocks are CPU time
//! where that is said, as others use the machine.

use pcache_nvcc::stats::Counter;
use pcache_nvcc::store::{Artefact, FileStore, Name};
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PLENTY: u64 = 1 << 40;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["worker", root, operation, size, keys, count, first] => {
            let number = |text: &str| text.parse::<u64>();
            let keys = number(first)?..number(first)? + number(keys)?;
            worker(
                Path::new(root),
                operation,
                number(size)? as usize,
                keys,
                number(count)?,
            )
        }
        ["million", root, entries] => million(Path::new(root), entries.parse()?),
        _ => Err("worker ROOT OPERATION SIZE KEYS COUNT FIRST | million ROOT ENTRIES".into()),
    }
}

fn value(key: u64, size: usize) -> Vec<u8> {
    // Nothing compresses it, so that as much is written as is asked for.
    let mut word = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    });
    let mut value: Vec<u8> = words.flatten().take(size).collect();
    value[..8].copy_from_slice(&key.to_le_bytes());
    value
}

/// Prints when it began and ended, in seconds since 1970, for the reader to put processes together.
fn worker(
    root: &Path,
    operation: &str,
    size: usize,
    keys: std::ops::Range<u64>,
    count: u64,
) -> Result<(), Box<dyn Error>> {
    let store = FileStore::open(root, PLENTY)?;
    let values: Vec<_> = keys.clone().map(|key| value(key, size)).collect();
    let names: Vec<_> = values.iter().map(|value| Artefact::of(value)).collect();
    let key = |at: usize| (keys.start + at as u64).to_le_bytes();
    if operation == "prepare" {
        for (at, value) in values.iter().enumerate() {
            store.put(&key(at), value)?;
            store.put_artefact(value)?;
        }
        return Ok(());
    }
    // The first buffers of a process cost page faults, in any language.
    if operation.starts_with("get") {
        for _ in 0..2 {
            black_box(store.get(&key(0))?);
        }
    }
    // All processes of a measurement begin at the moment that is on standard input.
    let mut start = String::new();
    io::stdin().read_line(&mut start)?;
    let start = UNIX_EPOCH + Duration::from_secs_f64(start.trim().parse()?);
    std::thread::sleep(start.duration_since(SystemTime::now()).unwrap_or_default());
    let begin = SystemTime::now();
    for n in 0..count {
        let at = (n % values.len() as u64) as usize;
        match operation {
            "get" => drop(black_box(store.get(&key(at))?.ok_or("a miss")?)),
            "put" => store.put(&key(at), &values[at])?,
            "get-verified" => {
                let found = store.get_artefact(&names[at])?;
                drop(black_box(found.ok_or("a miss")?));
            }
            // A value that is new, as after a compile.
            "put-verified" => {
                let mut value = values[at].clone();
                value[8..16].copy_from_slice(&n.to_le_bytes());
                value[16..20].copy_from_slice(&std::process::id().to_le_bytes());
                store.put_artefact(&value)?;
            }
            other => return Err(other.into()),
        }
    }
    let end = SystemTime::now();
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|t| t.as_secs_f64());
    Ok(writeln!(
        io::stdout(),
        "{} {}",
        seconds(begin)?,
        seconds(end)?
    )?)
}

/// CPU time of this thread, user and system, in microseconds.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// CPU and wall microseconds of each call.
fn timed(mut call: impl FnMut()) -> (f64, f64) {
    let (wall, before) = (Instant::now(), cpu());
    call();
    (cpu() - before, wall.elapsed().as_secs_f64() * 1e6)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn worst(times: &[f64]) -> f64 {
    times.iter().copied().fold(0.0, f64::max)
}

const SAMPLES: u64 = 1000;

/// Entries that are measured, in a store with or without a crowd.
struct Subject {
    store: FileStore,
    gets: Vec<f64>,
    puts: Vec<f64>,
    artefacts: Vec<f64>,
    plain: Vec<f64>,
}

impl Subject {
    fn new(root: &Path) -> Result<Self, Box<dyn Error>> {
        let store = FileStore::open(root, PLENTY)?;
        for n in 0..SAMPLES {
            store.put_record(&key(n), &value(n, 4096))?;
            store.put_artefact(&value(n, 4096))?;
        }
        Ok(Self {
            store,
            gets: Vec::new(),
            puts: Vec::new(),
            artefacts: Vec::new(),
            plain: Vec::new(),
        })
    }

    /// One round over some of the samples.
    fn round(&mut self, samples: std::ops::Range<u64>, salt: u64) {
        for n in samples {
            let known = Artefact::of(&value(n, 4096));
            let get = || drop(black_box(self.store.get_artefact(&known).unwrap().unwrap()));
            self.gets.push(timed(get).0);
            let name = [key(n), salt.to_le_bytes().to_vec()].concat();
            let put = || self.store.put_record(&name, &value(n, 4096)).unwrap();
            self.puts.push(timed(put).0);
            let put = || self.store.put(&name, &value(n, 4096)).unwrap();
            self.plain.push(timed(put).0);
            let new = value(salt.wrapping_add(n), 4096);
            let put = || {
                black_box(self.store.put_artefact(&new).unwrap());
            };
            self.artefacts.push(timed(put).0);
        }
    }
}

fn key(n: u64) -> Vec<u8> {
    format!("sample {n}").into_bytes()
}

fn million(root: &Path, entries: u64) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    let (empty, full) = (root.join("empty"), root.join("full"));
    let began = Instant::now();
    fill(&full, entries)?;
    let seconds = began.elapsed().as_secs();
    writeln!(out, "{entries} entries of 100 bytes made in {seconds} s")?;

    // A new page of totals: the first put samples, the next ones complete.
    let store = FileStore::open(&full, PLENTY)?;
    let mut puts = Vec::new();
    for n in 0..300u64 {
        puts.push(timed(|| store.put_record(&n.to_le_bytes(), b"x").unwrap()).0 / 1e3);
        if n == 0 {
            let guess = store.stats().store_size().ok_or("not known")?;
            let off = guess.entries as f64 / entries as f64 * 100.0 - 100.0;
            writeln!(
                out,
                "first put on a new page: {:.1} ms CPU; its guess is off by {off:.1} %",
                puts[0]
            )?;
        }
    }
    let rest = worst(&puts[1..256]);
    writeln!(out, "puts that complete it: at most {rest:.1} ms CPU")?;
    assert!(store.stats().totals().unknown().is_none());

    let mut subjects = [Subject::new(&empty)?, Subject::new(&full)?];
    // New names and values, also where an earlier run has left some.
    let salt = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    for round in 0..20 {
        for subject in &mut subjects {
            subject.round(round * 50..round * 50 + 50, salt);
        }
    }
    let [empty, crowded] = subjects;
    writeln!(out, "median CPU in µs, empty and with {entries} entries:")?;
    for (what, alone, among) in [
        ("get_artefact", empty.gets, crowded.gets),
        ("put_record", empty.puts, crowded.puts),
        ("put_artefact", empty.artefacts, crowded.artefacts),
        ("put", empty.plain, crowded.plain),
    ] {
        let (alone, among) = (median(alone), median(among));
        writeln!(
            out,
            "  {what}: {alone:.1} {among:.1}, ratio {:.2}",
            among / alone
        )?;
    }
    evictions(&full, &mut out)
}

/// Puts into a store that is full to the brim: each one that exceeds the cap evicts.
fn evictions(root: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let size = FileStore::open(root, PLENTY)?
        .stats()
        .store_size()
        .ok_or("not known")?;
    let store = FileStore::open(root, size.bytes)?;
    let evicted = || store.stats().snapshot().get(Counter::Evicted);
    let (mut cpu, mut wall, mut gone) = (Vec::new(), Vec::new(), 0);
    let mut n = 0u64;
    while cpu.len() < 60 {
        n += 1;
        let before = evicted();
        let value = value(n, 4096);
        let (used, passed) = timed(|| store.put_record(&n.to_le_bytes(), &value).unwrap());
        if evicted() > before {
            gone += evicted() - before;
            cpu.push(used / 1e3);
            wall.push(passed / 1e3);
        }
    }
    let (most, middle) = (worst(&cpu), median(cpu));
    let longest = worst(&wall);
    writeln!(
        out,
        "{n} puts of 4 KiB, 60 of them evicting {gone} files: median {middle:.1} ms CPU, worst {most:.1} ms CPU ({longest:.1} ms wall)"
    )?;
    let held = store.stats().store_size().ok_or("not known")?;
    let percent = held.bytes as f64 / size.bytes as f64 * 100.0;
    writeln!(out, "the store holds {percent:.2} % of its cap")?;
    Ok(())
}

/// Makes entries on the disk, without a store: 100 bytes each, under the names of keys 0, 1, ….
fn fill(root: &Path, entries: u64) -> io::Result<()> {
    for shard in 0..=255u8 {
        fs::create_dir_all(root.join(format!("entries/{shard:02x}")))?;
    }
    for n in 0..entries {
        let name = Name::of(&n.to_be_bytes());
        let path = root.join(format!("entries/{name}"));
        // What an earlier run has left is good enough: making and removing them takes most of the time.
        if !path.exists() {
            fs::write(path, [7; 100])?;
        }
    }
    Ok(())
}
