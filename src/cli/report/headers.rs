//! The part of the page that says what a change of each header costs: how long the units took to
//! compile that read it. How long the header itself takes within a compile is not measured.

use super::html::Html;
use super::parts::{self, bar, path, share, table, time};
use crate::cli::journal::{facts, sources};
use crate::explain::DependencyReport;
use crate::journal::Compile;
use crate::store::FileStore;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Units that are looked at; of more, the last.
const MOST_UNITS: usize = 1000;
/// Rows at most.
const MOST: usize = 20;

/// Headers by their places, each with how many units read it and how long these took.
#[derive(Default)]
pub(super) struct Headers {
    read: BTreeMap<PathBuf, (u64, u64)>,
    /// Units whose facts are known.
    units: u64,
    /// Units of which nothing is known any more.
    unknown: u64,
    /// The releases of nvcc that compiled them.
    pub(super) releases: BTreeSet<String>,
}

impl Headers {
    /// Looks at the last compile of each unit; says how far it has come.
    pub(super) fn of(
        store: &FileStore,
        chosen: &[Compile],
        watch: &mut dyn FnMut(u64, u64),
    ) -> Self {
        let mut seen = BTreeSet::new();
        let last = chosen.iter().rev();
        // Bypasses and the like have no facts.
        let last = last.filter(|compile| compile.facts.is_some() && seen.insert(sources(compile)));
        let last: Vec<_> = last.take(MOST_UNITS).collect();
        let mut found = Self::default();
        for (done, compile) in last.iter().enumerate() {
            watch(done as u64, last.len() as u64);
            match facts(store, compile) {
                Some(facts) => found.add(compile, &facts),
                None => found.unknown += 1,
            }
        }
        found
    }

    fn add(&mut self, compile: &Compile, facts: &DependencyReport) {
        self.units += 1;
        self.releases.insert(release(facts));
        let cost = if compile.level.is_hit() {
            compile.stored.saturating_mul(1000)
        } else {
            compile.wall
        };
        let installed = installed(facts);
        let own: BTreeSet<_> = sources(compile).iter().map(|path| plain(path)).collect();
        let read = facts.files.iter().map(|file| {
            let place = Path::new(facts.directory()).join(&file.path);
            plain(&place)
        });
        let read: BTreeSet<_> = read.collect();
        let is_header = |place: &PathBuf| {
            !own.contains(place) && !installed.iter().any(|root| place.starts_with(root))
        };
        for place in read.into_iter().filter(is_header) {
            let (units, took) = self.read.entry(place).or_default();
            *units += 1;
            *took = took.saturating_add(cost);
        }
    }
}

/// The version of the nvcc that compiled it: nvcc says `release 13.2, V13.2.86 Build …`.
fn release(facts: &DependencyReport) -> String {
    let words = facts.one("release");
    let end = words.rsplit_once("release ").map_or(words, |(_, end)| end);
    // "13.2, V13.2.86 Build cuda_13.2.r13.2/compiler.37953736_0"
    end.split(|c: char| c == ',' || c.is_whitespace())
        .find(|word| word.starts_with('V'))
        .map_or(end, |version| &version[1..])
        .to_owned()
}

/// Where headers lie that a project does not edit: those of the system, and of each tool's installation.
fn installed(facts: &DependencyReport) -> BTreeSet<PathBuf> {
    let tools = facts.tools.iter().filter_map(|tool| {
        // bin/ptxas, nvvm/bin/cicc
        let folder = Path::new(&tool.path).parent()?;
        let root = folder.parent()?;
        let root = match root.file_name() {
            Some(name) if name == "nvvm" => root.parent()?,
            _ => root,
        };
        (folder.ends_with("bin") && root != Path::new("/")).then(|| plain(root))
    });
    tools.chain(["/usr".into()]).collect()
}

/// A path without dots, as text: no link is looked at.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

pub(super) fn section(headers: &Headers) -> Html {
    let mut rows: Vec<_> = headers.read.iter().collect();
    rows.sort_by_key(|(_, (units, took))| std::cmp::Reverse((*took, *units)));
    let most = rows.first().map_or(0, |(_, (_, took))| *took);
    let left = rows.len().saturating_sub(MOST);
    let mut shown = Vec::new();
    for (place, (units, took)) in rows.into_iter().take(MOST) {
        shown.push([
            path(&place.to_string_lossy()),
            units.to_string().into(),
            share(*units, headers.units).into(),
            time(*took).into(),
            bar(*took, most, "header"),
        ]);
    }
    let mut note =
        "What a change of each header costs: how long the units that read it took to compile. \
        Headers of the system and of the toolkit are left out."
            .to_owned();
    if left > 0 {
        note.push_str(&format!(" {left} more, which cost less, are left out too."));
    }
    if headers.unknown > 0 {
        let unknown = headers.unknown;
        note.push_str(&format!(
            " For {unknown} units it is not known any more what they read."
        ));
    }
    let (note, body) = if shown.is_empty() {
        (
            "No headers are known that units read, apart from those of the system and of the toolkit.",
            Html::default(),
        )
    } else {
        (
            note.as_str(),
            table(
                ["header", "#units", "#of all", "#their compiles", ""],
                shown,
            ),
        )
    };
    parts::section("headers", "Headers", note, body)
}

#[cfg(test)]
mod tests {
    use super::{Headers, section};
    use crate::cli::report::html::{HOSTILE, assert_harmless};
    use std::collections::BTreeSet;

    #[test]
    fn names_of_headers_are_text() {
        assert_harmless(section(&Headers {
            read: [(HOSTILE.into(), (1, 2))].into(),
            units: 1,
            unknown: 1,
            releases: BTreeSet::new(),
        }));
    }
}
