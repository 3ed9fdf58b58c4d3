//! `pcache import`: takes in what `pcache export` has written. A result that is imported is believed from then on, but
//! nothing that decides which programs run is.

use super::contents::is_data;
use super::context::{Context, Status};
use super::env::Env;
use super::export::STREAM;
use super::progress::Progress;
use super::screen::{Screen, print_json, say};
use crate::archive::{ArchiveError, Member, read_archive};
use crate::config::ByteSize;
use crate::store::{AdoptError, Adoption, EntryKind, FileStore, OfferedFile};
use anyhow::{Context as _, Error};
use serde::Serialize;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::PathBuf;

/// What `pcache import` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// The file that pcache export wrote; - is standard input
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The shape of `pcache import --json`.
#[derive(Debug, Default, Serialize)]
struct ImportReport {
    /// What came into the cache.
    entries: u64,
    records: u64,
    bytes: u64,
    /// What was there already.
    present: u64,
    refused: RefusedMembers,
}

/// How many members were passed over, by reason.
#[derive(Debug, Default, Serialize)]
struct RefusedMembers {
    unproven: u64,
    too_large: u64,
    distrusted: u64,
    steering: u64,
}

pub(super) fn run(arguments: &ImportArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let file = &arguments.file;
    let (archive, length): (Box<dyn Read>, u64) = if file.as_os_str() == STREAM {
        (Box::new(stdin().lock()), 0)
    } else {
        let opened = File::open(file).with_context(|| format!("cannot read {file:?}"))?;
        let length = opened.metadata().map_or(0, |facts| facts.len());
        (Box::new(opened), length)
    };
    let store = match context.store_for("import into")? {
        Some(store) => store,
        None => FileStore::from_config(context.config)?,
    };
    let mut report = ImportReport::default();
    let read = report.read(&store, (archive, length), context.env, &mut context.err);
    // What came before a fault stays.
    if arguments.json {
        print_json(&mut context.out, &report)?;
    } else {
        report.print(context)?;
    }
    read.with_context(|| format!("cannot import all of {file:?}"))?;
    Ok(Status::Fine)
}

impl ImportReport {
    fn read(
        &mut self,
        store: &FileStore,
        (archive, length): (Box<dyn Read>, u64),
        env: &Env<'_>,
        err: &mut Screen<'_>,
    ) -> Result<(), ArchiveError> {
        let mut progress = Progress::new("reading", env, err);
        read_archive(archive, &mut |member| {
            progress.show(member.position, length);
            self.take(store, member)
        })
    }

    fn take(&mut self, store: &FileStore, member: Member<'_>) -> Result<(), AdoptError> {
        let (tree, size) = (member.tree, member.size);
        let offered = OfferedFile {
            tree,
            name: member.name,
            size,
            content: member.content,
        };
        let count = match store.adopt(offered, &is_data)? {
            Adoption::Placed => {
                self.bytes += size;
                match tree.kind {
                    EntryKind::Record => &mut self.records,
                    EntryKind::Entry => &mut self.entries,
                }
            }
            Adoption::Present => &mut self.present,
            Adoption::TooLarge => &mut self.refused.too_large,
            Adoption::Unproven => &mut self.refused.unproven,
            Adoption::Distrusted => &mut self.refused.distrusted,
            Adoption::Steering => &mut self.refused.steering,
        };
        *count += 1;
        Ok(())
    }

    fn print(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let (entries, records, present) = (self.entries, self.records, self.present);
        let bytes = ByteSize::approximate(self.bytes);
        let rows = [
            (
                self.refused.unproven,
                "are damaged, or their content does not prove their names",
            ),
            (self.refused.too_large, "are larger than this cache takes"),
            (
                self.refused.distrusted,
                "are signed with another key than this cache's, or not as this cache requires it",
            ),
            (
                self.refused.steering,
                "would decide which programs run, and are not taken from elsewhere",
            ),
        ];
        let refused: u64 = rows.iter().map(|(n, _)| n).sum();
        say(
            &mut context.out,
            format_args!(
                "imported {entries} entries, {records} records ({bytes}); already there: {present}; refused: {refused}"
            ),
        )?;
        for (n, what) in rows.into_iter().filter(|(n, _)| *n > 0) {
            say(&mut context.out, format_args!("{n} {what}"))?;
        }
        Ok(())
    }
}
