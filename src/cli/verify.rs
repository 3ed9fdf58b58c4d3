//! `pcache verify`: reads everything, and removes what is not as it was stored. Records first, since
//! they tell which entries are artefacts: an entry of another program in the same directory, under a
//! key that only that program knows, looks like a damaged artefact otherwise.

use super::contents::Contents;
use super::context::{Context, Status};
use super::env::Env;
use super::positive_count::PositiveCount;
use super::progress::Progress;
use super::recompile::{Recompiled, Recompiler};
use super::screen::{print_json, say, say_coloured};
use super::styles::BAD;
use super::zone::Zone;
use crate::config::ByteSize;
use crate::files::now;
use crate::store::{
    Artefact, EntryKind, FileStore, Name, Proof, Reading, Standing, StoreError, SurveyedFile,
    VisitAction,
};
use anyhow::{Context as _, Error, bail};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// What `pcache verify` takes.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArguments {
    /// Remove nothing
    #[arg(long)]
    keep: bool,
    /// Also compile N randomly chosen results again, and compare
    #[arg(long, value_name = "N")]
    recompile: Option<PositiveCount>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The shape of `pcache verify --json`.
#[derive(Debug, Default, Serialize)]
struct VerifyReport {
    /// Files that are as they were stored, and their bytes.
    whole: u64,
    whole_bytes: u64,
    /// Records and artefacts that are not.
    damaged: Vec<Damaged>,
    /// How many of them were removed.
    removed: u64,
    /// Entries that no record names and whose content does not tell their name: of other programs,
    /// or damaged ones that nothing can serve.
    signed: u64,
    unproven: u64,
    /// Artefacts that records name and that are not there: their compiles are misses.
    missing: u64,
    /// Files that could not be read, with the reason.
    unreadable: Vec<String>,
    /// What came of compiling some again, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    recompiled: Option<Recompiled>,
}

#[derive(Debug, Serialize)]
struct Damaged {
    name: String,
    kind: &'static str,
    bytes: u64,
}

pub(super) fn run(arguments: &VerifyArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let store = if arguments.keep || context.config.readonly.value {
        context.store_for_reading()?
    } else {
        context.store_for("verify")?
    };
    let mut report = VerifyReport::default();
    if let Some(store) = &store {
        // The commands come out of the cache.
        if arguments.recompile.is_some() && store.standing() != Standing::Exclusive {
            bail!(
                "--recompile would run commands from {:?}, where other users can write or are trusted; leave it out",
                context.config.dir.value
            );
        }
        let mut progress = Progress::new("verifying", context.env, &mut context.err);
        let most = store.stats().store_size().map_or(0, |size| size.bytes);
        let mut read = 0;
        report.check(store, &mut |bytes| {
            read += bytes;
            progress.show(read, most);
        })?;
        if let Some(wanted) = arguments.recompile {
            progress.call("compiling");
            let recompiler = Recompiler {
                store,
                config: context.config,
                wrapper: wrapper(context.env)?,
                zone: Zone::of(arguments.json),
            };
            report.recompiled = Some(recompiler.run(wanted.get(), now(), &mut progress)?);
        }
    }
    match (arguments.json, &store) {
        (true, _) => print_json(&mut context.out, &report)?,
        (false, None) => context.say_absent()?,
        (false, Some(_)) => report.print(context)?,
    }
    Ok(report.status())
}

/// `pcache-nvcc`, which is installed beside this program.
fn wrapper(env: &Env<'_>) -> Result<PathBuf, Error> {
    let own = env.program.as_deref();
    let wrapper = own.map(|own| own.with_file_name("pcache-nvcc"));
    let found = wrapper.filter(|wrapper| wrapper.is_file());
    found.context("there is no pcache-nvcc beside pcache; --recompile needs it")
}

/// The artefacts that records name.
#[derive(Default)]
struct NamedArtefacts {
    /// By the names that their files can have, with the size of a file that is not compressed.
    files: HashMap<Name, (Artefact, Option<u64>)>,
    /// Those that have not been found yet.
    missing: HashSet<Artefact>,
}

impl NamedArtefacts {
    fn extend(&mut self, artefacts: Vec<Artefact>) {
        for artefact in artefacts {
            let (raw, packed) = (artefact.key(), artefact.packed_key());
            self.files
                .insert(Name::of(&raw), (artefact, Some(artefact.size)));
            self.files.insert(Name::of(&packed), (artefact, None));
            self.missing.insert(artefact);
        }
    }

    fn found(&mut self, name: Name) {
        if let Some((artefact, _)) = self.files.get(&name) {
            self.missing.remove(artefact);
        }
    }
}

