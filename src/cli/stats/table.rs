//! `pcache stats` for people: in one line how often the cache had a result and what that was worth, then sections of
//! what was counted. What did not occur is left out.

use super::counts::sum;
use super::shown::Shown;
use crate::cli::screen::{Screen, say, say_coloured};
use crate::cli::styles::{DOUBTFUL, PLAIN, STRONG};
use crate::config::ByteSize;
use anyhow::Error;
use std::fmt;

/// Lines that belong together.
type Section = Vec<String>;

pub(super) fn print(
    out: &mut Screen<'_>,
    shown: &Shown<'_>,
    hint: Option<&str>,
) -> Result<(), Error> {
    say_coloured(out, &[(STRONG, &headline(shown))])?;
    print_section(out, &place(shown))?;
    let sections = [
        units(shown),
        detours(shown),
        stages(shown),
        nvrtc(shown),
        servers(shown),
        store(shown),
    ];
    for section in sections.iter().filter(|section| !section.is_empty()) {
        say(out, format_args!(""))?;
        print_section(out, section)?;
    }
    if let Some(hint) = hint {
        say(out, format_args!(""))?;
        say_coloured(out, &[(DOUBTFUL, "hint:"), (PLAIN, &format!(" {hint}"))])?;
    }
    Ok(())
}

fn print_section(out: &mut Screen<'_>, section: &Section) -> Result<(), Error> {
    section
        .iter()
        .try_for_each(|line| say(out, format_args!("{line}")))
}

/// How often the cache had a result, the time that was saved, and how full the cache is.
fn headline(shown: &Shown<'_>) -> String {
    let (hits, all) = shown.counts.looked_up();
    let held = ByteSize::approximate(shown.size.bytes);
    let most = ByteSize::approximate(shown.max_bytes);
    let size = format!("{held} of {most} used");
    if all == 0 {
        return format!("nothing was looked up, {size}");
    }
    let (rate, saved) = (Share(hits, all), ShownTime(shown.counts.saved_milliseconds));
    format!("hit rate {rate} ({hits} of {all}), {saved} saved, {size}")
}

fn place(shown: &Shown<'_>) -> Section {
    let mut lines = vec![format!("{:<20}{}", "cache", shown.root.display())];
    if let Some(span) = &shown.since {
        let begins = span.journal_begins.as_deref().unwrap_or("(empty)");
        let text = format!("{}; the journal begins {begins}", span.asked);
        lines.push(format!("{:<20}{text}", "since"));
    }
    lines
}

fn units(shown: &Shown<'_>) -> Section {
    let counts = &shown.counts;
    let all = counts.units();
    let mut lines = Vec::new();
    if all > 0 {
        lines.push(line("translation units", all));
        lines.push(share("hits", counts.hits(), all));
        for (name, n) in [
            ("  direct", counts.direct_hits),
            ("  preprocessed", counts.preprocessed_hits),
            ("  after waiting", counts.coalesced),
        ] {
            lines.extend((n > 0).then(|| share(name, n, all)));
        }
        lines.push(share("misses", counts.misses, all));
    }
    for (name, n) in [
        ("semantic hits", counts.semantic_hits),
        ("compiled, not stored", counts.uncacheable),
        ("cache errors", counts.errors.unwrap_or_default()),
        (
            "records not believed",
            counts.distrusted.unwrap_or_default(),
        ),
    ] {
        lines.extend((n > 0).then(|| line(name, n)));
    }
    let [rechecked, differed] = shown.rechecked;
    if rechecked > 0 {
        lines.push(line("hits checked", rechecked));
        lines.push(line("  with other bytes", differed));
    }
    let spent = counts.spent_milliseconds;
    lines.extend((spent > 0).then(|| format!("{:<20}{:>10}", "time compiling", ShownTime(spent))));
    lines
}

fn detours(shown: &Shown<'_>) -> Section {
    let bypassed = shown.counts.bypassed.iter();
    let bypassed = bypassed.map(|(reason, n)| (reason.code(), reason.sentence(), *n));
    let fallbacks = shown.counts.fallbacks.iter();
    let fallbacks = fallbacks.map(|(reason, n)| (reason.code(), reason.sentence(), *n));
    let mut lines = reasons("passed to nvcc", bypassed);
    lines.extend(reasons("fell back to nvcc", fallbacks));
    lines
}

