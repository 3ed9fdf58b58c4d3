//! The part of the page that lists builds: how long each took, and how long it could have taken.

use super::figures::BuildFigures;
use super::html::{Html, element};
use super::parts::{self, bar, share, table, time};
use crate::cli::zone::Zone;
use crate::journal::Compile;
use std::cmp::Reverse;

/// Builds at most; of more, the last.
const MOST: usize = 100;

const NOTE: &str = "The slowest build is first. Speed-up: how many times as long its compiles would have taken one \
    after another, without the cache. Critical path: the compile that takes longest even if no stage waits for a \
    slot; a build takes at least as long, with any number of processors.";

pub(super) fn section(builds: &[&[Compile]], zone: &Zone) -> Html {
    let shown = &builds[builds.len().saturating_sub(MOST)..];
    let mut shown: Vec<_> = shown.iter().map(|build| BuildFigures::of(build)).collect();
    shown.sort_by_key(|build| Reverse((build.took, build.began)));
    let longest = shown.first().map_or(0, |build| build.took);
    let rows = shown.iter().map(|build| row(build, longest, zone));
    let headings = [
        "build",
        "#took",
        "",
        "#compiles",
        "#misses",
        "#hit rate",
        "#saved",
        "#speed-up",
        "#critical path",
        "by",
    ];
    let mut note = NOTE.to_owned();
    if shown.len() < builds.len() {
        let (shown, all) = (shown.len(), builds.len());
        note.push_str(&format!(" The last {shown} of {all} builds."));
    }
    let (note, body) = if shown.is_empty() {
        ("Nothing was compiled.".to_owned(), Html::default())
    } else {
        (note, table(headings, rows))
    };
    parts::section("builds", "Builds", note, body)
}

fn row(build: &BuildFigures, longest: u64, zone: &Zone) -> [Html; 10] {
    let link = element("a").attribute("href", format_args!("#{}", anchor(build.began)));
    let critical = element("span").title(&build.critical.stages);
    [
        link.with(zone.second(build.began)).into(),
        time(build.took).into(),
        bar(build.took, longest, "build"),
        build.compiles.to_string().into(),
        build.misses.to_string().into(),
        share(build.hits, build.hits + build.misses).into(),
        time(build.saved).into(),
        build.speed_up().into(),
        time(build.critical.length).into(),
        critical.with(build.critical.name.as_str()).into(),
    ]
}

/// The name of the chart of the build that began then.
pub(super) fn anchor(began: u64) -> String {
    format!("build-{began}")
}
