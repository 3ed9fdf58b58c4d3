//! `pcache clear`: removes everything, or what is selected.

use super::context::{Context, Status};
use super::progress::Progress;
use super::screen::{print_json, say};
use super::selection::{Selection, Sought};
use crate::config::ByteSize;
use crate::files::now;
use crate::includes::digests::DigestTable;
use crate::store::{Cleared, EntryKind, FileStore, VisitAction};
use crate::toolchain::{MemoSelection, Memos, forget};
use anyhow::{Context as _, Error};
use serde::Serialize;
use std::path::Path;

/// What `pcache clear` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ClearArguments {
    #[command(flatten)]
    selection: Selection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The shape of `pcache clear --json`.
#[derive(Serialize)]
struct ClearReport<'a> {
    cache: &'a Path,
    /// Artefacts and records.
    files: u64,
    /// Of all that was removed.
    bytes: u64,
}

pub(super) fn run(arguments: &ClearArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let root = context.root().to_owned();
    let store = context.store_for("clear")?;
    let began = now();
    let cleared = match &store {
        None => Cleared::default(),
        Some(store) if arguments.selection.is_everything() => clear_all(store, context)?,
        Some(store) => clear_selected(store, arguments, context)?,
    };
    if let Some(store) = &store {
        let removal = arguments.selection.removal(began, cleared.files);
        // Best effort: without this record, later misses are explained with less certainty.
        let _ = store.note(&removal.to_text());
    }
    if arguments.json {
        let report = ClearReport {
            cache: &root,
            files: cleared.files,
            bytes: cleared.bytes,
        };
        print_json(&mut context.out, &report)?;
    } else if store.is_none() {
        context.say_absent()?;
    } else {
        let (files, size) = (cleared.files, ByteSize::approximate(cleared.bytes));
        say(
            &mut context.out,
            format_args!("removed {files} files ({size}) from {root:?}"),
        )?;
    }
    Ok(Status::Fine)
}

/// Also removes what is remembered besides results, since users clear a cache that they distrust, or because they need
/// the space. The counters stay, and so do the files of locks, which others may hold, and keys.
fn clear_all(store: &FileStore, context: &mut Context<'_>) -> Result<Cleared, Error> {
    let mut progress = Progress::new("removing", context.env, &mut context.err);
    let mut cleared = store.clear_watched(&mut |done, most| progress.show(done, most))?;
    drop(progress);
    if let Some(apart) = store.apart() {
        let removed = apart.clear()?;
        cleared.files += removed.files;
        cleared.bytes += removed.bytes;
    }
    if let Some(own) = store.own_dir() {
        let digests = DigestTable::remove(own);
        cleared.bytes +=
            digests.with_context(|| format!("cannot remove the digests in {own:?}"))?;
        let forgotten = forget(&Memos::new(own), MemoSelection::All);
        let failed = || format!("cannot remove the toolchains in {own:?}");
        cleared.bytes += forgotten.with_context(failed)?.1;
    }
    Ok(cleared)
}

fn clear_selected(
    store: &FileStore,
    arguments: &ClearArguments,
    context: &mut Context<'_>,
) -> Result<Cleared, Error> {
    let mut cleared = Cleared::default();
    let mut sought = Sought::new(&arguments.selection, store, now())?;
    let most = store.stats().store_size().map_or(0, |size| size.files());
    let (mut seen, mut trouble) = (0, None);
    let mut progress = Progress::new("removing", context.env, &mut context.err);
    for sort in [EntryKind::Record, EntryKind::Entry] {
        let removed = store.survey(sort, |stored| {
            seen += 1;
            progress.show(seen, most);
            match sought.has(stored) {
                Ok(true) => VisitAction::Remove,
                Ok(false) => VisitAction::Keep,
                Err(error) => {
                    trouble.get_or_insert(error);
                    VisitAction::Keep
                }
            }
        })?;
        cleared.files += removed.files;
        cleared.bytes += removed.bytes;
    }
    trouble.map_or(Ok(cleared), |error| Err(error.into()))
}
