//! Counts the outcomes of compiles, in a page that all processes of one cache share. Opening never fails: without a
//! usable page the counts are kept in the memory of this process and are lost with it.

mod page;
mod totals;

pub use totals::{SHARDS, ScanStart, ShardRow, StoreChange, StoreSize, Totals};

use crate::files::Root;
use crate::outcome::{BypassReason, FallbackReason, NvrtcReason, RemoteFailure};
use page::{MissingPage, Page, PageFormat};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Number of slots for the reasons of one kind. Slots are never reused for another meaning.
const REASONS: usize = 64;

/// First word of each group in the page. Words 0 to 15 are the header, which no reset touches.
const JOURNAL: usize = 2;
const OUTCOMES: usize = 16;
const STORE: usize = 32;
const BYPASSES: usize = 64;
const FALLBACKS: usize = BYPASSES + REASONS;
const STAGES: usize = FALLBACKS + REASONS;
/// Outcomes of programs compiled at run time, and then the reasons for bypasses of such programs.
const NVRTC: usize = STAGES + REASONS;
const NVRTC_BYPASSES: usize = NVRTC + 8;
/// What servers of the shared level did, and then how they failed.
const REMOTE: usize = NVRTC_BYPASSES + REASONS;
const REMOTE_FAILURES: usize = REMOTE + 16;

const STORE_EVICTED: usize = STORE + 4;
const STORE_SWEPT: usize = STORE + 5;
const WORK_TIDIED: usize = STORE + 6;
const STORE_PACKED: usize = STORE + 7;

const WORDS: usize = 512;
const FORMAT: PageFormat = PageFormat {
    name: "counters",
    magic: u64::from_be_bytes(*b"PCACHECT"),
    words: WORDS,
};

const _: () = assert!(BypassReason::ALL.len() <= REASONS);
const _: () = assert!(FallbackReason::ALL.len() <= REASONS);
const _: () = assert!(STAGES + 2 * StageKind::ALL.len() <= NVRTC);
const _: () = assert!(NvrtcReason::ALL.len() <= REASONS);
const _: () = assert!(RemoteFailure::ALL.len() <= REASONS);
const _: () = assert!(REMOTE_FAILURES + REASONS <= WORDS);

/// A step of nvcc whose result is stored separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageKind {
    /// The host compiler's preprocessor, in the host pass or in a device pass.
    Preprocess,
    /// The CUDA front end, cudafe++.
    Cudafe,
    /// The device compiler, cicc: source to PTX, LTO-IR or OptiX-IR.
    Cicc,
    /// The assembler, ptxas: PTX to cubin.
    Ptxas,
    /// fatbinary: cubins and PTX in one container.
    Fatbinary,
    /// The device linker, nvlink.
    Nvlink,
    /// The host compiler, on the output of cudafe++.
    HostCompile,
}

impl StageKind {
    /// Every kind, in the order of the counter slots; new kinds go last.
    pub const ALL: &'static [Self] = &[
        Self::Preprocess,
        Self::Cudafe,
        Self::Cicc,
        Self::Ptxas,
        Self::Fatbinary,
        Self::Nvlink,
        Self::HostCompile,
    ];

    /// The name in `pcache stats --json`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Cudafe => "cudafe",
            Self::Cicc => "cicc",
            Self::Ptxas => "ptxas",
            Self::Fatbinary => "fatbinary",
            Self::Nvlink => "nvlink",
            Self::HostCompile => "host_compile",
        }
    }
}

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Answered without starting a process.
    DirectHit,
    /// Answered after preprocessing.
    PreprocessedHit,
    /// Compiled and stored.
    Miss,
    /// Waited for another process that compiled the same thing, then hit.
    Coalesced,
    /// An error of the cache itself: damaged, unreadable or unwritable. The compile went on.
    Error,
    /// Compiled correctly, but not stored.
    Uncacheable,
    /// Those hits whose sources had changed in comments, blanks or line numbers.
    SemanticHit,
    /// Milliseconds that hits saved compared with the compiles whose results they delivered.
    SavedMilliseconds,
    /// Milliseconds spent on compiles whose results were stored.
    SpentMilliseconds,
    /// Records that were not believed, because others wrote or signed them.
    Distrusted,
    /// Went straight to the real nvcc.
    Bypassed(BypassReason),
    /// Handed to the real nvcc after it was begun.
    Fallback(FallbackReason),
    /// A stage whose result was in the cache.
    StageHit(StageKind),
    /// A stage that was run.
    StageMiss(StageKind),
    /// A program compiled at run time whose result came from the cache.
    NvrtcHit,
    /// A program that NVRTC compiled, whether or not the result could be stored.
    NvrtcMiss,
    /// A program that waited for another thread or process that compiled the same, then was a hit.
    NvrtcCoalesced,
    /// Those misses that were not stored.
    NvrtcUncacheable,
    /// A program that bypassed the cache.
    NvrtcBypassed(NvrtcReason),
    /// Entries and records removed to stay below the limits.
    Evicted,
    /// Bytes of artefacts that were compressed, before compression.
    PackedFrom,
    /// Bytes of artefacts that were compressed, as they were written.
    PackedTo,
    /// A record that a server had.
    RemoteHit,
    /// A record that no server had.
    RemoteMiss,
    /// A record that was sent to a server, with what it names.
    RemoteSent,
    /// A record that was to be sent and was given up.
    RemoteUnsent,
    /// Bytes that servers sent.
    RemoteBytesReceived,
    /// Bytes that were sent to servers.
    RemoteBytesSent,
    /// Microseconds until a server's answer was in the local cache, of all hits and misses together.
    RemoteMicroseconds,
    /// A hit, of a unit or of a program compiled at run time, whose result a server had.
    RemoteServed,
    /// A list of path sets that a server had and that brought nothing new.
    RemoteUnchanged,
    /// A hit that was compiled again, to compare.
    Rechecked,
    /// Those that gave other bytes.
    RecheckDiffered,
    /// A server could not be used.
    RemoteFailed(RemoteFailure),
}

