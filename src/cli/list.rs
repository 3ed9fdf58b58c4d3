//! `pcache list`: the files of the cache as a table or as JSON.

use super::contents::Contents;
use super::context::{Context, Status};
use super::progress::Progress;
use super::screen::{print_json, say, say_coloured};
use super::selection::{Selection, Sought};
use super::styles::{FAINT, PLAIN, STRONG};
use crate::config::ByteSize;
use crate::files::now;
use crate::store::policy::Nanos;
use crate::store::{EntryKind, FileStore, Name, SurveyedFile, Tree, VisitAction};
use anyhow::Error;
use serde::{Serialize, Serializer};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, available_parallelism};

/// So many threads look at files at most: more only wait for the file system.
const MOST_WORKERS: usize = 8;

/// What `pcache list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    selection: Selection,
    /// What comes first: the largest, the oldest, the least recently used, the least often used, or
    /// by class
    #[arg(long, value_name = "ORDER", default_value = "size")]
    sort: Order,
    /// Show at most N files: 100 in a table and all in JSON unless told otherwise
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show all files
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// So many rows of a table are shown unless more are asked for.
const TABLE_LIMIT: usize = 100;

impl ListArguments {
    /// How many files are shown at most; `None` for all.
    fn limit(&self) -> Option<usize> {
        let unsaid = (!self.json && !self.all).then_some(TABLE_LIMIT);
        self.limit.or(unsaid)
    }

    /// Whether the contents of all selected files are read. With a limit, only those of the shown ones are, if they do
    /// not decide which are shown.
    fn describes_all(&self) -> bool {
        self.limit().is_none() || matches!(self.sort, Order::Class)
    }
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
    entries: Vec<ListedRow>,
}

/// A row, as small as a million of them need to be.
#[derive(Debug)]
struct ListedRow {
    tree: Tree,
    name: Name,
    bytes: u64,
    age: u64,
    unused: u64,
    uses: Option<u64>,
    class: &'static str,
    file: Option<Box<str>>,
}

#[derive(Debug, Serialize)]
struct RowShape<'a> {
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
    file: Option<&'a str>,
}

impl Serialize for ListedRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = self.name.to_string();
        let shape = RowShape {
            path: format!("{}/{name}", self.tree.path()),
            name,
            kind: match self.tree.kind {
                EntryKind::Entry => "entry",
                EntryKind::Record => "record",
            },
            class: self.class,
            bytes: self.bytes,
            age: self.age,
            unused: self.unused,
            uses: self.uses,
            file: self.file.as_deref(),
        };
        shape.serialize(serializer)
    }
}

impl ListedRow {
    fn of(stored: &SurveyedFile<'_>, now: Nanos) -> Self {
        let seconds = |since: Nanos| {
            let nanos = now.saturating_sub(since).max(0);
            u64::try_from(nanos / 1_000_000_000).unwrap_or(0)
        };
        Self {
            tree: stored.tree,
            name: stored.name,
            bytes: stored.size,
            age: seconds(stored.written),
            unused: seconds(stored.read),
            uses: stored.uses,
            class: "",
            file: None,
        }
    }

    fn describe(&mut self, contents: &Contents) {
        self.class = contents.class;
        let name = contents.name();
        self.file = name.map(|file| file.display().to_string().into());
    }
}

pub(super) fn run(arguments: &ListArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let mut report = ListReport::default();
    if let Some(store) = context.store_for_reading()? {
        report.entries = rows(&store, arguments, context)?;
        report.files = report.entries.len();
        report.bytes = report.entries.iter().map(|row| row.bytes).sum();
        sort(&mut report.entries, arguments.sort);
        if let Some(limit) = arguments.limit() {
            report.entries.truncate(limit);
        }
        if !arguments.describes_all() {
            describe(&store, &mut report.entries)?;
        }
    } else if !arguments.json {
        context.say_absent()?;
        return Ok(Status::Fine);
    }
    if arguments.json {
        print_json(&mut context.out, &report)?;
    } else {
        print(&report, context)?;
    }
    Ok(Status::Fine)
}

/// Every selected file, in any order. Reading them takes longest, so all cores do it.
fn rows(
    store: &FileStore,
    arguments: &ListArguments,
    context: &mut Context<'_>,
) -> Result<Vec<ListedRow>, Error> {
    let now = now();
    let most = store.stats().store_size().map_or(0, |size| size.files());
    let seen = AtomicU64::new(0);
    let count = || seen.fetch_add(1, Ordering::Relaxed) + 1;
    let mut progress = Progress::new("listing", context.env, &mut context.err);
    let workers = if arguments.selection.can_be_shared() {
        available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS))
    } else {
        1
    };
    let shards = |worker: usize| (0..=u8::MAX).skip(worker).step_by(workers);
    thread::scope(|scope| {
        let work = |worker| {
            let mut see = || {
                count();
            };
            rows_of(store, arguments, now, || shards(worker), &mut see)
        };
        let others: Vec<_> = (1..workers)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        let mut see = || progress.show(count(), most);
        let mut rows = rows_of(store, arguments, now, || shards(0), &mut see)?;
        for other in others {
            let found = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            rows.extend(found?);
        }
        Ok(rows)
    })
}

/// The selected files of some shards.
fn rows_of<S: Iterator<Item = u8>>(
    store: &FileStore,
    arguments: &ListArguments,
    now: Nanos,
    shards: impl Fn() -> S,
    see: &mut dyn FnMut(),
) -> Result<Vec<ListedRow>, Error> {
    let (mut rows, mut trouble) = (Vec::new(), None);
    let mut sought = Sought::new(&arguments.selection, store, now)?;
    for kind in [EntryKind::Record, EntryKind::Entry] {
        store.survey_shards(kind, shards(), |stored| {
            see();
            let row = sought.has(stored).and_then(|is_sought| {
                let mut row = is_sought.then(|| ListedRow::of(stored, now));
                if let Some(row) = row.as_mut().filter(|_| arguments.describes_all()) {
                    row.describe(&Contents::of(stored)?);
                }
                Ok(row)
            });
            match row {
                Ok(row) => rows.extend(row),
                Err(error) => {
                    trouble.get_or_insert(error);
                }
            }
            VisitAction::Keep
        })?;
    }
    trouble.map_or(Ok(rows), |error| Err(error.into()))
}

/// Adds what contents tell. Drops files that were removed since they were listed.
fn describe(store: &FileStore, rows: &mut Vec<ListedRow>) -> Result<(), Error> {
    let mut trouble = None;
    rows.retain_mut(|row| {
        let looked = store.look_at((row.tree, row.name), Contents::of);
        match looked.and_then(Option::transpose) {
            Ok(Some(contents)) => row.describe(&contents),
            Ok(None) => return false,
            Err(error) => {
                trouble.get_or_insert(error);
            }
        }
        true
    });
    trouble.map_or(Ok(()), |error| Err(error.into()))
}

/// Equal ones by name, so that two listings of the same can be compared.
fn sort(rows: &mut [ListedRow], order: Order) {
    rows.sort_unstable_by(|one, other| {
        let first = match order {
            Order::Size => other.bytes.cmp(&one.bytes),
            Order::Age => other.age.cmp(&one.age),
            Order::Used => other.unused.cmp(&one.unused),
            Order::Uses => one.uses.cmp(&other.uses),
            Order::Class => one.class.cmp(other.class),
        };
        first.then_with(|| (one.name, one.tree).cmp(&(other.name, other.tree)))
    });
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
            (FAINT, &row.name.to_string()),
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
            format_args!("{files} files, {size}; {shown} are shown, --all shows the rest"),
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