fn stages(shown: &Shown<'_>) -> Section {
    let mut lines = Vec::new();
    for stage in &shown.counts.stages {
        let (hits, misses) = (stage.hits, stage.misses);
        if sum([hits, misses]) > 0 {
            let name = format!("  {}", stage.kind.code());
            lines.push(format!("{name:<20}{hits:>10} {misses:>10}"));
        }
    }
    if !lines.is_empty() {
        let (name, hits, misses) = ("stages of misses", "from cache", "run");
        lines.insert(0, format!("{name:<20}{hits:>10} {misses:>10}"));
    }
    lines
}

fn nvrtc(shown: &Shown<'_>) -> Section {
    let counts = &shown.counts.nvrtc;
    let hits = sum([counts.hits, counts.coalesced]);
    let all = sum([hits, counts.misses]);
    let mut lines = Vec::new();
    if all > 0 {
        lines.push(line("NVRTC programs", all));
        lines.push(share("  hits", hits, all));
        let waited = counts.coalesced;
        lines.extend((waited > 0).then(|| share("  after waiting", waited, all)));
        lines.push(share("  misses", counts.misses, all));
    }
    let unstored = counts.uncacheable;
    lines.extend((unstored > 0).then(|| line("  not stored", unstored)));
    let bypassed = counts.bypassed.iter();
    let bypassed = bypassed.map(|(reason, n)| (reason.code(), reason.sentence(), *n));
    lines.extend(reasons("left to NVRTC", bypassed));
    lines
}

fn servers(shown: &Shown<'_>) -> Section {
    let (counts, served) = (&shown.remote, shown.counts.served);
    let mut lines = Vec::from_iter((served > 0).then(|| line("hits from servers", served)));
    let all = counts.asked();
    if all > 0 {
        lines.push(line("records asked for", all));
        for (name, n) in [
            ("  servers had", counts.hits),
            ("  servers lacked", counts.misses),
            ("  nothing new", counts.unchanged),
        ] {
            lines.extend((n > 0).then(|| share(name, n, all)));
        }
    }
    for (name, n) in [("records sent", counts.sent), ("  given up", counts.unsent)] {
        lines.extend((n > 0).then(|| line(name, n)));
    }
    if sum([all, counts.sent]) > 0 {
        let [received, sent] =
            [counts.bytes_received, counts.bytes_sent].map(ByteSize::approximate);
        let time = counts.milliseconds();
        lines.push(format!(
            "{:<20}{received} received, {sent} sent, {time:.1} ms an answer",
            "servers"
        ));
    }
    let failures = counts.failures.iter();
    let failures = failures.map(|(failure, n)| (failure.code(), failure.sentence(), *n));
    lines.extend(reasons("servers failed", failures));
    lines
}

/// What the store holds now, whatever is counted since.
fn store(shown: &Shown<'_>) -> Section {
    let mut lines = Vec::new();
    for (name, n) in [
        ("stored artefacts", shown.size.entries),
        ("stored records", shown.size.records),
        ("evicted", shown.evicted),
    ] {
        lines.extend((n > 0).then(|| line(name, n)));
    }
    let [from, to] = shown.compressed;
    if from > 0 {
        let (before, after) = (ByteSize::approximate(from), ByteSize::approximate(to));
        let share = Share(to, from);
        lines.push(format!(
            "{:<20}{after:>10} {share:>8}  of {before} before",
            "compressed to"
        ));
    }
    lines
}

/// How often something happened for a reason, and a line for each reason that occurred.
fn reasons(
    name: &str,
    counted: impl Iterator<Item = (&'static str, &'static str, u64)>,
) -> Section {
    let counted: Vec<_> = counted.filter(|(_, _, n)| *n > 0).collect();
    let all = sum(counted.iter().map(|(_, _, n)| *n));
    let mut lines = Vec::from_iter((all > 0).then(|| line(name, all)));
    let each = counted.into_iter();
    lines.extend(each.map(|(code, sentence, n)| format!("{n:>12}  {code}: {sentence}")));
    lines
}

fn line(name: &str, n: u64) -> String {
    format!("{name:<20}{n:>10}")
}

fn share(name: &str, n: u64, all: u64) -> String {
    format!("{name:<20}{n:>10} {:>8}", Share(n, all))
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
