//! `pcache report`: one page of HTML that needs nothing else, for people to look at. Its numbers are
//! those of `pcache stats --json` for the same range, which the page holds as JSON too. It can be read
//! without its script, which only zooms and shows at once what titles tell.

mod detours;
mod headers;
mod html;
mod misses;
mod numbers;
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
use super::stats;
use super::zone::Zone;
use crate::journal::Compile;
use anyhow::{Context as _, Error, bail};
use headers::Headers;
use html::{HtmlText, Numbers};
use misses::Misses;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What `pcache report` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArguments {
    /// The file to write; without, standard output
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    range: Range,
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
    progress.call("headers");
    let headers = Headers::of(&store, chosen, &mut |done, most| progress.show(done, most));
    drop(progress);
    let page = ReportPage {
        root: &root,
        range: arguments.range.text(chosen, &zone),
        zone: &zone,
        numbers,
        chosen,
        misses,
        headers,
    };
    write_to(arguments.output.as_deref(), &page.text(), &mut context.out)?;
    Ok(Status::Fine)
}

/// What the page shows.
struct ReportPage<'a> {
    root: &'a Path,
    range: String,
    zone: &'a Zone,
    numbers: Numbers,
    chosen: &'a [Compile],
    misses: Misses,
    headers: Headers,
}

impl ReportPage<'_> {
    fn text(&self) -> String {
        let builds = builds(self.chosen);
        let sections = [
            numbers::cards(&self.numbers),
            numbers::results(&self.numbers),
            rates::section(&builds, self.zone),
            timeline::section(&builds, self.zone),
            misses::section(&self.misses),
            detours::section(&self.numbers, self.chosen),
            units::section(self.chosen),
            headers::section(&self.headers),
            numbers::stages(&self.numbers, self.chosen),
            numbers::store(&self.numbers),
        ];
        let [head, body] = [self.head(), sections.concat()];
        let json = self.numbers.embedded();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>pcache report</title>\n<link rel=\"icon\" href=\"data:,\">\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n{head}<main>\n{body}</main>\n\
             <script type=\"application/json\" id=\"stats\">{json}</script>\n\
             <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
        )
    }

    fn head(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
        let root = self.root.to_string_lossy();
        let compiles = self.chosen.len();
        format!(
            "<header><h1>pcache report</h1>\n<p>{compiles} compiles since {}, in the cache \
             <code>{}</code></p>\n<p class=\"faint\">made {} by pcache {}; times are those of the zone in which it was made</p></header>\n",
            HtmlText(&self.range),
            HtmlText(&root),
            self.zone.second(now),
            env!("CARGO_PKG_VERSION"),
        )
    }
}
