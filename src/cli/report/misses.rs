//! The part of the page that says why there were misses: what `pcache explain` says of each, counted.

use super::html::Html;
use super::miss_list::{self, MissedUnit, list};
use super::parts::{self, bar, code, table};
use crate::cli::explain::{Explained, Explainer};
use crate::cli::zone::Zone;
use crate::explain::DifferenceKind;
use crate::journal::{Compile, CompileOutcome};
use std::collections::{BTreeMap, BTreeSet};

/// Misses that are explained; of more, the last. Each is compared with several former compiles.
const MOST: usize = 300;
/// Names that are shown of each reason.
const NAMES: usize = 4;

/// Why compiles were misses.
#[derive(Default)]
pub(super) struct Misses {
    /// By the reason: how many, and what was named how often.
    reasons: BTreeMap<String, (u64, BTreeMap<String, u64>)>,
    /// Each explained one, the oldest first.
    pub(super) list: Vec<MissedUnit>,
    all: usize,
}

impl Misses {
    /// Explains the misses among `chosen`, which is a part of all; says how far it has come.
    pub(super) fn of(
        explainer: &Explainer<'_>,
        chosen: &[Compile],
        watch: &mut dyn FnMut(u64, u64),
    ) -> Self {
        let Some(first) = chosen.first() else {
            return Self::default();
        };
        let all = explainer.compiles;
        // A range of the journal always reaches to its end.
        let from = all.len() - chosen.len();
        debug_assert_eq!(all.get(from), Some(first));
        let places = (from..all.len()).filter(|at| all[*at].level == CompileOutcome::Miss);
        let places: Vec<_> = places.collect();
        let explained = &places[places.len().saturating_sub(MOST)..];
        let mut found = Self {
            reasons: BTreeMap::new(),
            list: Vec::with_capacity(explained.len()),
            all: places.len(),
        };
        for (done, &at) in explained.iter().enumerate() {
            watch(done as u64, explained.len() as u64);
            let explained = explainer.explain(at);
            let reason = reason(&explained);
            let missed = MissedUnit::new(&all[at], &explained, reason.clone());
            found.list.push(missed);
            let (count, names) = found.reasons.entry(reason).or_default();
            *count += 1;
            for name in explained.differences.iter().map(|found| &found.name) {
                *names.entry(name.clone()).or_default() += 1;
            }
        }
        found
    }

    /// The name of the row that explains a compile, if there is one.
    pub(super) fn anchor(&self, compile: &Compile) -> Option<&str> {
        // The list is sorted by the beginnings, as the journal is.
        let from = self.list.partition_point(|unit| unit.start < compile.start);
        let alike = self.list[from..].iter();
        let mut alike = alike.take_while(|unit| unit.start == compile.start);
        let wanted = miss_list::anchor(compile);
        alike.find_map(|unit| (unit.anchor == wanted).then_some(unit.anchor.as_str()))
    }

    /// The reasons with how many misses each has, the most frequent first.
    pub(super) fn by_reason(&self) -> Vec<(&str, u64)> {
        let reasons = self.reasons.iter();
        let mut reasons: Vec<_> = reasons
            .map(|(reason, (count, _))| (reason.as_str(), *count))
            .collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }
}

/// Why a compile was a miss, in words that other misses have too.
fn reason(explained: &Explained<'_>) -> String {
    let kinds: BTreeSet<_> = explained
        .differences
        .iter()
        .map(|found| words(found.kind))
        .collect();
    if !kinds.is_empty() {
        return kinds.into_iter().collect::<Vec<_>>().join(", ");
    }
    let said = explained.because.last().map_or("unknown", String::as_str);
    // What follows a colon names one compile, or its time.
    said.split_once(':')
        .map_or(said, |(said, _)| said)
        .to_owned()
}

/// What a difference is, as a reason.
fn words(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::Flag => "other flags",
        DifferenceKind::Environment => "other environment",
        DifferenceKind::Driver => "another driver",
        DifferenceKind::Release | DifferenceKind::Tool | DifferenceKind::Toolkit => "other tools",
        DifferenceKind::Version => "another version of pcache-nvcc",
        DifferenceKind::Directory => "another directory",
        DifferenceKind::Machine => "another machine",
        DifferenceKind::Diagnostics => "messages coloured otherwise",
        DifferenceKind::Source => "source changed",
        DifferenceKind::Header => "header changed",
        DifferenceKind::Appeared => "file appeared",
        DifferenceKind::Gone => "file gone",
        DifferenceKind::Link => "link leads elsewhere",
        DifferenceKind::Output => "another output",
        DifferenceKind::Command => "other commands",
        DifferenceKind::Text => "other text, though no file differs",
    }
}

pub(super) fn section(misses: &Misses, zone: &Zone) -> Html {
    let reasons = misses.by_reason();
    let most = reasons.first().map_or(0, |(_, count)| *count);
    let mut rows = Vec::new();
    for (reason, count) in reasons {
        let names = misses.reasons.get(reason).map(|(_, names)| named(names));
        let bar = bar(count, most, "miss");
        let count = count.to_string().into();
        rows.push([reason.into(), count, bar, names.unwrap_or_default()]);
    }
    let body = if rows.is_empty() {
        Html::default()
    } else {
        table(["reason", "#compiles", "", "what"], rows).with(list(&misses.list, zone))
    };
    parts::section("misses", "Why there were misses", note(misses), body)
}

fn note(misses: &Misses) -> Html {
    let said = Html::from("What ").with(code("pcache explain"));
    let explained = misses.list.len();
    match (misses.all, misses.all - explained) {
        (0, _) => "There were none.".into(),
        (_, 0) => said.with(" says of each compile."),
        (_, left) => said.with(format!(
            " says of the last {explained}; {left} before these are left out."
        )),
    }
}

/// The names that occur most often.
fn named(names: &BTreeMap<String, u64>) -> Html {
    let mut names: Vec<_> = names.iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown = names.iter().take(NAMES).map(|(name, count)| match count {
        1 => code(name),
        count => code(name).with(format!(" ×{count}")),
    });
    let mut shown: Vec<_> = shown.collect();
    if names.len() > NAMES {
        shown.push(format!("{} more", names.len() - NAMES).into());
    }
    Html::join(shown, ", ")
}

#[cfg(test)]
mod tests {
    use super::{MissedUnit, Misses, section};
    use crate::cli::report::html::{HOSTILE, assert_harmless};
    use crate::cli::zone::Zone;

    #[test]
    fn reasons_and_names_of_flags_and_files_are_text() {
        for [reason, name, source, said] in [
            [HOSTILE, "name", "source", "said"],
            ["reason", HOSTILE, "source", "said"],
            ["reason", "name", HOSTILE, "said"],
            ["reason", "name", "source", HOSTILE],
        ] {
            let names = [(name.to_owned(), 2), (format!("{name}2"), 1)].into();
            let missed = MissedUnit {
                anchor: "why-1-2".to_owned(),
                sources: vec![source.to_owned()],
                start: 1,
                wall: 2,
                reason: reason.to_owned(),
                differences: vec![said.to_owned()],
                because: vec![said.to_owned()],
            };
            let misses = Misses {
                reasons: [(reason.to_owned(), (3, names))].into(),
                list: vec![missed],
                all: 2,
            };
            assert_harmless(section(&misses, &Zone::utc()));
        }
    }
}
