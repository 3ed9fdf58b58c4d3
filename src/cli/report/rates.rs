//! The part of the page that shows the hit rate over time: a column for each build, or for each slice
//! of the only one.

use super::html::{Html, element};
use super::parts::{self, legend, percent, share, time};
use crate::cli::stats::units;
use crate::cli::zone::Zone;
use crate::journal::Compile;

/// Columns at most; of more builds, the last.
const COLUMNS: usize = 48;
/// Slices of an only build.
const SLICES: u64 = 24;
/// Columns that have words below them.
const LABELS: usize = 12;

/// What is in a column, from the bottom up.
const COLOURS: [(&str, &str); 4] = [
    ("direct", "direct hits"),
    ("preprocessed", "preprocessed hits"),
    ("coalesced", "hits after waiting"),
    ("miss", "misses"),
];

struct Column {
    title: String,
    label: String,
    units: [u64; 4],
}

pub(super) fn section(builds: &[&[Compile]], zone: &Zone) -> Html {
    match builds {
        [] => chart(&[], "Nothing was compiled."),
        [only] => chart(&slices(only), "The only build, in slices of equal length."),
        builds => {
            let shown = &builds[builds.len().saturating_sub(COLUMNS)..];
            let columns = shown.iter().map(|build| of_build(build, zone));
            let note = match builds.len() - shown.len() {
                0 => "Each column is a build.".to_owned(),
                left => format!("Each column is a build; {left} before these are left out."),
            };
            chart(&columns.collect::<Vec<_>>(), &note)
        }
    }
}

fn of_build(build: &[Compile], zone: &Zone) -> Column {
    let began = build.first().map_or(0, |compile| compile.start);
    Column {
        title: format!("build of {}", zone.second(began)),
        label: zone.minute(began),
        units: units(build),
    }
}

fn slices(build: &[Compile]) -> Vec<Column> {
    let first = build.first().map_or(0, |compile| compile.start);
    let last = build.last().map_or(0, |compile| compile.start);
    let length = (last - first) / SLICES + 1;
    let offsets = (0..SLICES).map(|number| length.saturating_mul(number));
    offsets
        .map(|after| slice(build, first.saturating_add(after), length, &time(after)))
        .collect()
}

/// The units of compiles that started within `length` from `start` on.
fn slice(build: &[Compile], start: u64, length: u64, after: &str) -> Column {
    let end = start.saturating_add(length);
    let from = build.partition_point(|compile| compile.start < start);
    let to = build.partition_point(|compile| compile.start < end);
    Column {
        title: format!("after {after}"),
        label: after.to_owned(),
        units: units(&build[from..to]),
    }
}

fn chart(columns: &[Column], note: &str) -> Html {
    let scale = ["100 %", "50 %", "0 %"].map(|mark| Html::from(element("span").with(mark)));
    let scale = element("div").class("scale").with(Html::from_iter(scale));
    let every = columns.len().div_ceil(LABELS).max(1);
    let mut drawn = element("div").class("columns");
    for (at, column) in columns.iter().enumerate() {
        let label = if at % every == 0 {
            column.label.as_str()
        } else {
            ""
        };
        // Narrow screens have room for a third of the labels.
        let class = if at % (3 * every) == 0 {
            "under"
        } else {
            "under less"
        };
        drawn = drawn.with(column.html(label, class));
    }
    let chart = element("div").class("chart").with(scale).with(drawn);
    let body = legend(&COLOURS).with(chart);
    parts::section("rates", "Hit rate over time", note, body)
}

impl Column {
    fn html(&self, label: &str, class: &str) -> Html {
        let all: u64 = self.units.iter().sum();
        let hits = all - self.units[3];
        let rate = share(hits, all);
        let title = format!("{}: {hits} of {all} units, {rate}", self.title);
        let mut stack = element("div").class("stack");
        for ((class, _), n) in COLOURS.iter().zip(self.units).filter(|(_, n)| *n > 0) {
            let height = format!("height:{:.2}%", percent(n, all));
            stack = stack.with(element("i").class(class).style(height));
        }
        let label = element("span").class(class).with(label);
        let column = element("div").class("column").title(title);
        column.with(stack).with(label).into()
    }
}
