//! `pcache explain`: how compiles ended, and why. Compares what a compile depended on with what the most similar earlier
//! compile of the same thing depended on; `crate::explain` compares the two.

use super::context::{Context, Status};
use super::journal::{compiles_of, facts, is_of, output, sources};
use super::positive_count::PositiveCount;
use super::progress::Progress;
use super::removals::Removals;
use super::screen::{Screen, print_json, say};
use super::storability::storing_obstacle;
use super::zone::Zone;
use crate::explain::{DependencyReport, Difference, DifferenceKind, differences};
use crate::journal::{Compile, CompileOutcome};
use crate::outcome::{BypassReason, FallbackReason, NvrtcReason};
use crate::store::FileStore;
use anyhow::{Context as _, Error, bail};
use serde::Serialize;
use std::path::{Component, PathBuf};

/// How many former compiles are compared, newest first, to find the one with the fewest differences.
const CANDIDATES: usize = 16;

/// What `pcache explain` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// Output or source whose last compile to explain, or the end of its path; if left out, the last of all
    what: Option<PathBuf>,
    /// How many compiles to explain, the newest last
    #[arg(long, value_name = "N", default_value = "1")]
    last: PositiveCount,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    arguments: &ExplainArguments,
    context: &mut Context<'_>,
) -> Result<Status, Error> {
    let obstacle = storing_obstacle(context.config);
    let Some(store) = context.store_for_reading()? else {
        let why = obstacle.unwrap_or_else(|| "nothing was compiled with it yet".to_owned());
        bail!("there is no cache at {:?}: {why}", context.root());
    };
    let noted = store.noted().context("cannot read the journal")?;
    let compiles = compiles_of(&noted);
    let removals = Removals::of(&store, &noted);
    // `./a.o` is `a.o`.
    let what = arguments.what.as_ref().map(|what| {
        let parts = what.components().filter(|part| *part != Component::CurDir);
        parts.collect::<PathBuf>()
    });
    let is_meant = |compile: &Compile| what.as_ref().is_none_or(|what| is_of(compile, what));
    let meant = (0..compiles.len()).filter(|&at| is_meant(&compiles[at]));
    let meant: Vec<_> = meant.collect();
    let last = usize::try_from(arguments.last.get()).unwrap_or(usize::MAX);
    let meant = &meant[meant.len().saturating_sub(last)..];
    if meant.is_empty() {
        match &arguments.what {
            Some(what) => bail!("your journal has no compile of {what:?}; is the name complete?"),
            None => bail!(
                "{}",
                obstacle.unwrap_or_else(|| why_empty(&store).to_owned())
            ),
        }
    }
    let zone = Zone::of(arguments.json);
    let explainer = Explainer {
        store: &store,
        compiles: &compiles,
        removals: &removals,
        zone: &zone,
    };
    let mut progress = Progress::new("explaining", context.env, &mut context.err);
    let mut explained = Vec::with_capacity(meant.len());
    for &at in meant {
        progress.show(explained.len() as u64, meant.len() as u64);
        explained.push(explainer.explain(at));
    }
    drop(progress);
    if arguments.json {
        print_json(&mut context.out, &explained)?;
        return Ok(Status::Fine);
    }
    print_all(&mut context.out, &explained, &zone)?;
    if let Some(obstacle) = obstacle {
        say(&mut context.out, format_args!(""))?;
        say(&mut context.out, format_args!("hint: {obstacle}"))?;
    }
    Ok(Status::Fine)
}

/// Why the journal has no compile.
fn why_empty(store: &FileStore) -> &'static str {
    match store.own_dir() {
        Some(_) => {
            "your journal is empty: you have compiled nothing with this cache, or only with PCACHE_READONLY"
        }
        None => "no journal is kept for you here: run pcache doctor, which says why",
    }
}

/// A compile with its explanation: the shape of `pcache explain --json`, in a list.
#[derive(Serialize)]
pub(super) struct Explained<'a> {
    compile: &'a Compile,
    /// The former compile that it is compared with.
    compared_with: Option<Former>,
    /// Everything that differs from it.
    pub(super) differences: Vec<Difference>,
    /// What else there is to say, in sentences.
    pub(super) because: Vec<String>,
}

#[derive(Serialize)]
struct Former {
    start: u64,
    pid: u32,
    level: CompileOutcome,
}

