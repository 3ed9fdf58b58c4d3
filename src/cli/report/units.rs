//! The part of the page that lists what took longest to compile.

use super::html::Html;
use super::parts::{self, bar, path, table, time};
use crate::cli::journal::sources;
use crate::cli::spans::spans;
use crate::journal::{Compile, CompileOutcome};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Rows at most.
const MOST: usize = 20;

/// What is told of one source, or of several that are compiled together.
#[derive(Default)]
struct UnitRow {
    compiles: u64,
    hits: u64,
    /// Those of the hits that servers served.
    served: u64,
    total: u64,
    longest: u64,
    /// The longest stage of the longest compile.
    stage: String,
}

pub(super) fn section(chosen: &[Compile]) -> Html {
    let mut found: BTreeMap<Vec<PathBuf>, UnitRow> = BTreeMap::new();
    for compile in chosen {
        let row = found.entry(sources(compile)).or_default();
        row.hits += u64::from(compile.level.is_hit());
        row.served += u64::from(compile.remote);
        if compile.level == CompileOutcome::Miss {
            row.add(compile);
        }
    }
    let mut rows: Vec<_> = found.iter().filter(|(_, row)| row.compiles > 0).collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.longest));
    let left = rows.len().saturating_sub(MOST);
    let most = rows.first().map_or(0, |(_, row)| row.longest);
    let rows = rows.into_iter().take(MOST);
    let rows: Vec<_> = rows
        .map(|(sources, row)| row.cells(sources, most))
        .collect();
    let note = match (rows.len(), left) {
        (0, _) => "Nothing had to be compiled.".to_owned(),
        (_, 0) => "By the longest compile.".to_owned(),
        _ => format!("By the longest compile; {left} that took less long are left out."),
    };
    let headings = [
        "source",
        "#longest",
        "",
        "its longest stage",
        "#compiles",
        "#all of them",
        "#hits",
        "#from servers",
    ];
    let body = if rows.is_empty() {
        Html::default()
    } else {
        table(headings, rows)
    };
    parts::section("units", "Slowest units", note, body)
}

impl UnitRow {
    /// The row for `sources`; `most` is the longest of all rows.
    fn cells(&self, sources: &[PathBuf], most: u64) -> [Html; 8] {
        let names = sources.iter().map(|source| path(&source.to_string_lossy()));
        [
            Html::join(names, " "),
            time(self.longest).into(),
            bar(self.longest, most, "miss"),
            self.stage.as_str().into(),
            self.compiles.to_string().into(),
            time(self.total).into(),
            self.hits.to_string().into(),
            self.served.to_string().into(),
        ]
    }

    fn add(&mut self, compile: &Compile) {
        self.compiles += 1;
        self.total = self.total.saturating_add(compile.wall);
        if compile.wall <= self.longest {
            return;
        }
        self.longest = compile.wall;
        let spans = spans(compile);
        let ran = spans.iter().filter(|span| span.stage.is_some());
        let longest = ran.max_by_key(|span| span.end - span.start);
        self.stage = longest.map_or_else(String::new, |span| {
            let (name, took) = (span.name(), time(span.end - span.start));
            format!("{name} {took}")
        });
    }
}
