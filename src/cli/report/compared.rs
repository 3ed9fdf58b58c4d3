//! The part of the page that shows two builds beside each other: the last one, and one before it.

use super::figures::BuildFigures;
use super::html::{Html, element};
use super::misses::Misses;
use super::parts::{self, keyed, level_class, path, share, table, time};
use crate::cli::journal::{output, sources};
use crate::cli::since::Since;
use crate::cli::spans::name;
use crate::cli::zone::Zone;
use crate::journal::Compile;
use anyhow::{Error, bail};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// Rows at most.
const MOST: usize = 30;

/// Two builds.
pub(super) struct Comparison<'a> {
    before: &'a [Compile],
    after: &'a [Compile],
}

/// What compiles of two builds have in common: the output, or else the sources.
type Made = Vec<PathBuf>;

fn made(compile: &Compile) -> Made {
    output(compile).map_or_else(|| sources(compile), |output| vec![output])
}

impl<'a> Comparison<'a> {
    /// The last build and the newest one before it that made an output that it makes; `None` if there are no two such.
    pub(super) fn of_last(builds: &[&'a [Compile]]) -> Option<Self> {
        let (after, former) = builds.split_last()?;
        let outputs: HashSet<Made> = after.iter().map(made).collect();
        let is_alike = |build: &&&[Compile]| {
            let mut compiles = build.iter();
            compiles.any(|compile| outputs.contains(&made(compile)))
        };
        let before = former.iter().rev().find(is_alike)?;
        Some(Self { before, after })
    }

    /// The last build and the first that had not ended at `when`.
    pub(super) fn with(builds: &[&'a [Compile]], when: Since, zone: &Zone) -> Result<Self, Error> {
        let Some((after, former)) = builds.split_last() else {
            bail!("the journal has no builds to compare");
        };
        let ends = |build: &[Compile]| build.iter().map(Compile::end).max().unwrap_or(0);
        let before = former.iter().find(|build| when.includes(ends(build)));
        match before {
            Some(before) => Ok(Self { before, after }),
            None => bail!(
                "no build before the last ran at {} or later; the last began {}",
                when.text(zone),
                zone.time(after.first().map_or(0, |compile| compile.start))
            ),
        }
    }
}

pub(super) fn section(comparison: Option<&Comparison<'_>>, misses: &Misses, zone: &Zone) -> Html {
    let Some(Comparison { before, after }) = comparison else {
        return Html::default();
    };
    let [first, second] = [before, after].map(|build| BuildFigures::of(build));
    let began = [first.began, second.began].map(|began| zone.second(began));
    let note = format!(
        "The last build, which began {}, and the one of {}. --compare chooses another.",
        began[1], began[0]
    );
    let body = totals(&first, &second).with(units(before, after, misses));
    parts::section("compared", "Two builds compared", note, body)
}

/// The numbers of both, and how they differ.
fn totals(first: &BuildFigures, second: &BuildFigures) -> Html {
    let times = |name: &str, of: fn(&BuildFigures) -> u64| {
        let (old, new) = (of(first), of(second));
        [
            name.into(),
            time(old).into(),
            time(new).into(),
            change(old, new).into(),
        ]
    };
    let counts = |name: &str, of: fn(&BuildFigures) -> u64| {
        let (old, new) = (of(first), of(second));
        let change = i128::from(new) - i128::from(old);
        let change = match change {
            0 => String::new(),
            change => format!("{change:+}"),
        };
        [
            name.into(),
            old.to_string().into(),
            new.to_string().into(),
            change.into(),
        ]
    };
    let rate = |build: &BuildFigures| share(build.hits, build.hits + build.misses).into();
    let rows = [
        times("took", |build| build.took),
        counts("compiles", |build| build.compiles as u64),
        counts("misses", |build| build.misses),
        ["hit rate".into(), rate(first), rate(second), "".into()],
        times("saved by hits", |build| build.saved),
        times("critical path", |build| build.critical.length),
    ];
    table(["", "#before", "#last", "#change"], rows)
}

/// A row for each output of which a compile took another time, those that changed most first.
fn units(before: &[Compile], after: &[Compile], misses: &Misses) -> Html {
    let mut former: HashMap<Made, &Compile> = HashMap::new();
    for compile in before {
        former.insert(made(compile), compile);
    }
    let mut pairs = Vec::new();
    for compile in after {
        let other = former.remove(&made(compile));
        pairs.push((other, Some(compile)));
    }
    pairs.extend(former.into_values().map(|compile| (Some(compile), None)));
    let wall = |compile: Option<&Compile>| compile.map_or(0, |compile| compile.wall);
    let start = |compile: Option<&Compile>| compile.map_or(0, |compile| compile.start);
    pairs.sort_by_key(|(old, new)| {
        let change = wall(*old).abs_diff(wall(*new));
        (Reverse(change), start(*new), start(*old))
    });
    let left = pairs.len().saturating_sub(MOST);
    let rows = pairs.into_iter().take(MOST);
    let rows = rows.map(|(old, new)| unit(old, new, misses));
    let list = table(["source", "before", "last", "#change"], rows);
    match left {
        0 => list,
        left => {
            let said = format!("{left} that changed less are left out.");
            list.with(element("p").class("note").with(said))
        }
    }
}

fn unit(old: Option<&Compile>, new: Option<&Compile>, misses: &Misses) -> [Html; 4] {
    let names = new.or(old).map_or_else(Html::default, names);
    let difference = match (old, new) {
        (Some(old), Some(new)) => change(old.wall, new.wall),
        _ => String::new(),
    };
    [
        names,
        ended(old, misses),
        ended(new, misses),
        difference.into(),
    ]
}

/// Its sources, or for a link what it makes.
fn names(compile: &Compile) -> Html {
    let sources = sources(compile);
    if sources.is_empty() {
        return name(compile).into();
    }
    let names = sources.iter().map(|source| path(&source.to_string_lossy()));
    Html::join(names, " ")
}

/// How a compile ended and how long it took, with a link to why.
fn ended(compile: Option<&Compile>, misses: &Misses) -> Html {
    let Some(compile) = compile else {
        return "not compiled".into();
    };
    let text = format!("{}, {}", compile.level.text(), time(compile.wall));
    let shown = keyed(level_class(compile.level), &text);
    match misses.anchor(compile) {
        Some(anchor) => {
            let link = element("a").attribute("href", format_args!("#{anchor}"));
            link.with(shown).into()
        }
        None => shown,
    }
}

/// How much longer or shorter something took, if that is a tenth of a millisecond.
fn change(old: u64, new: u64) -> String {
    match new.abs_diff(old) {
        0..100 => String::new(),
        difference if new > old => format!("+{}", time(difference)),
        difference => format!("−{}", time(difference)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Misses, section};
    use crate::cli::report::html::{HOSTILE, assert_harmless};
    use crate::cli::zone::Zone;
    use crate::journal::Compile;
    use serde_json::json;

    fn compile(source: &str, start: u64, level: &str) -> Compile {
        let record = json!({
            "v": 1, "start": start, "wall": 2_000_000, "pid": 9, "directory": "/p", "sources": [source],
            "level": level,
        });
        Compile::from_text(&record.to_string()).unwrap()
    }

    #[test]
    fn builds_are_compared_that_make_the_same_thing() {
        let first = [compile("a.cu", 1, "miss")];
        let other = [compile("b.cu", 2, "miss")];
        let last = [compile("a.cu", 3, "direct_hit")];
        let found = Comparison::of_last(&[&first, &other, &last]).unwrap();
        assert_eq!((found.before, found.after), (&first[..], &last[..]));
        assert!(Comparison::of_last(&[&other, &last]).is_none());
        assert!(Comparison::of_last(&[&last]).is_none());
        assert!(Comparison::of_last(&[]).is_none());
    }

    #[test]
    fn named_build_is_the_first_that_had_not_ended() {
        let zone = Zone::utc();
        let builds = [1, 60_000_000, 120_000_000].map(|start| [compile("a.cu", start, "miss")]);
        let builds = [&builds[0][..], &builds[1], &builds[2]];
        let with = |when: &str| Comparison::with(&builds, when.parse().unwrap(), &zone);
        let began = |when: &str| with(when).unwrap().before[0].start;
        assert_eq!(began("1970-01-01T00:00:01Z"), 1);
        assert_eq!(began("1970-01-01T00:00:10Z"), 60_000_000);
        assert_eq!(began("1970-01-01T00:01:00Z"), 60_000_000);
        let refused = with("1970-01-01T00:02:00Z").err().unwrap().to_string();
        assert!(refused.contains("no build before the last"), "{refused}");
    }

    #[test]
    fn names_in_a_comparison_are_text() {
        let builds = [1, 2].map(|start| [compile(HOSTILE, start, "miss")]);
        let comparison = Comparison {
            before: &builds[0],
            after: &builds[1],
        };
        let zone = Zone::utc();
        assert_harmless(section(Some(&comparison), &Misses::default(), &zone));
    }
}