impl Former {
    fn of(compile: &Compile) -> Self {
        Self {
            start: compile.start,
            pid: compile.pid,
            level: compile.level,
        }
    }
}

impl<'a> Explained<'a> {
    /// Compared with no other compile.
    fn alone(compile: &'a Compile, because: Vec<String>) -> Self {
        Self {
            compile,
            compared_with: None,
            differences: Vec::new(),
            because,
        }
    }
}

/// What compiles are explained from.
pub(super) struct Explainer<'a> {
    pub(super) store: &'a FileStore,
    /// All of the journal, in the order in which they began.
    pub(super) compiles: &'a [Compile],
    pub(super) removals: &'a Removals,
    /// Of the times in sentences.
    pub(super) zone: &'a Zone,
}

impl<'a> Explainer<'a> {
    /// Explains the compile at this place among all.
    pub(super) fn explain(&self, at: usize) -> Explained<'a> {
        let mut explained = self.explain_outcome(at);
        let since = self.removals.since(&self.compiles[at], self.zone);
        explained.because.extend(since);
        explained
    }

    fn explain_outcome(&self, at: usize) -> Explained<'a> {
        let compile = &self.compiles[at];
        match compile.level {
            CompileOutcome::Bypass
            | CompileOutcome::Fallback
            | CompileOutcome::Interrupted
            | CompileOutcome::Failed => {
                return Explained::alone(compile, detour(compile));
            }
            CompileOutcome::DirectHit => return Explained::alone(compile, self.reused(at)),
            CompileOutcome::PreprocessedHit | CompileOutcome::Coalesced | CompileOutcome::Miss => {}
        }
        let mut because = self.reused(at);
        let Some(found) = facts(self.store, compile) else {
            because.push(lost(compile));
            return Explained::alone(compile, because);
        };
        let Some((former, differences)) = nearest(self.store, self.compiles, at, &found) else {
            because.push(self.without_former(at));
            return Explained::alone(compile, because);
        };
        if compile.level == CompileOutcome::Miss {
            because.extend(self.besides(compile, former, &differences));
        } else {
            because.extend(not_direct(compile, &differences));
        }
        Explained {
            compile,
            compared_with: Some(Former::of(former)),
            differences,
            because,
        }
    }

    /// What can be said if no former compile has facts.
    fn without_former(&self, at: usize) -> String {
        let (former, compile) = (&self.compiles[..at], &self.compiles[at]);
        let is_key = |key: &String| compile.units.iter().any(|unit| unit.key == *key);
        let mut newest = former.iter().rev();
        let equal = newest.find(|other| other.units.iter().any(|unit| is_key(&unit.key)));
        let wanted = sources(compile);
        if let Some(equal) = equal {
            return self.removals.between(equal, compile, self.zone);
        }
        let last = former.iter().rposition(|other| sources(other) == wanted);
        let said = match last {
            None => "it is the first compile of this source that the journal knows",
            Some(last) if former[last].remote => {
                "the former result came from a server, so nothing here tells what it depended on"
            }
            Some(last)
                if former[last].level.is_hit()
                    && made(&former[..last], &former[last]).is_none() =>
            {
                "the former result was made on another machine, or before the journal begins, so nothing here tells what it depended on"
            }
            Some(_) => {
                "what former compiles of this source depended on is not in the cache any more"
            }
        };
        said.to_owned()
    }

    /// Why a compile is a miss, besides what differs.
    fn besides(
        &self,
        compile: &Compile,
        former: &Compile,
        differences: &[Difference],
    ) -> Vec<String> {
        let mut because = Vec::new();
        if compile.recache {
            because.push("PCACHE_RECACHE was set, so that nothing was looked up".to_owned());
        }
        let unstored = former
            .units
            .iter()
            .filter_map(|unit| unit.unstored.as_ref());
        let unstored: Vec<_> = unstored.collect();
        let is_text = differences
            .iter()
            .all(|found| found.kind == DifferenceKind::Text);
        for why in &unstored {
            because.push(format!("the former result was not stored: {why}"));
        }
        if is_text && !differences.is_empty() {
            because.extend(compile.forgotten.clone());
        }
        if because.is_empty() && differences.is_empty() {
            because.push(self.removals.between(former, compile, self.zone));
        }
        because
    }

    /// What was taken from the cache.
    fn reused(&self, at: usize) -> Vec<String> {
        let compile = &self.compiles[at];
        let mut said = Vec::from_iter(compile.origin());
        if compile.level.is_hit() {
            said.extend(made(&self.compiles[..at], compile).map(|made| {
                let when = self.zone.time(made.start);
                format!("the result is that of the compile of {when}")
            }));
            if compile.semantic {
                said.push("sources had changed in comments, blanks or lines alone".to_owned());
            }
            if compile.stored > 0 {
                let stored = compile.stored as f64 / 1e3;
                said.push(format!("compiling it took {stored:.2} s"));
            }
            return said;
        }
        for (what, hit, remote) in [
            ("from a server", true, true),
            ("from the cache", true, false),
            ("run", false, false),
        ] {
            let stages = compile.stages.iter();
            let stages = stages.filter(|stage| (stage.hit, stage.remote) == (hit, remote));
            let names = stages.map(|stage| match &stage.arch {
                Some(arch) => format!("{} {arch}", stage.name),
                None => stage.name.clone(),
            });
            let names = names.collect::<Vec<_>>().join(", ");
            if !names.is_empty() {
                said.push(format!("stages {what}: {names}"));
            }
        }
        let unstored = compile
            .units
            .iter()
            .filter_map(|unit| unit.unstored.as_ref());
        said.extend(unstored.map(|why| format!("the result was not stored: {why}")));
        said
    }
}

