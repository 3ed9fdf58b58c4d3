//! `pcache stats --prometheus`: the text exposition format, version 0.0.4, for a node exporter's
//! textfile collector or the like. Totals of counters only grow until `pcache stats --zero`.

use super::counts::{Counts, NvrtcCounts};
use super::shown::{RemoteCounts, Shown};
use crate::cli::screen::{Screen, say};
use anyhow::Error;

/// One metric: what comes before its samples.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

pub(super) fn print(out: &mut Screen<'_>, shown: &Shown<'_>) -> Result<(), Error> {
    let counts = &shown.counts;
    let units = Metric {
        name: "pcache_units_total",
        kind: "counter",
        help: "Translation units, by how each came about",
    };
    let levels = [
        ("direct_hit", counts.direct_hits),
        ("preprocessed_hit", counts.preprocessed_hits),
        ("coalesced", counts.coalesced),
        ("miss", counts.misses),
    ];
    labelled(out, &units, "level", levels.into_iter())?;
    let bypassed = Metric {
        name: "pcache_bypassed_total",
        kind: "counter",
        help: "Compiles that went straight to nvcc, by reason",
    };
    let reasons = counts
        .bypassed
        .iter()
        .map(|(reason, n)| (reason.code(), *n));
    labelled(out, &bypassed, "reason", reasons)?;
    let fallbacks = Metric {
        name: "pcache_fallbacks_total",
        kind: "counter",
        help: "Compiles that were begun and handed to nvcc, by reason",
    };
    let reasons = counts
        .fallbacks
        .iter()
        .map(|(reason, n)| (reason.code(), *n));
    labelled(out, &fallbacks, "reason", reasons)?;
    let stages = counts.stages.iter();
    let found = Metric {
        name: "pcache_stage_hits_total",
        kind: "counter",
        help: "Stages whose results were in the cache",
    };
    let hits = stages.clone().map(|stage| (stage.kind.code(), stage.hits));
    labelled(out, &found, "stage", hits)?;
    let run = Metric {
        name: "pcache_stage_misses_total",
        kind: "counter",
        help: "Stages that were run",
    };
    labelled(
        out,
        &run,
        "stage",
        stages.map(|stage| (stage.kind.code(), stage.misses)),
    )?;
    print_nvrtc(out, &counts.nvrtc)?;
    print_origins(out, counts)?;
    print_remote(out, &shown.remote)?;
    print_rechecked(out, shown.rechecked)?;
    plain(out, shown)
}

fn print_rechecked(out: &mut Screen<'_>, [all, differed]: [u64; 2]) -> Result<(), Error> {
    let rechecked = Metric {
        name: "pcache_rechecked_total",
        kind: "counter",
        help: "Hits that were compiled again, by whether the bytes were equal",
    };
    let outcomes = [
        ("equal", all.saturating_sub(differed)),
        ("differed", differed),
    ];
    labelled(out, &rechecked, "outcome", outcomes.into_iter())
}

fn print_origins(out: &mut Screen<'_>, counts: &Counts) -> Result<(), Error> {
    let hits = Metric {
        name: "pcache_hits_total",
        kind: "counter",
        help: "Hits, of translation units and of programs compiled at run time, by where the result was",
    };
    let origins = [("here", counts.local_hits()), ("server", counts.served)];
    labelled(out, &hits, "origin", origins.into_iter())
}

fn print_remote(out: &mut Screen<'_>, counts: &RemoteCounts) -> Result<(), Error> {
    let asked = Metric {
        name: "pcache_remote_records_total",
        kind: "counter",
        help: "Records that servers were asked for or got, by what came of it",
    };
    let outcomes = [
        ("hit", counts.hits),
        ("miss", counts.misses),
        ("unchanged", counts.unchanged),
        ("sent", counts.sent),
        ("unsent", counts.unsent),
    ];
    labelled(out, &asked, "outcome", outcomes.into_iter())?;
    let bytes = Metric {
        name: "pcache_remote_bytes_total",
        kind: "counter",
        help: "Bytes that went to servers and came from them",
    };
    let directions = [
        ("received", counts.bytes_received),
        ("sent", counts.bytes_sent),
    ];
    labelled(out, &bytes, "direction", directions.into_iter())?;
    let waited = Metric {
        name: "pcache_remote_microseconds_total",
        kind: "counter",
        help: "Time until servers had answered, of all that were asked for together",
    };
    let time = [("all", counts.microseconds)];
    labelled(out, &waited, "outcome", time.into_iter())?;
    let failed = Metric {
        name: "pcache_remote_failures_total",
        kind: "counter",
        help: "Requests that servers did not answer, by reason",
    };
    let reasons = counts.failures.iter().map(|(one, n)| (one.code(), *n));
    labelled(out, &failed, "reason", reasons)
}

