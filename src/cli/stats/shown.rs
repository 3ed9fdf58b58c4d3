//! What `pcache stats` shows, in whatever form.

use super::counts::{Counts, sum};
use crate::cli::range::Range;
use crate::cli::zone::Zone;
use crate::config::Config;
use crate::journal::Compile;
use crate::outcome::RemoteFailure;
use crate::stats::{Counter, Snapshot, Stats, StoreSize};
use serde::Serialize;
use std::path::Path;

/// Everything that is shown.
pub(super) struct Shown<'a> {
    pub(super) root: &'a Path,
    pub(super) counts: Counts,
    pub(super) size: StoreSize,
    pub(super) max_bytes: u64,
    /// Of the counters; the journal does not tell.
    pub(super) evicted: u64,
    /// Bytes of artefacts that were compressed: before, and as written.
    pub(super) compressed: [u64; 2],
    pub(super) remote: RemoteCounts,
    /// Hits that were compiled again, and those of them that differed.
    pub(super) rechecked: [u64; 2],
    pub(super) since: Option<JournalSpan>,
}

/// What servers of the shared level did; of the counters, the journal does not tell.
pub(super) struct RemoteCounts {
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// Lists of path sets that brought nothing new.
    pub(super) unchanged: u64,
    pub(super) sent: u64,
    pub(super) unsent: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) microseconds: u64,
    pub(super) failures: Vec<(RemoteFailure, u64)>,
}

impl RemoteCounts {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            hits: snapshot.get(Counter::RemoteHit),
            misses: snapshot.get(Counter::RemoteMiss),
            unchanged: snapshot.get(Counter::RemoteUnchanged),
            sent: snapshot.get(Counter::RemoteSent),
            unsent: snapshot.get(Counter::RemoteUnsent),
            bytes_received: snapshot.get(Counter::RemoteBytesReceived),
            bytes_sent: snapshot.get(Counter::RemoteBytesSent),
            microseconds: snapshot.get(Counter::RemoteMicroseconds),
            failures: snapshot.remote_failed().collect(),
        }
    }

    /// Milliseconds until a record that was asked for was there, or known to be nowhere.
    pub(super) fn milliseconds(&self) -> f64 {
        self.microseconds as f64 / 1000.0 / self.asked().max(1) as f64
    }

    /// All records that were asked for and of which something is known.
    pub(super) fn asked(&self) -> u64 {
        sum([self.hits, self.misses, self.unchanged])
    }
}

/// What a count from the journal covers.
#[derive(Serialize)]
pub(super) struct JournalSpan {
    /// What was asked for.
    pub(super) asked: String,
    /// When the first compile began that the journal holds.
    pub(super) journal_begins: Option<String>,
}

impl<'a> Shown<'a> {
    /// What `stats` counts, or what a range of the journal does; times are those of `zone`.
    pub(super) fn new(
        config: &'a Config,
        stats: &Stats,
        journal: Option<(&Range, &[Compile])>,
        zone: &Zone,
    ) -> Self {
        let snapshot = stats.snapshot();
        let (counts, since) = match journal {
            None => (Counts::of_counters(&snapshot), None),
            Some((range, all)) => {
                let meant = range.of(all);
                let span = JournalSpan {
                    asked: range.text(meant, zone),
                    journal_begins: all.first().map(|first| zone.time(first.start)),
                };
                (Counts::of_journal(meant.iter()), Some(span))
            }
        };
        Self {
            root: &config.dir.value,
            counts,
            size: snapshot.store_size(),
            max_bytes: config.max_size.value.bytes(),
            evicted: snapshot.get(Counter::Evicted),
            remote: RemoteCounts::of(&snapshot),
            rechecked: [Counter::Rechecked, Counter::RecheckDiffered]
                .map(|counter| snapshot.get(counter)),
            compressed: [Counter::PackedFrom, Counter::PackedTo]
                .map(|counter| snapshot.get(counter)),
            since,
        }
    }
}