impl Counter {
    /// The index of its word in the page. A test checks that enum discriminants follow the order of each `ALL`.
    const fn slot(self) -> usize {
        match self {
            Self::DirectHit => OUTCOMES,
            Self::PreprocessedHit => OUTCOMES + 1,
            Self::Miss => OUTCOMES + 2,
            Self::Coalesced => OUTCOMES + 3,
            Self::Error => OUTCOMES + 4,
            Self::Uncacheable => OUTCOMES + 5,
            Self::SemanticHit => OUTCOMES + 6,
            Self::SavedMilliseconds => OUTCOMES + 7,
            Self::SpentMilliseconds => OUTCOMES + 8,
            Self::Distrusted => OUTCOMES + 9,
            Self::Bypassed(reason) => BYPASSES + reason as usize,
            Self::Fallback(reason) => FALLBACKS + reason as usize,
            Self::StageHit(kind) => STAGES + 2 * kind as usize,
            Self::StageMiss(kind) => STAGES + 2 * kind as usize + 1,
            Self::NvrtcHit => NVRTC,
            Self::NvrtcMiss => NVRTC + 1,
            Self::NvrtcCoalesced => NVRTC + 2,
            Self::NvrtcUncacheable => NVRTC + 3,
            Self::NvrtcBypassed(reason) => NVRTC_BYPASSES + reason as usize,
            Self::Evicted => STORE_EVICTED,
            Self::PackedFrom => STORE_PACKED,
            Self::PackedTo => STORE_PACKED + 1,
            Self::RemoteHit => REMOTE,
            Self::RemoteMiss => REMOTE + 1,
            Self::RemoteSent => REMOTE + 2,
            Self::RemoteUnsent => REMOTE + 3,
            Self::RemoteBytesReceived => REMOTE + 4,
            Self::RemoteBytesSent => REMOTE + 5,
            Self::RemoteMicroseconds => REMOTE + 6,
            Self::Rechecked => REMOTE + 7,
            Self::RecheckDiffered => REMOTE + 8,
            Self::RemoteServed => REMOTE + 9,
            Self::RemoteUnchanged => REMOTE + 10,
            Self::RemoteFailed(failure) => REMOTE_FAILURES + failure as usize,
        }
    }
}

/// The counters of one cache directory.
#[derive(Debug)]
pub struct Stats {
    page: Page,
    /// The root of the totals, and whether to create them. Opened on first use, because a hit does not need them.
    place: Option<(Arc<Root>, MissingPage)>,
    totals: OnceLock<Totals>,
}

impl Stats {
    /// Opens the counters of the cache in `dir`, and creates directory and page if they are missing.
    /// Never fails; without a page it counts only in memory.
    pub fn open(dir: &Path) -> Self {
        Self::open_in(&Arc::new(Root::at(dir)))
    }

    /// [`Stats::open`] in an open root.
    pub fn open_in(root: &Arc<Root>) -> Self {
        Self::with(root, MissingPage::Create)
    }

    /// Like [`Stats::open`], but creates nothing: the counters of a missing cache are zero.
    pub fn open_existing(dir: &Path) -> Self {
        Self::open_existing_in(&Arc::new(Root::at(dir)))
    }

    /// [`Stats::open_existing`] in an open root.
    pub fn open_existing_in(root: &Arc<Root>) -> Self {
        Self::with(root, MissingPage::Leave)
    }