impl VerifyReport {
    fn check(&mut self, store: &FileStore, watch: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let mut named = NamedArtefacts::default();
        let removed = store.survey(EntryKind::Record, |stored| {
            watch(stored.size);
            match stored.record() {
                Ok(Reading::Whole(value)) => {
                    let artefacts = Contents::of_record(&value).artefacts;
                    named.extend(artefacts);
                    self.note_whole(stored)
                }
                Ok(Reading::Gone) => VisitAction::Keep,
                Ok(Reading::Signed) => {
                    self.signed += 1;
                    VisitAction::Keep
                }
                Ok(Reading::Damaged) => self.note_damaged(stored, "record"),
                Err(error) => self.note_unreadable(&error),
            }
        });
        self.removed += removed?.files;
        let removed = store.survey(EntryKind::Entry, |stored| {
            watch(stored.size);
            let expected = named.files.get(&stored.name).copied();
            let size = expected.and_then(|(_, size)| size);
            // A file of another size is damaged; there is no need to read it.
            let proof = if size.is_some_and(|size| size != stored.size) {
                Ok(Proof::Unproven)
            } else {
                stored.prove()
            };
            match proof {
                Ok(Proof::Whole) => {
                    named.found(stored.name);
                    self.note_whole(stored)
                }
                Ok(Proof::Gone) => VisitAction::Keep,
                Ok(Proof::Unproven) if expected.is_some() => self.note_damaged(stored, "entry"),
                Ok(Proof::Unproven) => {
                    self.unproven += 1;
                    VisitAction::Keep
                }
                Err(error) => {
                    named.found(stored.name);
                    self.note_unreadable(&error)
                }
            }
        });
        self.removed += removed?.files;
        self.missing = named.missing.len() as u64;
        Ok(())
    }

    fn note_whole(&mut self, stored: &SurveyedFile<'_>) -> VisitAction {
        self.whole += 1;
        self.whole_bytes += stored.size;
        VisitAction::Keep
    }

    fn note_damaged(&mut self, stored: &SurveyedFile<'_>, kind: &'static str) -> VisitAction {
        self.damaged.push(Damaged {
            name: stored.name.to_string(),
            kind,
            bytes: stored.size,
        });
        VisitAction::Remove
    }

    fn note_unreadable(&mut self, error: &StoreError) -> VisitAction {
        self.unreadable.push(error.to_string());
        VisitAction::Keep
    }

    fn status(&self) -> Status {
        let differs = self.recompiled.as_ref();
        let differs = differs.is_some_and(|found| !found.differ.is_empty());
        let is_kept = self.removed < self.damaged.len() as u64;
        let is_left = is_kept || !self.unreadable.is_empty() || differs;
        match (self.damaged.is_empty(), is_left) {
            (_, true) => Status::Trouble,
            (false, false) => Status::Findings,
            (true, false) => Status::Fine,
        }
    }

    fn print(&self, context: &mut Context<'_>) -> Result<(), Error> {
        for damaged in &self.damaged {
            let (kind, name, bytes) = (damaged.kind, &damaged.name, damaged.bytes);
            let text = format!("damaged {kind} {name} ({bytes} bytes)");
            say_coloured(&mut context.out, &[(BAD, &text)])?;
        }
        for trouble in &self.unreadable {
            say_coloured(&mut context.out, &[(BAD, trouble)])?;
        }
        let (whole, size) = (self.whole, ByteSize::approximate(self.whole_bytes));
        say(
            &mut context.out,
            format_args!("{whole} files are intact ({size})"),
        )?;
        let (damaged, removed) = (self.damaged.len(), self.removed);
        say(
            &mut context.out,
            format_args!("{damaged} are damaged, {removed} of them removed"),
        )?;
        let rows = [
            (
                self.signed,
                "records are signed with other keys, and were not checked",
            ),
            (
                self.unproven,
                "entries belong to other programs, or to no record",
            ),
            (
                self.missing,
                "artefacts that records name are gone; their compiles will be misses",
            ),
        ];
        for (n, what) in rows.into_iter().filter(|(n, _)| *n > 0) {
            say(&mut context.out, format_args!("{n} {what}"))?;
        }
        self.recompiled
            .as_ref()
            .map_or(Ok(()), |found| print_recompiled(found, context))
    }
}

fn print_recompiled(found: &Recompiled, context: &mut Context<'_>) -> Result<(), Error> {
    for one in &found.differ {
        let (source, compiled, parts) = (&one.source, &one.compiled, one.parts.join(" and "));
        let text = format!("{source}, compiled {compiled}, gives other {parts} now");
        say_coloured(&mut context.out, &[(BAD, &text)])?;
    }
    let (same, differ, passed) = (found.same, found.differ.len(), found.passed);
    say(
        &mut context.out,
        format_args!("{same} compiles gave the same bytes again, {differ} gave others"),
    )?;
    if passed > 0 {
        say(
            &mut context.out,
            format_args!(
                "{passed} could not be compared: what they depended on has changed, is gone, or was not kept"
            ),
        )?;
    }
    Ok(())
}
