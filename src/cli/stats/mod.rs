//! `pcache stats`: what was counted, as a table, as JSON, or for Prometheus.
//!
//! Totals are those of the counters, which are exact. With `--since` they are summed up from the
//! journal, which is bounded and may reach back less far; it says so then.

mod counts;
mod hint;
mod prometheus;
mod shown;
mod table;

use super::context::is_there;
use super::journal::compiles;
use super::range::Range;
use super::screen::{Screen, complain, print_json, say};
use super::zone::Zone;
use crate::config::Config;
use crate::journal::Compile;
use crate::stats::Stats;
use crate::store::FileStore;
use anyhow::{Context as _, Error, bail};
pub(super) use counts::kind;
use counts::{Counts, NvrtcCounts};
use serde::{Serialize, Serializer};
use serde_json::Value;
use shown::{JournalSpan, RemoteCounts, Shown};

/// What `pcache stats` takes.
#[derive(Debug, clap::Args)]
pub(super) struct StatsArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print text for Prometheus
    #[arg(long, conflicts_with_all = ["json", "since", "last_build"])]
    prometheus: bool,
    #[command(flatten)]
    range: Range,
    /// Set the counters to zero after showing them
    #[arg(long, conflicts_with_all = ["since", "last_build"])]
    zero: bool,
}

pub(super) fn run(
    arguments: &StatsArguments,
    config: &Config,
    out: &mut Screen<'_>,
    err: &mut Screen<'_>,
) -> Result<(), Error> {
    let root = &config.dir.value;

    let exists = is_there(root)?;
    let stats = if exists {
        open(config)
    } else {
        Stats::nowhere()
    };
    let is_stuck = exists && !stats.is_shared();
    if is_stuck {
        let what = "cannot be written, or are of a newer version; showing what can be read";
        complain(err, format_args!("the counters in {root:?} {what}"))?;
    }
    let zone = Zone::of(arguments.json);
    let shown = if arguments.range.is_given() {
        let all = if exists {
            compiles(&FileStore::reading(config)?)?
        } else {
            Vec::new()
        };
        Shown::new(config, &stats, Some((&arguments.range, &all[..])), &zone)
    } else {
        Shown::new(config, &stats, None, &zone)
    };
    if arguments.prometheus {
        prometheus::print(out, &shown)?;
    } else if arguments.json {
        print_json(out, &StatsReport::new(&shown))?;
    } else {
        table::print(out, &shown, hint::hint(&shown, config).as_deref())?;
    }
    if !arguments.zero {
        return Ok(());
    }
    if is_stuck {
        bail!("cannot reset the counters in {root:?}; correct owner and mode");
    }
    stats.zero();
    if arguments.json || arguments.prometheus {
        return Ok(());
    }
    say(out, format_args!(""))?;
    say(out, format_args!("the counters are now zero"))
}

/// The counters of a cache that is there, after a look at what the store holds if the counters do not tell yet.
fn open(config: &Config) -> Stats {
    let stats = Stats::open(&config.dir.value);
    // A new page knows nothing of what is on the disk. What cannot be listed reads as nothing.
    if stats.store_size().is_none() {
        let _ = FileStore::reading(config).map(|store| store.recount());
    }
    stats
}

/// What `pcache stats --json` prints for a range of the journal, of which `all` is the whole.
pub(super) fn numbers(config: &Config, range: &Range, all: &[Compile]) -> Result<Value, Error> {
    let stats = open(config);
    let shown = Shown::new(config, &stats, Some((range, all)), &Zone::utc());
    serde_json::to_value(StatsReport::new(&shown)).context("cannot write JSON")
}

/// How many units were direct hits, preprocessed hits, hits after waiting, and misses.
pub(super) fn units(compiles: &[Compile]) -> [u64; 4] {
    let counts = Counts::of_journal(compiles.iter());
    [
        counts.direct_hits,
        counts.preprocessed_hits,
        counts.coalesced,
        counts.misses,
    ]
}

/// The shape of `pcache stats --json`. Names and nesting are a contract; every reason is there, with
/// zero where it was not counted.
#[derive(Serialize)]
struct StatsReport<'a> {
    direct_hits: u64,
    preprocessed_hits: u64,
    semantic_hits: u64,
    misses: u64,
    coalesced: u64,
    uncacheable: u64,
    /// Null with `--since`: the journal does not tell.
    errors: Option<u64>,
    distrusted: Option<u64>,
    saved_milliseconds: u64,
    spent_milliseconds: u64,
    bypassed: InOrder<u64>,
    fallbacks: InOrder<u64>,
    stages: InOrder<StageReport>,
    nvrtc: Nvrtc,
    rechecked: u64,
    recheck_differed: u64,
    remote: RemoteReport,
    store: Store,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a JournalSpan>,
}

#[derive(Serialize)]
struct StageReport {
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

/// Servers of the shared level, since the counters were reset.
#[derive(Serialize)]
struct RemoteReport {
    /// Hits of compiles that servers served.
    served: u64,
    hits: u64,
    misses: u64,
    unchanged: u64,
    sent: u64,
    unsent: u64,
    bytes_received: u64,
    bytes_sent: u64,
    /// The mean of all that were asked for.
    milliseconds: f64,
    failures: InOrder<u64>,
}

impl RemoteReport {
    fn new(counts: &RemoteCounts, served: u64) -> Self {
        let failures = counts.failures.iter().map(|(one, n)| (one.code(), *n));
        Self {
            served,
            hits: counts.hits,
            misses: counts.misses,
            unchanged: counts.unchanged,
            sent: counts.sent,
            unsent: counts.unsent,
            bytes_received: counts.bytes_received,
            bytes_sent: counts.bytes_sent,
            milliseconds: counts.milliseconds(),
            failures: InOrder(failures.collect()),
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
    compressed: CompressedBytes,
}

/// What was compressed since the counters were reset.
#[derive(Serialize)]
struct CompressedBytes {
    from: u64,
    to: u64,
}

/// A JSON object whose members keep their order.
struct InOrder<T>(Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for InOrder<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'a> StatsReport<'a> {
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
            (stage.kind.code(), StageReport { hits, misses })
        });
        Self {
            direct_hits: counts.direct_hits,
            preprocessed_hits: counts.preprocessed_hits,
            semantic_hits: counts.semantic_hits,
            misses: counts.misses,
            coalesced: counts.coalesced,
            uncacheable: counts.uncacheable,
            errors: counts.errors,
            distrusted: counts.distrusted,
            saved_milliseconds: counts.saved_milliseconds,
            spent_milliseconds: counts.spent_milliseconds,
            bypassed: InOrder(bypassed.collect()),
            fallbacks: InOrder(fallbacks.collect()),
            stages: InOrder(stages.collect()),
            nvrtc: Nvrtc::new(&counts.nvrtc),
            rechecked: shown.rechecked[0],
            recheck_differed: shown.rechecked[1],
            remote: RemoteReport::new(&shown.remote, counts.served),
            store: Store {
                entries: size.entries,
                records: size.records,
                bytes: size.bytes,
                max_bytes: shown.max_bytes,
                evicted: shown.evicted,
                compressed: CompressedBytes {
                    from: shown.compressed[0],
                    to: shown.compressed[1],
                },
            },
            since: shown.since.as_ref(),
        }
    }
}
