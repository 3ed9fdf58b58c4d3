//! Counts a compile, and writes what it did and depended on to the journal, the log and the facts that
//! `pcache explain` reads. Best effort: a failure here never changes a result.

use super::found::FoundResult;
use super::key::{NvrtcFacts, full_name, shown_name};
use super::keyed::Keyed;
use super::program::NvrtcRequest;
use super::tiered_store::TieredStore;
use crate::config::Config;
use crate::explain::{self, DependencyReport, File, ToolFacts, fields, options, text};
use crate::includes::lookups::Lookups;
use crate::journal::{self, CompileOutcome as Ending, Recorder, UnitOutcome};
use crate::key::{Digest, Explanation};
use crate::log::Log;
use crate::outcome::NvrtcReason;
use crate::remote::Remote;
use crate::stats::Counter;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The recorder of one compile, from its start.
pub(super) struct ProgramRecorder {
    recorder: Recorder,
    log: Log,
    /// The command as the log shows it; empty without one.
    command: Vec<OsString>,
    name: String,
}

impl ProgramRecorder {
    pub(super) fn begin(request: &NvrtcRequest<'_>, config: &Config) -> Self {
        let log = Log::open(config.log.value.as_deref());
        let mut command: Vec<OsString> = Vec::new();
        if config.log.value.is_some() {
            let argument = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            command.push("nvrtc".into());
            command.extend(request.options.iter().map(|option| argument(option)));
            command.push(argument(full_name(request.program)));
        }
        let recorder = Self {
            recorder: Recorder::begin(!command.is_empty()),
            log,
            command,
            name: journal::text(shown_name(request.program)),
        };
        recorder
            .recorder
            .note("library", request.library.path.display());
        recorder.recorder.update(|record| {
            record.nvrtc = true;
            record.directory = journal::text(env::current_dir().unwrap_or_default().as_os_str());
            record.sources = vec![recorder.name.clone()];
            record.recache = config.recache.value;
        });
        recorder
    }

    /// Adds a line to the log.
    pub(super) fn note(&self, name: &'static str, value: impl std::fmt::Display) {
        self.recorder.note(name, value);
    }

    /// Records how long servers were asked.
    pub(super) fn asked(&self, remote: &Remote<'_>) {
        self.recorder
            .update(|record| record.remote_wait = remote.waited());
    }

    /// Records a compile that bypassed the cache.
    pub(super) fn bypassed(self, level: &TieredStore, reason: NvrtcReason, detail: &[u8]) {
        level.stats().add(Counter::NvrtcBypassed(reason), 1);
        let detail = text(detail);
        self.recorder
            .note("bypass", format_args!("{} {detail}", reason.code()));
        self.recorder.update(|record| {
            record.level = Ending::Bypass;
            record.reason = Some(reason.code().to_owned());
            record.detail = Some(detail).filter(|detail| !detail.is_empty());
        });
        self.end(level);
    }

    /// Records a hit.
    pub(super) fn hit(self, level: &TieredStore, ending: Ending, hit: &FoundResult) {
        let counter = match ending {
            Ending::Coalesced => Counter::NvrtcCoalesced,
            _ => Counter::NvrtcHit,
        };
        level.stats().add(counter, 1);
        if hit.is_served {
            level.stats().add(Counter::RemoteServed, 1);
        }
        let key = hex::encode(hit.key);
        self.recorder
            .note("outcome", format_args!("{} ({key})", ending.text()));
        self.recorder.update(|record| {
            record.level = ending;
            record.stored = hit.record.milliseconds;
            record.facts.clone_from(&hit.record.facts);
            record.key = Some(key);
            record.remote = hit.is_served;
        });
        self.end(level);
    }