/// Why there is nothing to compare.
fn lost(compile: &Compile) -> String {
    match compile.facts {
        Some(_) => "what it depended on is not in the cache any more",
        None => "what it depended on was not remembered",
    }
    .to_owned()
}

/// The former compile of the same sources and output that has the fewest differences, and these differences. If there is
/// none with this output, of the same sources; and then of sources elsewhere that have the same key.
fn nearest<'a>(
    store: &FileStore,
    all: &'a [Compile],
    at: usize,
    found: &DependencyReport,
) -> Option<(&'a Compile, Vec<Difference>)> {
    let compile = &all[at];
    let wanted = sources(compile);
    let former = all[..at].iter().rev();
    let alike: Vec<_> = former
        .filter(|other| other.facts.is_some() && sources(other) == wanted)
        .collect();
    let (same, others): (Vec<_>, Vec<_>) = alike
        .into_iter()
        .partition(|other| output(other) == output(compile));
    let has_key = |other: &&Compile| {
        let mut units = other.units.iter();
        other.facts.is_some()
            && units.any(|unit| compile.units.iter().any(|own| own.key == unit.key))
    };
    let elsewhere = all[..at].iter().rev().filter(has_key).collect();
    [same, others, elsewhere].into_iter().find_map(|tier| {
        let mut best: Option<(&Compile, Vec<Difference>)> = None;
        for other in tier.into_iter().take(CANDIDATES) {
            let Some(before) = facts(store, other) else {
                continue;
            };
            let differing = differences(&before, found);
            // Of equals, the newest.
            if best
                .as_ref()
                .is_none_or(|(_, least)| differing.len() < least.len())
            {
                best = Some((other, differing));
            }
        }
        best
    })
}

/// Why a hit had to run the preprocessor.
fn not_direct(compile: &Compile, differences: &[Difference]) -> Vec<String> {
    let forgotten = compile.forgotten.iter();
    let mut because: Vec<_> = forgotten
        .map(|why| format!("direct mode cannot remember it: {why}"))
        .collect();
    if because.is_empty() && differences.is_empty() {
        because.push("direct mode did not remember the former compile".to_owned());
    }
    because
}

/// The miss that stored a unit under one of `hit`'s keys.
fn miss_of_keys<'a>(former: &'a [Compile], hit: &Compile) -> Option<&'a Compile> {
    let keys: Vec<_> = hit.units.iter().map(|unit| &unit.key).collect();
    let newest_first = former.iter().rev();
    let mut misses = newest_first.filter(|other| other.level == CompileOutcome::Miss);
    misses.find(|miss| miss.units.iter().any(|unit| keys.contains(&&unit.key)))
}

/// The compile whose result a hit was.
fn made<'a>(former: &'a [Compile], hit: &Compile) -> Option<&'a Compile> {
    if hit.level != CompileOutcome::DirectHit {
        return miss_of_keys(former, hit);
    }
    // A direct hit has no units in its record. It names the facts of the compile whose result it is, which has.
    let mut same = former.iter().rev().filter(|other| other.facts == hit.facts);
    let same =
        same.find(|other| hit.facts.is_some() && other.level != CompileOutcome::DirectHit)?;
    match same.level {
        CompileOutcome::Miss => Some(same),
        _ => miss_of_keys(former, same),
    }
}

