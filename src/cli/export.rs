//! `pcache export`: the entries and records of the cache as one file. Records that decide which programs run are left
//! out, as in another place they are of no use and must not be believed.

use super::contents::is_data;
use super::context::{Context, Status, is_there};
use super::env::Env;
use super::progress::Progress;
use super::screen::{Screen, print_json, say};
use super::used_since::UsedSince;
use crate::archive::ArchiveWriter;
use crate::config::ByteSize;
use crate::store::policy::Nanos;
use crate::store::{EntryKind, FileStore, Reading, SurveyedFile, VisitAction};
use anyhow::{Context as _, Error, anyhow, bail};
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What `pcache export` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// The file to write, such as cache.tar.zst; - is standard output
    file: PathBuf,
    /// Only what was used since then: 2h, 2026-11-22T16:25 in local time, or last-build
    #[arg(long, value_name = "WHEN")]
    used_since: Option<UsedSince>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The shape of `pcache export --json`.
#[derive(Debug, Default, Serialize)]
struct ExportReport {
    entries: u64,
    records: u64,
    /// Their size, before the archive compresses them.
    bytes: u64,
    /// Damaged records, and those that decide which programs run.
    left_out: u64,
}

/// The argument that means a standard stream.
pub(super) const STREAM: &str = "-";

pub(super) fn run(arguments: &ExportArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let root = context.root().to_owned();
    if !is_there(&root)? {
        bail!("there is no cache at {root:?}");
    }
    let Some(store) = context.store_for_reading()? else {
        bail!("there is no cache at {root:?}");
    };
    let used_since = arguments.used_since;
    let used_since = used_since.map(|since| since.moment(&store)).transpose()?;
    if arguments.file.as_os_str() == STREAM {
        return to_stream(&store, used_since, arguments, context);
    }
    let failed = || format!("cannot write {:?}", arguments.file);
    let target = target(&arguments.file).with_context(failed)?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    let temporary = tempfile::Builder::new()
        .prefix(".pcache-export-")
        .tempfile_in(folder)
        .with_context(failed)?;
    let mut to = temporary.as_file();
    let archive = ArchiveWriter::new(&mut to).with_context(failed)?;
    let report = Export::new(&store, used_since, context.env)
        .write(archive, &mut context.err)
        .with_context(failed)?;
    temporary.as_file().sync_all().with_context(failed)?;
    let size = temporary.as_file().metadata().with_context(failed)?.len();
    temporary
        .persist(&target)
        .map_err(|error| error.error)
        .with_context(failed)?;
    if arguments.json {
        print_json(&mut context.out, &report)?;
    } else {
        report.print(&arguments.file, size, context)?;
    }
    Ok(Status::Fine)
}

fn to_stream(
    store: &FileStore,
    used_since: Option<Nanos>,
    arguments: &ExportArguments,
    context: &mut Context<'_>,
) -> Result<Status, Error> {
    if arguments.json {
        bail!("standard output is the archive's, so there is no place for --json; name a file");
    }
    if context.env.out_is_terminal {
        bail!("standard output is a terminal; name a file, or send it elsewhere");
    }
    let failed = "cannot write to standard output";
    let mut out = context.out.lend();
    let archive = ArchiveWriter::new(out.bytes()).context(failed)?;
    Export::new(store, used_since, context.env)
        .write(archive, &mut context.err)
        // Without the cause: half an archive is no success, even if its reader has left early.
        .map_err(|error| anyhow!("{failed}: {error:#}"))?;
    Ok(Status::Fine)
}

/// The absolute path of the file to write, which may exist: a link's own target, so that the link stays.
fn target(file: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(file) {
        Ok(found) if found.is_file() => Ok(found),
        // A device or a pipe would be replaced by a file.
        Ok(_) => Err(io::Error::other(
            "it is no regular file; write to - and send that there",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(file),
        Err(error) => Err(error),
    }
}

/// What is exported.
struct Export<'a> {
    store: &'a FileStore,
    used_since: Option<Nanos>,
    env: &'a Env<'a>,
}

impl<'a> Export<'a> {
    fn new(store: &'a FileStore, used_since: Option<Nanos>, env: &'a Env<'a>) -> Self {
        Self {
            store,
            used_since,
            env,
        }
    }

    /// Entries first, so that a reader who gets half of the archive has no record without its artefacts.
    fn write(
        &self,
        mut archive: ArchiveWriter<'_>,
        err: &mut Screen<'_>,
    ) -> Result<ExportReport, Error> {
        let mut report = ExportReport::default();
        let mut trouble = None;
        let most = self.store.stats().store_size().map_or(0, |size| size.bytes);
        let mut seen = 0;
        let mut progress = Progress::new("writing", self.env, err);
        for kind in [EntryKind::Entry, EntryKind::Record] {
            self.store.survey(kind, |stored| {
                seen += stored.size;
                progress.show(seen, most);
                let is_used = self.used_since.is_none_or(|since| stored.read >= since);
                // After the first fault the rest is only listed.
                if is_used && trouble.is_none() {
                    trouble = report.add(stored, &mut archive).err();
                }
                VisitAction::Keep
            })?;
        }
        drop(progress);
        if let Some(error) = trouble {
            return Err(error);
        }
        archive.finish()?;
        Ok(report)
    }
}

impl ExportReport {
    fn add(
        &mut self,
        stored: &SurveyedFile<'_>,
        archive: &mut ArchiveWriter<'_>,
    ) -> Result<(), Error> {
        if stored.tree.kind == EntryKind::Record {
            match stored.record()? {
                Reading::Whole(value) if is_data(&value) => {}
                // What steers is never signed.
                Reading::Signed => {}
                Reading::Gone => return Ok(()),
                Reading::Whole(_) | Reading::Damaged => {
                    self.left_out += 1;
                    return Ok(());
                }
            }
        }
        let Some(bytes) = stored.bytes()? else {
            return Ok(());
        };
        archive.add(stored.tree, stored.name, &bytes)?;
        self.bytes += bytes.len() as u64;
        match stored.tree.kind {
            EntryKind::Record => self.records += 1,
            EntryKind::Entry => self.entries += 1,
        }
        Ok(())
    }

    fn print(&self, file: &Path, size: u64, context: &mut Context<'_>) -> Result<(), Error> {
        let (entries, records) = (self.entries, self.records);
        let [bytes, size] = [self.bytes, size].map(ByteSize::approximate);
        say(
            &mut context.out,
            format_args!(
                "exported {entries} entries, {records} records ({bytes}) to {file:?} ({size})"
            ),
        )
    }
}
