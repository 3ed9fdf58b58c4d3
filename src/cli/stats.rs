//! `pcache stats`: the counters as a table or as JSON. Does not know how they are kept.

use super::{is_there, print_json, say};
use crate::config::{ByteSize, Config};
use crate::stats::{Counter, Snapshot, StageKind, Stats};
use crate::store::FileStore;
use anyhow::{Context, Error, bail};
use serde::{Serialize, Serializer};
use std::io::Write;

/// What `pcache stats` takes.
#[derive(Debug, clap::Args)]
pub(super) struct StatsArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Set the counters to zero after showing them
    #[arg(long)]
    zero: bool,
}

pub(super) fn run(
    arguments: &StatsArguments,
    config: &Config,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), Error> {
    let root = &config.dir.value;
    let max_bytes = config.max_size.value.bytes();
    let exists = is_there(root)?;
    let stats = match exists {
        true => Stats::open(root),
        false => Stats::nowhere(),
    };
    let is_stuck = exists && !stats.is_shared();
    if is_stuck {
        let what = "cannot be written, or are of a newer version; showing what can be read";
        writeln!(err, "pcache: the counters in {root:?} {what}").context("cannot write")?;
    }
    // A new page knows nothing of what is on the disk. What cannot be listed reads as nothing.
    if exists && stats.store_size().is_none() {
        let _ = FileStore::open_read_only(root, max_bytes).map(|store| store.recount());
    }
    let snapshot = stats.snapshot();
    match arguments.json {
        true => print_json(out, &Report::new(&snapshot, max_bytes))?,
        false => print_table(out, config, &snapshot)?,
    }
    match arguments.zero {
        true if is_stuck => bail!("cannot reset the counters in {root:?}; correct owner and mode"),
        true => stats.zero(),
        false => return Ok(()),
    }
    match arguments.json {
        true => Ok(()),
        false => say(out, format_args!("\nthe counters are now zero")),
    }
}

/// The shape of `pcache stats --json`. Names and nesting are a contract; every reason is there, with
/// zero where it was not counted.
#[derive(Serialize)]
struct Report {
    direct_hits: u64,
    preprocessed_hits: u64,
    semantic_hits: u64,
    misses: u64,
    coalesced: u64,
    uncacheable: u64,
    errors: u64,
    bypassed: InOrder<u64>,
    fallbacks: InOrder<u64>,
    stages: InOrder<Stage>,
    store: Store,
}

#[derive(Serialize)]
struct Stage {
    hits: u64,
    misses: u64,
}

#[derive(Serialize)]
struct Store {
    entries: u64,
    records: u64,
    bytes: u64,
    max_bytes: u64,
    evicted: u64,
}

/// A JSON object whose members keep their order.
struct InOrder<T>(Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for InOrder<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Report {
    fn new(snapshot: &Snapshot, max_bytes: u64) -> Self {
        let size = snapshot.store_size();
        let bypassed = snapshot.bypassed().map(|(reason, n)| (reason.code(), n));
        let fallbacks = snapshot.fallbacks().map(|(reason, n)| (reason.code(), n));
        let stage = |&kind: &StageKind| {
            let (hits, misses) = stage_counts(snapshot, kind);
            (kind.code(), Stage { hits, misses })
        };
        Self {
            direct_hits: snapshot.get(Counter::DirectHit),
            preprocessed_hits: snapshot.get(Counter::PreprocessedHit),
            semantic_hits: snapshot.get(Counter::SemanticHit),
            misses: snapshot.get(Counter::Miss),
            coalesced: snapshot.get(Counter::Coalesced),
            uncacheable: snapshot.get(Counter::Uncacheable),
            errors: snapshot.get(Counter::Error),
            bypassed: InOrder(bypassed.collect()),
            fallbacks: InOrder(fallbacks.collect()),
            stages: InOrder(StageKind::ALL.iter().map(stage).collect()),
            store: Store {
                entries: size.entries,
                records: size.records,
                bytes: size.bytes,
                max_bytes,
                evicted: snapshot.get(Counter::Evicted),
            },
        }
    }
}

fn stage_counts(snapshot: &Snapshot, kind: StageKind) -> (u64, u64) {
    let hits = snapshot.get(Counter::StageHit(kind));
    (hits, snapshot.get(Counter::StageMiss(kind)))
}

/// The table: totals first, then a line for every reason that was counted.
fn print_table(out: &mut dyn Write, config: &Config, snapshot: &Snapshot) -> Result<(), Error> {
    let bypassed: u64 = snapshot.bypassed().map(|(_, n)| n).sum();
    let fallbacks: u64 = snapshot.fallbacks().map(|(_, n)| n).sum();
    say(
        out,
        format_args!("{:<20}{}", "cache", config.dir.value.display()),
    )?;
    let rows = [
        ("direct hits", snapshot.get(Counter::DirectHit)),
        ("preprocessed hits", snapshot.get(Counter::PreprocessedHit)),
        ("of these, semantic", snapshot.get(Counter::SemanticHit)),
        ("misses", snapshot.get(Counter::Miss)),
        ("coalesced", snapshot.get(Counter::Coalesced)),
        ("compiled, not stored", snapshot.get(Counter::Uncacheable)),
        ("cache errors", snapshot.get(Counter::Error)),
    ];
    for (name, n) in rows {
        count_line(out, name, n)?;
    }
    count_line(out, "passed to nvcc", bypassed)?;
    for (reason, n) in snapshot.bypassed().filter(|(_, n)| *n > 0) {
        say(
            out,
            format_args!("{n:>12}  {}: {}", reason.code(), reason.sentence()),
        )?;
    }
    count_line(out, "fell back to nvcc", fallbacks)?;
    for (reason, n) in snapshot.fallbacks().filter(|(_, n)| *n > 0) {
        say(
            out,
            format_args!("{n:>12}  {}: {}", reason.code(), reason.sentence()),
        )?;
    }
    for &kind in StageKind::ALL {
        let (hits, misses) = stage_counts(snapshot, kind);
        if hits + misses > 0 {
            let name = format!("stage {}", kind.code());
            say(
                out,
                format_args!("{name:<20}{hits:>10} hits, {misses} misses"),
            )?;
        }
    }
    print_store(out, config, snapshot)
}

fn print_store(out: &mut dyn Write, config: &Config, snapshot: &Snapshot) -> Result<(), Error> {
    let size = snapshot.store_size();
    let held = ByteSize::approximate(size.bytes);
    let most = ByteSize::approximate(config.max_size.value.bytes());
    count_line(out, "stored artefacts", size.entries)?;
    count_line(out, "stored results", size.records)?;
    count_line(out, "evicted", snapshot.get(Counter::Evicted))?;
    say(out, format_args!("{:<20}{held:>10} of {most}", "size"))
}

fn count_line(out: &mut dyn Write, name: &str, n: u64) -> Result<(), Error> {
    say(out, format_args!("{name:<20}{n:>10}"))
}