/// Why it was left to nvcc.
fn detour(compile: &Compile) -> Vec<String> {
    let code = compile.reason.as_deref().unwrap_or_default();
    let bypass = BypassReason::ALL
        .iter()
        .find(|reason| reason.code() == code);
    let fallback = FallbackReason::ALL
        .iter()
        .find(|reason| reason.code() == code);
    let nvrtc = NvrtcReason::ALL.iter().find(|reason| reason.code() == code);
    let sentence = match compile.level {
        CompileOutcome::Bypass if compile.nvrtc => nvrtc.map(|reason| reason.sentence()),
        CompileOutcome::Bypass => bypass.map(|reason| reason.sentence()),
        CompileOutcome::Fallback => fallback.map(|reason| reason.sentence()),
        _ => None,
    };
    let said = sentence.into_iter().map(str::to_owned);
    said.chain(compile.detail.clone()).collect()
}

fn print_all(out: &mut Screen<'_>, explained: &[Explained<'_>], zone: &Zone) -> Result<(), Error> {
    for (at, explained) in explained.iter().enumerate() {
        if at > 0 {
            say(out, format_args!(""))?;
        }
        print(out, explained, zone)?;
    }
    Ok(())
}

fn print(out: &mut Screen<'_>, explained: &Explained<'_>, zone: &Zone) -> Result<(), Error> {
    let compile = explained.compile;
    let sources = compile.sources.join(" ");
    let output = compile.output.as_ref();
    let output = output.map_or_else(String::new, |output| format!(" → {output}"));
    let semantic = if compile.semantic { "semantic " } else { "" };
    let level = match compile.level {
        CompileOutcome::Bypass if compile.nvrtc => "passed to NVRTC",
        level => level.text(),
    };
    say(out, format_args!("{semantic}{level}: {sources}{output}"))?;
    let (when, took) = (zone.time(compile.start), compile.wall as f64 / 1e6);
    let (pid, directory) = (compile.pid, &compile.directory);
    say(
        out,
        format_args!("  at {when} in {directory}, {took:.3} s, pid {pid}"),
    )?;
    if let Some(former) = &explained.compared_with {
        let (when, level) = (zone.time(former.start), former.level.text());
        say(
            out,
            format_args!("  compared with the compile of {when} ({level}):"),
        )?;
    }
    for difference in &explained.differences {
        say(out, format_args!("    {}", line(difference)))?;
    }
    for sentence in &explained.because {
        say(out, format_args!("  {sentence}"))?;
    }
    Ok(())
}

/// One difference: what, its name, old and new.
pub(super) fn line(difference: &Difference) -> String {
    let Difference {
        kind,
        name,
        old,
        new,
        note,
    } = difference;
    let what = match kind {
        DifferenceKind::Flag => "flag",
        DifferenceKind::Environment => "environment variable",
        DifferenceKind::Driver | DifferenceKind::Release | DifferenceKind::Directory => "",
        DifferenceKind::Version => "pcache-nvcc's own",
        DifferenceKind::Tool => "tool",
        DifferenceKind::Toolkit => "toolkit:",
        DifferenceKind::Machine => "machine:",
        DifferenceKind::Diagnostics => "messages:",
        DifferenceKind::Source => "source",
        DifferenceKind::Header => "header",
        DifferenceKind::Appeared => "appeared:",
        DifferenceKind::Gone => "gone:",
        DifferenceKind::Link => "leads elsewhere:",
        DifferenceKind::Output => "output:",
        DifferenceKind::Command => "command:",
        DifferenceKind::Text => "text:",
    };
    let space = if what.is_empty() { "" } else { " " };
    let values = match (kind, old, new) {
        (DifferenceKind::Appeared | DifferenceKind::Gone, ..) | (_, None, None) => String::new(),
        (_, Some(old), Some(new)) => format!(": {old} → {new}"),
        (_, Some(old), None) => format!(": {old} → none"),
        (_, None, Some(new)) => format!(": none → {new}"),
    };
    let note = note
        .as_ref()
        .map_or_else(String::new, |note| format!(" ({note})"));
    format!("{what}{space}{name}{values}{note}")
}
