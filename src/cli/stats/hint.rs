//! One sentence of `pcache stats` where something is off, with what to do about it: of several, the gravest.

use super::counts::sum;
use super::shown::Shown;
use crate::cli::storability::storing_obstacle;
use crate::config::{ByteSize, Config};
use crate::files::now;
use crate::remote::RemoteControl;
use crate::store::policy::Nanos;
use crate::store::{EntryKind, FileStore, VisitAction};
use serde_json::Value;

/// A first build of up to so many units without a hit is nothing to mention.
const FEW: u64 = 20;

const DAY: Nanos = 86_400 * 1_000_000_000;

/// In a store of more files, a look at the age of all of them would take longer than the rest of the command.
const MOST_FILES: u64 = 100_000;

pub(super) fn hint(shown: &Shown<'_>, config: &Config) -> Option<String> {
    storing_obstacle(config)
        .or_else(|| differing_hits(shown))
        .or_else(|| no_hits(shown))
        .or_else(|| silent_server(shown, config))
        .or_else(|| early_evictions(shown, config))
        .or_else(|| cache_errors(shown))
}

fn differing_hits(shown: &Shown<'_>) -> Option<String> {
    let [_, differed] = shown.rechecked;
    (differed > 0).then(|| {
        format!("of the hits that were checked, {differed} had other bytes than a new compile: run pcache verify")
    })
}

fn no_hits(shown: &Shown<'_>) -> Option<String> {
    let (hits, all) = shown.counts.looked_up();
    (hits == 0 && all > FEW).then(|| {
        format!("no hits in {all} compiles is right for a first build; otherwise pcache explain --last 5 says what differs")
    })
}

/// A server that has not answered since it failed, as far as a helper runs that knows.
fn silent_server(shown: &Shown<'_>, config: &Config) -> Option<String> {
    let failures = sum(shown.remote.failures.iter().map(|(_, n)| *n));
    if failures == 0 || config.remote.value.0.is_empty() {
        return None;
    }
    let store = FileStore::reading(config).ok()?;
    let said = RemoteControl::new(config, store.own_dir()?)
        .status()
        .ok()??;
    let helper: Value = serde_json::from_str(&said).ok()?;
    let mut servers = helper["servers"].as_array()?.iter();
    let url = servers.find(|server| server["last_error"].is_string())?["url"].as_str()?;
    Some(format!(
        "{url} has not answered since a failure; pcache remote status says why"
    ))
}

/// The cache is full, and holds nothing that was not used within a day: so it has evicted what was in use.
fn early_evictions(shown: &Shown<'_>, config: &Config) -> Option<String> {
    let most = shown.max_bytes;
    let is_full = shown.size.bytes >= most / 5 * 4;
    let files = shown.size.files();
    if shown.evicted == 0 || !is_full || files == 0 || files > MOST_FILES {
        return None;
    }
    let store = FileStore::reading(config).ok()?;
    let mut oldest = Nanos::MAX;
    for kind in [EntryKind::Entry, EntryKind::Record] {
        let seen = store.survey(kind, |stored| {
            oldest = oldest.min(stored.read);
            VisitAction::Keep
        });
        seen.ok()?;
    }
    let more = ByteSize::new(most.saturating_mul(2));
    (oldest != Nanos::MAX && now().saturating_sub(oldest) < DAY).then(|| {
        format!("the cache is full, and evicts what was used within a day: pcache config set max_size {more}")
    })
}

fn cache_errors(shown: &Shown<'_>) -> Option<String> {
    let errors = shown.counts.errors.filter(|errors| *errors > 0)?;
    Some(format!(
        "cache errors were counted ({errors}): pcache doctor looks for the cause"
    ))
}
