//! The list of missed units, each with what `pcache explain` says of it. Bars of the timeline lead here.

use super::html::{Html, element};
use super::parts::{path, table_of, time};
use crate::cli::explain::{Explained, line};
use crate::cli::journal::sources;
use crate::cli::zone::Zone;
use crate::journal::Compile;

/// A miss and why it is one.
pub(super) struct MissedUnit {
    pub(super) anchor: String,
    /// Where its sources are.
    pub(super) sources: Vec<String>,
    pub(super) start: u64,
    pub(super) wall: u64,
    /// Why, in words that other misses have too.
    pub(super) reason: String,
    /// What differs from the compile that it is compared with, and all else that is said of it, line by line.
    pub(super) differences: Vec<String>,
    pub(super) because: Vec<String>,
}

impl MissedUnit {
    pub(super) fn new(compile: &Compile, explained: &Explained<'_>, reason: String) -> Self {
        let sources = sources(compile).into_iter();
        let differences = explained.differences.iter().map(line);
        Self {
            anchor: anchor(compile),
            sources: sources
                .map(|path| path.to_string_lossy().into_owned())
                .collect(),
            start: compile.start,
            wall: compile.wall,
            reason,
            differences: differences.collect(),
            because: explained.because.clone(),
        }
    }

    fn cells(&self, zone: &Zone) -> [Html; 4] {
        let names = self.sources.iter().map(|source| path(source));
        let mut why = Html::from(element("b").with(self.reason.as_str()));
        // A reason that says everything is not said twice.
        let said = self.differences.iter().chain(&self.because);
        for said in said.filter(|said| **said != self.reason) {
            why = why.with(element("div").class("said").with(said.as_str()));
        }
        [
            Html::join(names, " "),
            zone.second(self.start).into(),
            time(self.wall).into(),
            why,
        ]
    }
}

/// The name of the row of a compile.
pub(super) fn anchor(compile: &Compile) -> String {
    format!("why-{}-{}", compile.start, compile.pid)
}

/// The table of all, the newest first.
pub(super) fn list(missed: &[MissedUnit], zone: &Zone) -> Html {
    let rows = missed.iter().rev();
    let rows = rows.map(|unit| (Some(unit.anchor.as_str()), unit.cells(zone)));
    let list = table_of(["source", "when", "#took", "why"], rows);
    let title = element("h3").with("Each miss");
    let list = element("div").attribute("id", "missed").with(list);
    Html::from(title).with(list)
}
