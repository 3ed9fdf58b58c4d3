//! `pcache stats` for people: how often the cache had a result, what that was worth, and a line for
//! every reason why it was not asked.

use super::counts::{NvrtcCounts, sum};
use super::shown::{RemoteCounts, Shown};
use crate::cli::screen::{Screen, say};
use crate::config::ByteSize;
use anyhow::Error;
use std::fmt;

pub(super) fn print(out: &mut Screen<'_>, shown: &Shown<'_>) -> Result<(), Error> {
    say(out, format_args!("{:<20}{}", "cache", shown.root.display()))?;
    if let Some(span) = &shown.since {
        let begins = span.journal_begins.as_deref().unwrap_or("(empty)");
        let text = format!("{}; the journal begins {begins}", span.asked);
        say(out, format_args!("{:<20}{text}", "since"))?;
    }
    print_units(out, shown)?;
    print_detours(out, shown)?;
    for stage in &shown.counts.stages {
        let (hits, misses) = (stage.hits, stage.misses);
        let all = sum([hits, misses]);
        if all > 0 {
            let name = format!("stage {}", stage.kind.code());
            let share = Share(hits, all);
            say(
                out,
                format_args!("{name:<20}{hits:>10} {share:>8}  {misses} run"),
            )?;
        }
    }
    print_nvrtc(out, &shown.counts.nvrtc)?;
    if shown.counts.served > 0 {
        line(out, "hits from servers", shown.counts.served)?;
    }
    print_remote(out, &shown.remote)?;
    let [rechecked, differed] = shown.rechecked;
    if rechecked > 0 {
        line(out, "hits checked", rechecked)?;
        line(out, "  with other bytes", differed)?;
    }
    print_store(out, shown)
}

/// Only where there is any: most caches are nvcc's alone.
fn print_nvrtc(out: &mut Screen<'_>, counts: &NvrtcCounts) -> Result<(), Error> {
    let hits = sum([counts.hits, counts.coalesced]);
    let all = sum([hits, counts.misses]);
    let bypassed = counts.bypassed.iter().filter(|(_, n)| *n > 0);
    if all == 0 && bypassed.clone().next().is_none() {
        return Ok(());
    }
    for (name, n) in [
        ("NVRTC programs", all),
        ("  hits", hits),
        ("  after waiting", counts.coalesced),
        ("  misses", counts.misses),
        ("  not stored", counts.uncacheable),
    ] {
        let share = Share(n, all);
        say(out, format_args!("{name:<20}{n:>10} {share:>8}"))?;
    }
    let left = sum(bypassed.clone().map(|(_, n)| *n));
    line(out, "left to NVRTC", left)?;
    for (reason, n) in bypassed {
        let (code, sentence) = (reason.code(), reason.sentence());
        say(out, format_args!("{n:>12}  {code}: {sentence}"))?;
    }
    Ok(())
}

/// Only where there is any.
fn print_remote(out: &mut Screen<'_>, counts: &RemoteCounts) -> Result<(), Error> {
    if !counts.is_any() {
        return Ok(());
    }
    let all = counts.asked();
    for (name, n) in [
        ("records asked for", all),
        ("  servers had", counts.hits),
        ("  servers lacked", counts.misses),
        ("  nothing new", counts.unchanged),
    ] {
        let share = Share(n, all);
        say(out, format_args!("{name:<20}{n:>10} {share:>8}"))?;
    }
    line(out, "records sent", counts.sent)?;
    line(out, "  given up", counts.unsent)?;
    let [received, sent] = [counts.bytes_received, counts.bytes_sent].map(ByteSize::approximate);
    let time = counts.milliseconds();
    say(
        out,
        format_args!(
            "{:<20}{received} received, {sent} sent, {time:.1} ms an answer",
            "servers"
        ),
    )?;
    for (failure, n) in counts.failures.iter().filter(|(_, n)| *n > 0) {
        let (code, sentence) = (failure.code(), failure.sentence());
        say(out, format_args!("{n:>12}  {code}: {sentence}"))?;
    }
    Ok(())
}

