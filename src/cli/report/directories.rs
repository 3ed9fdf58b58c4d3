//! The part of the page that adds up compiles by the directories of their sources.

use super::html::{Html, element};
use super::parts::{self, bar, share, table, time};
use crate::cli::journal::sources;
use crate::cli::stats::units;
use crate::journal::Compile;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::slice;

/// Rows at most.
const MOST: usize = 30;

/// What is below one directory.
#[derive(Clone, Default, PartialEq, Eq)]
struct DirectorySum {
    compiles: u64,
    hits: u64,
    misses: u64,
    /// Microseconds in misses, and milliseconds that hits saved.
    spent: u64,
    saved: u64,
}

impl DirectorySum {
    fn add(&mut self, compile: &Compile) {
        let [direct, preprocessed, coalesced, misses] = units(slice::from_ref(compile));
        self.compiles += 1;
        self.hits += direct + preprocessed + coalesced;
        self.misses += misses;
        if misses > 0 {
            self.spent = self.spent.saturating_add(compile.wall);
        }
        self.saved = self.saved.saturating_add(compile.saved());
    }
}

/// The sums of all directories, each with what is in the directories below it. Directories with a single directory
/// below them, and nothing else, are left out.
fn sums(chosen: &[Compile]) -> BTreeMap<PathBuf, DirectorySum> {
    let mut sums: BTreeMap<PathBuf, DirectorySum> = BTreeMap::new();
    for compile in chosen {
        let Some(source) = sources(compile).into_iter().next() else {
            continue;
        };
        for directory in source.ancestors().skip(1) {
            sums.entry(directory.to_owned()).or_default().add(compile);
        }
    }
    let is_same = |directory: &Path, below: &DirectorySum| sums.get(directory) == Some(below);
    let parents = sums
        .iter()
        .filter_map(|(directory, sum)| Some((directory.parent()?, sum)));
    let parents = parents.filter(|(parent, sum)| is_same(parent, sum));
    let left_out: Vec<_> = parents.map(|(parent, _)| parent.to_owned()).collect();
    for directory in left_out {
        sums.remove(&directory);
    }
    sums
}

pub(super) fn section(chosen: &[Compile]) -> Html {
    let sums = sums(chosen);
    let mut rows: Vec<_> = sums.iter().collect();
    rows.sort_by_key(|(_, sum)| Reverse((sum.spent, sum.compiles)));
    let most = rows.first().map_or(0, |(_, sum)| sum.spent);
    let left = rows.len().saturating_sub(MOST);
    let rows = rows.into_iter().take(MOST).map(|(directory, sum)| {
        let name = element("code").with(directory.to_string_lossy().as_ref());
        [
            name.into(),
            time(sum.spent).into(),
            bar(sum.spent, most, "miss"),
            sum.compiles.to_string().into(),
            sum.misses.to_string().into(),
            share(sum.hits, sum.hits + sum.misses).into(),
            time(sum.saved.saturating_mul(1000)).into(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let headings = [
        "directory",
        "#compiling",
        "",
        "#compiles",
        "#misses",
        "#hit rate",
        "#saved",
    ];
    let (note, body) = match (rows.len(), left) {
        (0, _) => ("Nothing was compiled.".to_owned(), Html::default()),
        (_, 0) => (NOTE.to_owned(), table(headings, rows)),
        _ => (
            format!("{NOTE} {left} that took less long are left out."),
            table(headings, rows),
        ),
    };
    parts::section("directories", "Directories", note, body)
}

const NOTE: &str = "By the directory of the source; each has what is in the directories below it.";

#[cfg(test)]
mod tests {
    use super::{section, sums};
    use crate::cli::report::html::{HOSTILE, assert_harmless};
    use crate::journal::Compile;
    use serde_json::json;

    fn miss(source: &str) -> Compile {
        let record = json!({
            "v": 1, "start": 5, "wall": 100, "pid": 9, "directory": "/p", "sources": [source], "level": "miss",
            "units": [{ "source": source, "level": "miss", "key": "" }],
        });
        Compile::from_text(&record.to_string()).unwrap()
    }

    #[test]
    fn directories_have_what_is_below_and_those_with_nothing_else_are_left_out() {
        let compiles = ["src/a/one.cu", "src/a/two.cu", "src/b/deep/er/three.cu"].map(miss);
        let sums = sums(&compiles);
        let shown: Vec<_> = sums
            .iter()
            .map(|(directory, sum)| (directory.to_str().unwrap(), sum.misses, sum.spent))
            .collect();
        assert_eq!(
            shown,
            [
                ("/p/src", 3, 300),
                ("/p/src/a", 2, 200),
                ("/p/src/b/deep/er", 1, 100)
            ]
        );
    }

    #[test]
    fn names_of_directories_are_text() {
        assert_harmless(section(&[miss(&format!("{HOSTILE}/a.cu"))]));
    }
}
