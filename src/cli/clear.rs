//! `pcache clear`: removes everything, or what is selected. Does not know how files are removed.

use super::progress::Progress;
use super::scene::{Scene, Status};
use super::screen::{print_json, say};
use super::select::{Selection, Sought, now};
use crate::config::ByteSize;
use crate::includes::digests::DigestTable;
use crate::store::{Cleared, EntryKind, FileStore, Verdict};
use crate::toolchain::{Memos, Which, forget};
use anyhow::{Context, Error};
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

pub(super) fn run(arguments: &ClearArguments, scene: &mut Scene<'_>) -> Result<Status, Error> {
    let root = scene.root().to_owned();
    let store = scene.store_for("clear")?;
    let began = now();
    let cleared = match &store {
        None => Cleared::default(),
        Some(store) if arguments.selection.is_everything() => clear_all(store, scene)?,
        Some(store) => clear_selected(store, arguments, scene)?,
    };
    if let Some(store) = &store {
        let removal = arguments.selection.removal(began, cleared.files);
        // Without it, later misses are explained with less certainty.
        let _ = store.note(&removal.to_text());
    }
    if arguments.json {
        let report = ClearReport {
            cache: &root,
            files: cleared.files,
            bytes: cleared.bytes,
        };
        print_json(&mut scene.out, &report)?;
    } else if store.is_none() {
        scene.say_absent()?;
    } else {
        let (files, size) = (cleared.files, ByteSize::approximate(cleared.bytes));
        say(
            &mut scene.out,
            format_args!("removed {files} files ({size}) from {root:?}"),
        )?;
    }
    Ok(Status::Fine)
}

/// Also what is remembered besides results: who clears a cache distrusts it or wants the room. The
/// counters stay, and so do the files of locks, which others may hold, and keys.
fn clear_all(store: &FileStore, scene: &mut Scene<'_>) -> Result<Cleared, Error> {
    let mut progress = Progress::new("removing", scene.surroundings, &mut scene.err);
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
        let forgotten = forget(&Memos::new(own), Which::All);
        let failed = || format!("cannot remove the toolchains in {own:?}");
        cleared.bytes += forgotten.with_context(failed)?.1;
    }
    Ok(cleared)
}

fn clear_selected(
    store: &FileStore,
    arguments: &ClearArguments,
    scene: &mut Scene<'_>,
) -> Result<Cleared, Error> {
    let mut cleared = Cleared::default();
    let mut sought = Sought::new(&arguments.selection, store, now())?;
    let most = store.stats().store_size().map_or(0, |size| size.files());
    let (mut seen, mut trouble) = (0, None);
    let mut progress = Progress::new("removing", scene.surroundings, &mut scene.err);
    for sort in [EntryKind::Record, EntryKind::Entry] {
        let removed = store.survey(sort, |stored| {
            seen += 1;
            progress.show(seen, most);
            match sought.take(sort, stored) {
                Ok(Some(_)) => Verdict::Remove,
                Ok(None) => Verdict::Keep,
                Err(error) => {
                    trouble.get_or_insert(error);
                    Verdict::Keep
                }
            }
        })?;
        cleared.files += removed.files;
        cleared.bytes += removed.bytes;
    }
    trouble.map_or(Ok(cleared), |error| Err(error.into()))
}
