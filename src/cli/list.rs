//! `pcache list`: the files of the cache as a table or as JSON.

use super::context::{Context, Status};
use super::progress::Progress;
use super::screen::{print_json, say, say_coloured};
use super::selection::{Selection, Sought, now};
use super::styles::{FAINT, PLAIN, STRONG};
use crate::config::ByteSize;
use crate::store::{EntryKind, FileStore, VisitAction};
use anyhow::Error;
use serde::Serialize;
use std::cmp::Reverse;

/// What `pcache list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    selection: Selection,
    /// What comes first: the largest, the oldest, the least recently used, the least often used, or
    /// by class
    #[arg(long, value_name = "ORDER", default_value = "size")]
    sort: Order,
    /// Show at most N files
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Order {
    Size,
    Age,
    Used,
    Uses,
    Class,
}

/// The shape of `pcache list --json`.
#[derive(Debug, Default, Serialize)]
struct ListReport {
    /// Of all that are selected, whether they are shown or not.
    files: usize,
    bytes: u64,
    entries: Vec<ListRow>,
}

#[derive(Debug, Serialize)]
struct ListRow {
    /// Its path in its tree.
    name: String,
    /// Below the cache's directory.
    path: String,
    kind: &'static str,
    class: &'static str,
    bytes: u64,
    /// Seconds since it was written.
    age: u64,
    /// Seconds since it was last read or written.
    unused: u64,
    /// `null` where the policy does not count uses.
    uses: Option<u64>,
    /// The first file that a record names.
    file: Option<String>,
}

pub(super) fn run(arguments: &ListArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let store = context.store_for_reading()?;
    let mut report = ListReport::default();
    if let Some(store) = &store {
        report.entries = rows(store, arguments, context)?;
    } else if !arguments.json {
        context.say_absent()?;
        return Ok(Status::Fine);
    }
    report.files = report.entries.len();
    report.bytes = report.entries.iter().map(|row| row.bytes).sum();
    sort(&mut report.entries, arguments.sort);
    report
        .entries
        .truncate(arguments.limit.unwrap_or(usize::MAX));
    if arguments.json {
        print_json(&mut context.out, &report)?;
    } else {
        print(&report, context)?;
    }
    Ok(Status::Fine)
}

fn rows(
    store: &FileStore,
    arguments: &ListArguments,
    context: &mut Context<'_>,
) -> Result<Vec<ListRow>, Error> {
    let now = now();
    let seconds = |since: i128| u64::try_from((now - since).max(0) / 1_000_000_000).unwrap_or(0);
    let most = store.stats().store_size().map_or(0, |size| size.files());
    let (mut rows, mut trouble) = (Vec::new(), None);
    let mut seen = 0;
    let mut progress = Progress::new("listing", context.env, &mut context.err);
    let mut sought = Sought::new(&arguments.selection, store, now)?;
    for sort in [EntryKind::Record, EntryKind::Entry] {
        store.survey(sort, |stored| {
            seen += 1;
            progress.show(seen, most);
            match sought.take(sort, stored) {
                Ok(None) => {}
                Ok(Some(contents)) => rows.push(ListRow {
                    name: stored.name.to_string(),
                    path: stored.path(),
                    kind: match sort {
                        EntryKind::Entry => "entry",
                        EntryKind::Record => "record",
                    },
                    class: contents.class,
                    bytes: stored.size,
                    age: seconds(stored.written),
                    unused: seconds(stored.read),
                    uses: stored.uses,
                    file: contents.name().map(|file| file.display().to_string()),
                }),
                Err(error) => {
                    trouble.get_or_insert(error);
                }
            }
            VisitAction::Keep
        })?;
    }
    trouble.map_or(Ok(rows), |error| Err(error.into()))
}

/// Equal ones by name, so that two listings of the same can be compared.
fn sort(rows: &mut [ListRow], order: Order) {
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    match order {
        Order::Size => rows.sort_by_key(|row| Reverse(row.bytes)),
        Order::Age => rows.sort_by_key(|row| Reverse(row.age)),
        Order::Used => rows.sort_by_key(|row| Reverse(row.unused)),
        Order::Uses => rows.sort_by_key(|row| row.uses),
        Order::Class => rows.sort_by_key(|row| row.class),
    }
}

fn print(report: &ListReport, context: &mut Context<'_>) -> Result<(), Error> {
    let heading = format!(
        "{:<14}{:>10}{:>8}{:>8}{:>6}  {}",
        "class", "size", "age", "unused", "uses", "name"
    );
    say_coloured(&mut context.out, &[(STRONG, &heading)])?;
    for row in &report.entries {
        let uses = row.uses.map_or_else(|| "-".into(), |uses| uses.to_string());
        let file = row.file.as_ref().map(|file| format!("  {file}"));
        let figures = format!(
            "{:<14}{:>10}{:>8}{:>8}{uses:>6}  ",
            row.class,
            ByteSize::approximate(row.bytes),
            time(row.age),
            time(row.unused),
        );
        let parts = [
            (PLAIN, figures.as_str()),
            (FAINT, &row.name),
            (PLAIN, file.as_deref().unwrap_or_default()),
        ];
        say_coloured(&mut context.out, &parts)?;
    }
    let (files, size) = (report.files, ByteSize::approximate(report.bytes));
    let shown = report.entries.len();
    if shown == files {
        say(&mut context.out, format_args!("{files} files, {size}"))
    } else {
        say(
            &mut context.out,
            format_args!("{files} files, {size}; {shown} are shown"),
        )
    }
}

/// Seconds in the largest unit that they fill.
fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
