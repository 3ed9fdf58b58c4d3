//! `pcache stats`: what was counted, as a table, as JSON, or for Prometheus. Does not know how
//! counters are kept.
//!
//! Totals are those of the counters, which are exact. With `--since` they are summed up from the
//! journal, which is bounded and may reach back less far; it says so then.

mod counts;
mod prometheus;
mod table;

use super::journal::compiles;
use super::since::Since;
use super::{is_there, print_json, say};
use crate::config::Config;
use crate::log::timestamp;
use crate::stats::{Counter, Stats, StoreSize};
use crate::store::FileStore;
use anyhow::{Context, Error, bail};
use counts::{Counts, NvrtcCounts};
use serde::{Serialize, Serializer};
use std::io::Write;
use std::path::Path;

/// What `pcache stats` takes.
#[derive(Debug, clap::Args)]
pub(super) struct StatsArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print text for Prometheus
    #[arg(long, conflicts_with_all = ["json", "since"])]
    prometheus: bool,
    /// Count only what began then or later, as far as the journal reaches back: 2h, 2026-11-22T16:25
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Set the counters to zero after showing them
    #[arg(long, conflicts_with = "since")]
    zero: bool,
}

/// Everything that is shown.
pub(super) struct Shown<'a> {
    root: &'a Path,
    counts: Counts,
    size: StoreSize,
    max_bytes: u64,
    /// Of the counters; the journal does not tell.
    evicted: u64,
    since: Option<Span>,
}

/// What a count from the journal covers.
#[derive(Serialize)]
struct Span {
    /// What was asked for.
    asked: String,
    /// When the first compile began that the journal holds.
    journal_begins: Option<String>,
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
    let (counts, since) = match &arguments.since {
        None => (Counts::of_counters(&snapshot), None),
        Some(since) => {
            let (counts, span) = summed(root, max_bytes, exists, since)?;
            (counts, Some(span))
        }
    };
    let shown = Shown {
        root,
        counts,
        size: snapshot.store_size(),
        max_bytes,
        evicted: snapshot.get(Counter::Evicted),
        since,
    };
    if arguments.prometheus {
        prometheus::print(out, &shown)?;
    } else if arguments.json {
        print_json(out, &Report::new(&shown))?;
    } else {
        table::print(out, &shown)?;
    }
    match arguments.zero {
        true if is_stuck => bail!("cannot reset the counters in {root:?}; correct owner and mode"),
        true => stats.zero(),
        false => return Ok(()),
    }
    match arguments.json || arguments.prometheus {
        true => Ok(()),
        false => say(out, format_args!("\nthe counters are now zero")),
    }
}

/// Counts from the journal.
fn summed(
    root: &Path,
    max_bytes: u64,
    exists: bool,
    since: &Since,
) -> Result<(Counts, Span), Error> {
    let all = match exists {
        true => compiles(&FileStore::open_read_only(root, max_bytes)?)?,
        false => Vec::new(),
    };
    let meant = all.iter().filter(|compile| since.includes(compile.start));
    let span = Span {
        asked: since.text().to_owned(),
        journal_begins: all.first().map(|first| timestamp(first.start / 1000)),
    };
    Ok((Counts::of_journal(meant), span))
}

/// The shape of `pcache stats --json`. Names and nesting are a contract; every reason is there, with
/// zero where it was not counted.
#[derive(Serialize)]
struct Report<'a> {
    direct_hits: u64,
    preprocessed_hits: u64,
    semantic_hits: u64,
    misses: u64,
    coalesced: u64,
    uncacheable: u64,
    /// Null with `--since`: the journal does not tell.
    errors: Option<u64>,
    saved_milliseconds: u64,
    spent_milliseconds: u64,
    bypassed: InOrder<u64>,
    fallbacks: InOrder<u64>,
    stages: InOrder<Stage>,
    nvrtc: Nvrtc,
    store: Store,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a Span>,
}

#[derive(Serialize)]
struct Stage {
    hits: u64,
    misses: u64,
}

/// Programs that were compiled at run time.
#[derive(Serialize)]
struct Nvrtc {
    hits: u64,
    coalesced: u64,
    misses: u64,
    uncacheable: u64,
    bypassed: InOrder<u64>,
}

impl Nvrtc {
    fn new(counts: &NvrtcCounts) -> Self {
        let bypassed = counts.bypassed.iter();
        let bypassed = bypassed.map(|(reason, n)| (reason.code(), *n));
        Self {
            hits: counts.hits,
            coalesced: counts.coalesced,
            misses: counts.misses,
            uncacheable: counts.uncacheable,
            bypassed: InOrder(bypassed.collect()),
        }
    }
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

impl<'a> Report<'a> {
    fn new(shown: &'a Shown<'_>) -> Self {
        let (counts, size) = (&shown.counts, shown.size);
        let bypassed = counts
            .bypassed
            .iter()
            .map(|(reason, n)| (reason.code(), *n));
        let fallbacks = counts
            .fallbacks
            .iter()
            .map(|(reason, n)| (reason.code(), *n));
        let stages = counts.stages.iter().map(|stage| {
            let (hits, misses) = (stage.hits, stage.misses);
            (stage.kind.code(), Stage { hits, misses })
        });
        Self {
            direct_hits: counts.direct_hits,
            preprocessed_hits: counts.preprocessed_hits,
            semantic_hits: counts.semantic_hits,
            misses: counts.misses,
            coalesced: counts.coalesced,
            uncacheable: counts.uncacheable,
            errors: counts.errors,
            saved_milliseconds: counts.saved_milliseconds,
            spent_milliseconds: counts.spent_milliseconds,
            bypassed: InOrder(bypassed.collect()),
            fallbacks: InOrder(fallbacks.collect()),
            stages: InOrder(stages.collect()),
            nvrtc: Nvrtc::new(&counts.nvrtc),
            store: Store {
                entries: size.entries,
                records: size.records,
                bytes: size.bytes,
                max_bytes: shown.max_bytes,
                evicted: shown.evicted,
            },
            since: shown.since.as_ref(),
        }
    }
}
