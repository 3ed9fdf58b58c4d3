//! `pcache report`: one page of HTML that needs nothing else, for people to look at. Its numbers are
//! those of `pcache stats --json` for the same range, which the page holds as JSON too. It can be read
//! without its script, which only zooms, sorts, searches and shows at once what titles tell. With `--format markdown`, a
//! short summary in its place.

mod build_table;
mod compared;
mod detours;
mod directories;
mod figures;
mod head;
mod headers;
mod html;
mod markdown;
mod miss_list;
mod misses;
mod numbers;
mod parts;
mod rates;
mod timeline;
mod units;

use super::builds::builds;
use super::context::{Context, Status, is_there};
use super::explain::Explainer;
use super::journal::compiles_of;
use super::progress::Progress;
use super::range::Range;
use super::removals::Removals;
use super::screen::write_to;
use super::since::Since;
use super::stats;
use super::zone::Zone;
use crate::journal::Compile;
use anyhow::{Context as _, Error, bail};
use compared::Comparison;
use head::PageHead;
use headers::Headers;
use html::{Html, element};
use markdown::summary;
use misses::Misses;
use parts::Numbers;
use std::path::PathBuf;

/// The page up to what is drawn, and from the numbers on.
const BEGIN: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>pcache report</title>\n",
    "<link rel=\"icon\" href=\"data:,\">\n<style>\n",
    include_str!("page.css"),
    "</style>\n</head>\n<body>\n"
);
const END: &str = concat!(
    "\n<script>\n",
    include_str!("page.js"),
    "</script>\n</body>\n</html>\n"
);

/// What `pcache report` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArguments {
    /// The file to write; if left out, standard output
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write: a page, or a short summary for a CI job
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    format: ReportFormat,
    #[command(flatten)]
    range: Range,
    /// Compare the last build with the one that ran then, or the next; if left out, with the one before it
    #[arg(long, value_name = "WHEN")]
    compare: Option<Since>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    /// A page
    Html,
    /// A summary that CI services show beside a job
    Markdown,
}

pub(super) fn run(arguments: &ReportArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let root = context.root().to_owned();
    if !is_there(&root)? {
        bail!("there is no cache at {root:?}");
    }
    let Some(store) = context.store_for_reading()? else {
        bail!("there is no cache at {root:?}");
    };
    let noted = store.noted().context("cannot read the journal")?;
    let mut all = compiles_of(&noted);
    let numbers = Numbers(stats::numbers(context.config, &arguments.range, &all)?);
    // What running programs compile has neither stages nor headers of nvcc's, and takes no time that could be drawn.
    all.retain(|compile| !compile.nvrtc);
    let zone = Zone::local();
    let removals = Removals::of(&store, &noted);
    let chosen = arguments.range.of(&all);
    let comparison = arguments.comparison(&all, chosen, &zone)?;
    let mut progress = Progress::new("explaining", context.env, &mut context.err);
    let explainer = Explainer {
        store: &store,
        compiles: &all,
        removals: &removals,
        zone: &zone,
    };
    let misses = Misses::of(&explainer, chosen, &mut |done, most| {
        progress.show(done, most)
    });
    if arguments.format == ReportFormat::Markdown {
        drop(progress);
        let text = summary(&numbers, chosen, &misses);
        write_to(arguments.output.as_deref(), &text, &mut context.out)?;
        return Ok(Status::Fine);
    }
    progress.call("headers");
    let headers = Headers::of(&store, chosen, &mut |done, most| progress.show(done, most));
    drop(progress);
    let head = PageHead {
        root: &root,
        range: arguments.range.text(chosen, &zone),
        compiles: chosen.len(),
        releases: &headers.releases,
        zone: &zone,
    };
    let page = ReportPage {
        head: head.html(),
        zone: &zone,
        numbers,
        chosen,
        comparison,
        misses,
        headers,
    };
    let page = page.html().into_text();
    write_to(arguments.output.as_deref(), &page, &mut context.out)?;
    Ok(Status::Fine)
}

impl ReportArguments {
    /// The builds to compare; `all` is the journal, of which `chosen` is a part.
    fn comparison<'a>(
        &self,
        all: &'a [Compile],
        chosen: &'a [Compile],
        zone: &Zone,
    ) -> Result<Option<Comparison<'a>>, Error> {
        match (self.compare, self.format) {
            (Some(_), ReportFormat::Markdown) => {
                bail!("--compare is for the page: leave it out, or --format markdown")
            }
            (Some(when), ReportFormat::Html) => {
                Comparison::with(&builds(all), when, zone).map(Some)
            }
            (None, _) => Ok(Comparison::of_last(&builds(chosen))),
        }
    }
}

/// What the page shows.
struct ReportPage<'a> {
    head: Html,
    zone: &'a Zone,
    numbers: Numbers,
    chosen: &'a [Compile],
    comparison: Option<Comparison<'a>>,
    misses: Misses,
    headers: Headers,
}

impl ReportPage<'_> {
    fn html(&self) -> Html {
        let builds = builds(self.chosen);
        let sections = [
            numbers::cards(&self.numbers),
            numbers::results(&self.numbers),
            rates::section(&builds, self.zone),
            build_table::section(&builds, self.zone),
            timeline::section(&builds, &self.misses, self.zone),
            misses::section(&self.misses, self.zone),
            compared::section(self.comparison.as_ref(), &self.misses, self.zone),
            detours::section(&self.numbers, self.chosen),
            units::section(self.chosen),
            directories::section(self.chosen),
            headers::section(&self.headers),
            numbers::stages(&self.numbers, self.chosen),
            numbers::store(&self.numbers),
        ];
        let main = element("main").with(Html::from_iter(sections));
        let numbers = element("script").attribute("type", "application/json");
        let numbers = numbers.attribute("id", "stats");
        Html::fixed(BEGIN)
            .with(self.head.clone())
            .with(main)
            .with(Html::fixed("\n"))
            .with(numbers.with(Html::json(&self.numbers.0)))
            .with(Html::fixed(END))
    }
}

#[cfg(test)]
mod tests {
    use super::html::{HOSTILE, Html, assert_harmless};
    use super::misses::Misses;
    use super::parts::Numbers;
    use super::{detours, numbers, timeline, units};
    use crate::cli::zone::Zone;
    use crate::journal::Compile;
    use serde_json::json;

    /// A compile whose every text is hostile.
    fn compile(level: &str, reason: &str) -> Compile {
        let stage = json!({ "name": HOSTILE, "arch": HOSTILE, "begin": 1, "wait": 2, "run": 3, "hit": false });
        let record = json!({
            "v": 1, "start": 5, "wall": 100, "pid": 9, "directory": HOSTILE, "output": HOSTILE, "sources": [HOSTILE],
            "level": level, "reason": reason, "detail": HOSTILE, "stages": [stage],
        });
        Compile::from_text(&record.to_string()).unwrap()
    }

    #[test]
    fn what_a_journal_says_is_text() {
        let miss = [compile("miss", HOSTILE)];
        let misses = Misses::default();
        assert_harmless(timeline::section(&[&miss[..]], &misses, &Zone::utc()));
        assert_harmless(units::section(&miss));
        let counts = Numbers(json!({ "bypassed": { "verbose": 1 } }));
        assert_harmless(numbers::stages(&counts, &miss));
        let bypassed = [compile("bypass", "verbose")];
        assert_harmless(detours::section(&counts, &bypassed));
    }

    #[test]
    fn numbers_as_json_stay_in_their_element() {
        let numbers = Html::json(&json!({ HOSTILE: HOSTILE })).into_text();
        assert!(!numbers.contains('<'), "{numbers}");
    }
}