    /// Lets pages be created if they are missing.
    #[must_use]
    pub fn making_pages(mut self) -> Self {
        if let Some((_, missing)) = &mut self.place {
            *missing = MissingPage::Create;
        }
        self
    }

    fn with(root: &Arc<Root>, missing: MissingPage) -> Self {
        Self {
            page: Page::open(root, FORMAT, missing),
            place: Some((Arc::clone(root), missing)),
            totals: OnceLock::new(),
        }
    }

    /// Counters that only this process sees.
    pub fn nowhere() -> Self {
        Self {
            page: Page::private(FORMAT),
            place: None,
            totals: OnceLock::new(),
        }
    }

    /// Whether the counts are shared with other processes.
    pub fn is_shared(&self) -> bool {
        self.page.is_shared()
    }

    /// Adds `n` to `counter`.
    pub fn add(&self, counter: Counter, n: u64) {
        // Best effort: no build waits for its counters.
        let _ = self
            .page
            .change(counter.slot(), |[word]| *word = word.wrapping_add(n));
    }

    /// A copy of all counters. Each value is exact, but they are not all from the same moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            words: self.page.all(FORMAT),
            store: self.store_size().unwrap_or_default(),
        }
    }

    /// Sets every count to zero. Keeps the size of the store, because its files are still there.
    pub fn zero(&self) {
        let _ = self
            .page
            .change(OUTCOMES, |words| *words = [0; STORE - OUTCOMES]);
        let _ = self
            .page
            .change(STORE_EVICTED, |words| *words = [0; WORDS - STORE_EVICTED]);
    }

    /// The size of the store, or `None` before the first scan of a new page of totals.
    pub fn store_size(&self) -> Option<StoreSize> {
        self.totals().size()
    }

    /// The size of the store, shard by shard. The page is opened on first use, because a hit does not need it.
    pub fn totals(&self) -> &Totals {
        self.totals.get_or_init(|| match &self.place {
            Some((root, missing)) => Totals::open(root, *missing),
            None => Totals::nowhere(),
        })
    }

    /// Whether `seconds` have passed by `now` (since 1970) since the temporary files were last swept.
    /// Returns true to only one of several processes.
    pub fn is_time_to_sweep(&self, now: u64, seconds: u64) -> bool {
        totals::claim(&self.page, STORE_SWEPT, now, seconds)
    }

    /// Whether `seconds` have passed since work directories were last tidied away. Returns true to only one of several
    /// processes, and never to a process with private counters.
    pub fn is_time_to_tidy(&self, seconds: u64) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        self.is_shared() && totals::claim(&self.page, WORK_TIDIED, now, seconds)
    }

    /// The turn of the journal, which determines the file that is written to: a number that only grows.
    pub fn journal_turn(&self) -> u64 {
        let [turn] = self.page.read(JOURNAL);
        turn
    }

    /// Ends `turn`. Returns true to only one of several processes.
    pub fn end_journal_turn(&self, turn: u64) -> bool {
        let ended = self.page.change(JOURNAL, |[word]| {
            let is_current = *word == turn;
            *word = word.wrapping_add(is_current.into());
            is_current
        });
        ended.unwrap_or(false)
    }
}

/// All counters as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    words: Vec<u64>,
    store: StoreSize,
}

impl Snapshot {
    /// The value of one counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.words[counter.slot()]
    }

    /// The size of the store; zeros before the first scan.
    pub fn store_size(&self) -> StoreSize {
        self.store
    }

    /// Every bypass reason with its count, zeros too, in the order of the enum.
    pub fn bypassed(&self) -> impl Iterator<Item = (BypassReason, u64)> + '_ {
        let count = |&reason| (reason, self.get(Counter::Bypassed(reason)));
        BypassReason::ALL.iter().map(count)
    }

    /// Every fallback reason with its count, zeros too, in the order of the enum.
    pub fn fallbacks(&self) -> impl Iterator<Item = (FallbackReason, u64)> + '_ {
        let count = |&reason| (reason, self.get(Counter::Fallback(reason)));
        FallbackReason::ALL.iter().map(count)
    }

    /// Every failure of a server with its count, zeros too, in the order of the enum.
    pub fn remote_failed(&self) -> impl Iterator<Item = (RemoteFailure, u64)> + '_ {
        let count = |&failure| (failure, self.get(Counter::RemoteFailed(failure)));
        RemoteFailure::ALL.iter().map(count)
    }

    /// Every reason for an NVRTC bypass with its count, zeros too, in the order of the enum.
    pub fn nvrtc_bypassed(&self) -> impl Iterator<Item = (NvrtcReason, u64)> + '_ {
        let count = |&reason| (reason, self.get(Counter::NvrtcBypassed(reason)));
        NvrtcReason::ALL.iter().map(count)
    }
}

#[cfg(test)]
mod tests;