fn print_units(out: &mut Screen<'_>, shown: &Shown<'_>) -> Result<(), Error> {
    let counts = &shown.counts;
    let all = counts.units();
    for (name, n) in [
        ("translation units", all),
        ("hits", counts.hits()),
        ("  direct", counts.direct_hits),
        ("  preprocessed", counts.preprocessed_hits),
        ("  after waiting", counts.coalesced),
        ("misses", counts.misses),
    ] {
        let share = Share(n, all);
        say(out, format_args!("{name:<20}{n:>10} {share:>8}"))?;
    }
    line(out, "semantic hits", counts.semantic_hits)?;
    line(out, "compiled, not stored", counts.uncacheable)?;
    if let Some(errors) = counts.errors {
        line(out, "cache errors", errors)?;
    }
    if let Some(distrusted) = counts.distrusted.filter(|count| *count > 0) {
        line(out, "records not believed", distrusted)?;
    }
    let (saved, spent) = (counts.saved_milliseconds, counts.spent_milliseconds);
    say(
        out,
        format_args!("{:<20}{:>10}", "time saved", ShownTime(saved)),
    )?;
    say(
        out,
        format_args!("{:<20}{:>10}", "time compiling", ShownTime(spent)),
    )
}

fn print_detours(out: &mut Screen<'_>, shown: &Shown<'_>) -> Result<(), Error> {
    let counts = &shown.counts;
    line(
        out,
        "passed to nvcc",
        sum(counts.bypassed.iter().map(|(_, n)| *n)),
    )?;
    for (reason, n) in counts.bypassed.iter().filter(|(_, n)| *n > 0) {
        let (code, sentence) = (reason.code(), reason.sentence());
        say(out, format_args!("{n:>12}  {code}: {sentence}"))?;
    }
    line(
        out,
        "fell back to nvcc",
        sum(counts.fallbacks.iter().map(|(_, n)| *n)),
    )?;
    for (reason, n) in counts.fallbacks.iter().filter(|(_, n)| *n > 0) {
        let (code, sentence) = (reason.code(), reason.sentence());
        say(out, format_args!("{n:>12}  {code}: {sentence}"))?;
    }
    Ok(())
}

/// What the store holds now, whatever is counted since.
fn print_store(out: &mut Screen<'_>, shown: &Shown<'_>) -> Result<(), Error> {
    let held = ByteSize::approximate(shown.size.bytes);
    let most = ByteSize::approximate(shown.max_bytes);
    let share = Share(shown.size.bytes, shown.max_bytes);
    line(out, "stored artefacts", shown.size.entries)?;
    line(out, "stored records", shown.size.records)?;
    line(out, "evicted", shown.evicted)?;
    say(
        out,
        format_args!("{:<20}{held:>10} {share:>8}  of {most}", "size"),
    )?;
    let [from, to] = shown.compressed;
    if from == 0 {
        return Ok(());
    }
    let [before, after] = [from, to].map(ByteSize::approximate);
    let share = Share(to, from);
    say(
        out,
        format_args!(
            "{:<20}{after:>10} {share:>8}  of {before} before",
            "compressed to"
        ),
    )
}

fn line(out: &mut Screen<'_>, name: &str, n: u64) -> Result<(), Error> {
    say(out, format_args!("{name:<20}{n:>10}"))
}

/// A part of a whole, in percent.
struct Share(u64, u64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self(_, 0) => "–".to_owned(),
            Self(part, whole) => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
        };
        f.pad(&text)
    }
}

/// Milliseconds, in the unit that suits them.
struct ShownTime(u64);

impl fmt::Display for ShownTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 as f64 / 1e3;
        let text = match seconds {
            ..100.0 => format!("{seconds:.1} s"),
            ..6000.0 => format!("{:.1} min", seconds / 60.0),
            _ => format!("{:.1} h", seconds / 3600.0),
        };
        f.pad(&text)
    }
}