    /// Records a compile by NVRTC, and its stored result or the reason why it was not stored.
    pub(super) fn missed(self, level: &TieredStore, stored: Result<StoredProgram, String>) {
        level.stats().add(Counter::NvrtcMiss, 1);
        let (stored, unstored) = match stored {
            Ok(stored) => (stored, None),
            Err(why) => (StoredProgram::default(), Some(why)),
        };
        if let Some(why) = &unstored {
            level.stats().add(Counter::NvrtcUncacheable, 1);
            self.recorder
                .note("outcome", format_args!("miss, not stored: {why}"));
        } else {
            let key = hex::encode(stored.key);
            self.recorder
                .note("outcome", format_args!("miss, stored ({key})"));
        }
        self.recorder.add_unit(UnitOutcome {
            source: self.name.clone(),
            level: Ending::Miss,
            semantic: false,
            remote: false,
            unstored,
            key: hex::encode(stored.key),
        });
        self.recorder.update(|record| {
            record.level = Ending::Miss;
            record.facts = stored.facts;
        });
        self.end(level);
    }

    /// Records a program that NVRTC refused or the client gave up.
    pub(super) fn failed(self, level: &TieredStore) {
        self.recorder
            .note("outcome", "not compiled, or not successfully");
        self.recorder.update(|record| record.level = Ending::Failed);
        self.end(level);
    }

    fn end(self, level: &TieredStore) {
        let record = self.recorder.finish();
        for (counter, milliseconds) in [
            (Counter::SavedMilliseconds, record.saved()),
            (Counter::SpentMilliseconds, record.spent()),
        ] {
            if milliseconds > 0 {
                level.stats().add(counter, milliseconds);
            }
        }
        // Best effort: a lost record only affects reports.
        let _ = level.store().note(&record.to_text());
        let mut block = self.log.block(&self.command);
        self.recorder.write_block(&record, &mut block);
        if self.log.append(block).is_err() {
            level.stats().add(Counter::Error, 1);
        }
    }
}

/// A stored result.
#[derive(Default)]
pub(super) struct StoredProgram {
    /// The key of the result.
    pub key: Digest,
    /// The key of the record of its dependencies, in hex.
    pub facts: Option<String>,
}

/// Stores a record of what a compile depended on. Returns its key in hex.
pub(super) fn keep_facts(
    level: &TieredStore,
    keyed: &Keyed,
    written: &NvrtcFacts<'_>,
    lookups: &Lookups,
    contents: &[Digest],
) -> Option<String> {
    // The same writer as that of the key, so that the report has exactly the key's fields.
    let mut explained = Explanation::default();
    written.write(&mut explained);
    let tool = |role: &str, path: &Path, digest: &Digest| ToolFacts {
        role: role.to_owned(),
        path: shown(path),
        sha256: hex::encode(digest),
    };
    let builtins = keyed.library.builtins.as_deref().unwrap_or(Path::new(""));
    let absent = lookups.absent.iter().map(|(directory, names)| {
        let names = names.iter().map(shown).collect();
        (shown(directory), names)
    });
    let files = lookups.files.iter().zip(contents);
    let facts = DependencyReport {
        schema: explain::SCHEMA,
        request: fields(&explained, &["job", "library", "scope"]),
        job: options(&explained),
        tools: vec![
            tool("libnvrtc", &keyed.library.path, &keyed.digests[0]),
            tool("libnvrtc-builtins", builtins, &keyed.digests[1]),
        ],
        files: files
            .map(|(path, digest)| File {
                path: shown(path),
                digest: hex::encode(&digest[..8]),
                is_own: true,
                tokens: None,
                by: None,
            })
            .collect(),
        absent: absent.collect(),
        present: lookups
            .present
            .iter()
            .chain(&lookups.directories)
            .map(shown)
            .collect(),
        ..DependencyReport::default()
    };
    let records = facts.to_records()?;
    let are_kept = records
        .iter()
        .all(|record| level.keep_intermediate_record(&record.key, &record.bytes));
    are_kept.then(|| hex::encode(records[1].key))
}

fn shown(path: impl AsRef<OsStr>) -> String {
    text(path.as_ref().as_bytes())
}
