//! `pcache gc`: brings the cache under its size limit now. The store decides what has to go.

use super::context::{Context, Status};
use super::progress::Progress;
use super::screen::{print_json, say};
use crate::compile::sweep_work_directories;
use crate::config::ByteSize;
use crate::store::{Bounds, Cleared, Collected, FileStore, Phase};
use crate::toolchain::{MemoSelection, Memos, forget};
use anyhow::{Context as _, Error};
use serde::Serialize;

/// What `pcache gc` takes.
#[derive(Debug, clap::Args)]
pub(super) struct GcArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The shape of `pcache gc --json`.
#[derive(Debug, Default, Serialize)]
struct GcReport {
    before_bytes: u64,
    after_bytes: u64,
    max_bytes: u64,
    expired: Gone,
    evicted: Gone,
    swept_bytes: u64,
    toolchains: Gone,
}

/// Files that were removed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Gone {
    files: u64,
    bytes: u64,
}

pub(super) fn run(arguments: &GcArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let Some(store) = context.store_for("collect garbage in")? else {
        if arguments.json {
            print_json(&mut context.out, &GcReport::default())?;
        } else {
            context.say_absent()?;
        }
        return Ok(Status::Fine);
    };
    let collected = collect(&store, None, context)?;
    let report = GcReport {
        max_bytes: context.config.max_size.value.bytes(),
        toolchains: tidy_own(&store)?,
        ..GcReport::of(&collected)
    };
    if arguments.json {
        print_json(&mut context.out, &report)?;
    } else {
        report.print(context)?;
    }
    Ok(Status::Fine)
}

/// Removes what the store's own limits, or other `bounds`, do not allow; also from the store of this user's own records.
/// Returns what was done to the first.
pub(super) fn collect(
    store: &FileStore,
    bounds: Option<&Bounds>,
    context: &mut Context<'_>,
) -> Result<Collected, Error> {
    let collect = |store: &FileStore, watch: &mut dyn FnMut(Phase, u64, u64)| match bounds {
        None => store.collect(watch),
        Some(bounds) => store.collect_to(bounds, watch),
    };
    let mut progress = Progress::new("listing", context.env, &mut context.err);
    let collected = collect(store, &mut |phase, done, most| {
        progress.call(match phase {
            Phase::Listing => "listing",
            Phase::Removing => "removing",
        });
        progress.show(done, most);
    })?;
    drop(progress);
    if let Some(apart) = store.apart() {
        collect(apart, &mut |_, _, _| {})?;
    }
    Ok(collected)
}

/// Removes what lies beside the store: directories of dead compiles, and toolchains that no compile would believe.
/// Returns the latter.
pub(super) fn tidy_own(store: &FileStore) -> Result<Gone, Error> {
    sweep_work_directories();
    let (files, bytes) = match store.own_dir() {
        None => (0, 0),
        Some(own) => forget(&Memos::new(own), MemoSelection::Stale)
            .with_context(|| format!("cannot tidy the toolchains in {own:?}"))?,
    };
    Ok(Gone { files, bytes })
}

/// A line for each reason of removals.
pub(super) fn say_gone(rows: &[(&str, &Gone)], context: &mut Context<'_>) -> Result<(), Error> {
    for (what, gone) in rows {
        let (files, bytes) = (gone.files, ByteSize::approximate(gone.bytes));
        say(
            &mut context.out,
            format_args!("{what:<20}{files:>10} files, {bytes}"),
        )?;
    }
    Ok(())
}

/// The line of what dead writers had left.
pub(super) fn say_swept(bytes: u64, context: &mut Context<'_>) -> Result<(), Error> {
    let swept = ByteSize::approximate(bytes);
    say(
        &mut context.out,
        format_args!("{:<20}{swept:>10}", "crashed processes"),
    )
}

impl Gone {
    pub(super) fn of(cleared: Cleared) -> Self {
        Self {
            files: cleared.files,
            bytes: cleared.bytes,
        }
    }
}

impl GcReport {
    fn of(collected: &Collected) -> Self {
        Self {
            before_bytes: collected.before.bytes,
            after_bytes: collected.after.bytes,
            expired: Gone::of(collected.expired),
            evicted: Gone::of(collected.evicted),
            swept_bytes: collected.swept,
            ..Self::default()
        }
    }

    fn print(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let size = ByteSize::approximate;
        let rows = [
            ("expired", &self.expired),
            ("evicted", &self.evicted),
            ("stale toolchains", &self.toolchains),
        ];
        say_gone(&rows, context)?;
        say_swept(self.swept_bytes, context)?;
        let (before, after) = (size(self.before_bytes), size(self.after_bytes));
        let most = size(self.max_bytes);
        say(
            &mut context.out,
            format_args!("{:<20}{before} before, {after} now, of {most}", "size"),
        )
    }
}