fn print_nvrtc(out: &mut Screen<'_>, counts: &NvrtcCounts) -> Result<(), Error> {
    let programs = Metric {
        name: "pcache_nvrtc_programs_total",
        kind: "counter",
        help: "Programs that were compiled at run time, by how each came about",
    };
    let levels = [
        ("hit", counts.hits),
        ("coalesced", counts.coalesced),
        ("miss", counts.misses),
    ];
    labelled(out, &programs, "level", levels.into_iter())?;
    let uncacheable = Metric {
        name: "pcache_nvrtc_uncacheable_total",
        kind: "counter",
        help: "Programs that NVRTC compiled and that were not stored",
    };
    head(out, &uncacheable)?;
    say(
        out,
        format_args!("{} {}", uncacheable.name, counts.uncacheable),
    )?;
    let bypassed = Metric {
        name: "pcache_nvrtc_bypassed_total",
        kind: "counter",
        help: "Programs that were left to NVRTC at once, by reason",
    };
    let reasons = counts.bypassed.iter();
    let reasons = reasons.map(|(reason, n)| (reason.code(), *n));
    labelled(out, &bypassed, "reason", reasons)
}

/// Counters of one sample: name, help, value.
fn plain_counters(shown: &Shown<'_>) -> [(&'static str, &'static str, f64); 7] {
    let counts = &shown.counts;
    let seconds = |milliseconds: u64| milliseconds as f64 / 1e3;
    [
        (
            "pcache_semantic_hits_total",
            "Hits whose sources had changed in comments, blanks or lines alone",
            counts.semantic_hits as f64,
        ),
        (
            "pcache_uncacheable_total",
            "Translation units that were compiled and not stored",
            counts.uncacheable as f64,
        ),
        (
            "pcache_errors_total",
            "Cache errors, in spite of which compiles went on",
            counts.errors.unwrap_or_default() as f64,
        ),
        (
            "pcache_distrusted_total",
            "Records that were not used because others have made or signed them",
            counts.distrusted.unwrap_or_default() as f64,
        ),
        (
            "pcache_saved_seconds_total",
            "Time saved by hits, against the compiles whose results they delivered",
            seconds(counts.saved_milliseconds),
        ),
        (
            "pcache_compiling_seconds_total",
            "Time that misses took",
            seconds(counts.spent_milliseconds),
        ),
        (
            "pcache_evicted_total",
            "Files removed to stay below the size cap",
            shown.evicted as f64,
        ),
    ]
}

/// Metrics of one sample.
fn plain(out: &mut Screen<'_>, shown: &Shown<'_>) -> Result<(), Error> {
    let gauges = [
        ("pcache_store_bytes", "Bytes in the store", shown.size.bytes),
        ("pcache_store_max_bytes", "The size cap", shown.max_bytes),
        (
            "pcache_store_artefacts",
            "Artefacts in the store",
            shown.size.entries,
        ),
        (
            "pcache_store_records",
            "Records in the store",
            shown.size.records,
        ),
    ];
    let counters = plain_counters(shown).map(|(name, help, value)| (name, "counter", help, value));
    let gauges = gauges.map(|(name, help, value)| (name, "gauge", help, value as f64));
    for (name, kind, help, value) in counters.into_iter().chain(gauges) {
        head(out, &Metric { name, kind, help })?;
        say(out, format_args!("{name} {value}"))?;
    }
    Ok(())
}

/// One sample for each value of a label. Values are codes of this program, which need no escapes.
fn labelled(
    out: &mut Screen<'_>,
    metric: &Metric,
    label: &str,
    samples: impl Iterator<Item = (&'static str, u64)>,
) -> Result<(), Error> {
    head(out, metric)?;
    for (value, n) in samples {
        say(
            out,
            format_args!("{}{{{label}=\"{value}\"}} {n}", metric.name),
        )?;
    }
    Ok(())
}

fn head(out: &mut Screen<'_>, metric: &Metric) -> Result<(), Error> {
    let Metric { name, kind, help } = metric;
    say(out, format_args!("# HELP {name} {help}"))?;
    say(out, format_args!("# TYPE {name} {kind}"))
}
