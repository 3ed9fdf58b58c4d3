//! Counts how compiles end, in a page that all processes of one cache share. Opening never fails:
//! without a usable page the counts go to memory of this process and are lost with it.
//! Does not know what a hit is or how the store keeps its bytes; `docs/store.md#counters` draws
//! the page.

mod page;

use crate::outcome::{BypassReason, FallbackReason};
use page::{Missing, Page, WORDS};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the names of pages begin that are being made in `tmp/`.
pub const PAGE_PREFIX: &str = "counters-";

/// Room for reasons of one kind; slots are never reused for another meaning.
const REASONS: usize = 64;

/// First word of each group in the page. Words 0 to 15 are the header.
const OUTCOMES: usize = 16;
const STORE: usize = 32;
const BYPASSES: usize = 64;
const FALLBACKS: usize = BYPASSES + REASONS;
const STAGES: usize = FALLBACKS + REASONS;

const STORE_BYTES: usize = STORE;
const STORE_ENTRIES: usize = STORE + 1;
const STORE_RECORDS: usize = STORE + 2;
const STORE_SCANS: usize = STORE + 3;
const STORE_EVICTED: usize = STORE + 4;

const _: () = assert!(BypassReason::ALL.len() <= REASONS);
const _: () = assert!(FallbackReason::ALL.len() <= REASONS);
const _: () = assert!(STAGES + 2 * 32 <= WORDS);

/// A step of nvcc whose result is kept by itself.
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
    /// The host compiler on what cudafe++ wrote.
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

/// What can be counted.
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
    /// Trouble with the cache itself: damaged, unreadable or unwritable. The compile went on.
    Error,
    /// Compiled correctly, but not stored.
    Uncacheable,
    /// Went straight to the real nvcc.
    Bypassed(BypassReason),
    /// Handed to the real nvcc after it was begun.
    Fallback(FallbackReason),
    /// A stage whose result was in the cache.
    StageHit(StageKind),
    /// A stage that was run.
    StageMiss(StageKind),
    /// Entries and records removed to stay below the size cap.
    Evicted,
}

impl Counter {
    /// The word of the page. Enum discriminants follow the order of each `ALL`, which a test holds.
    const fn slot(self) -> usize {
        match self {
            Self::DirectHit => OUTCOMES,
            Self::PreprocessedHit => OUTCOMES + 1,
            Self::Miss => OUTCOMES + 2,
            Self::Coalesced => OUTCOMES + 3,
            Self::Error => OUTCOMES + 4,
            Self::Uncacheable => OUTCOMES + 5,
            Self::Bypassed(reason) => BYPASSES + reason as usize,
            Self::Fallback(reason) => FALLBACKS + reason as usize,
            Self::StageHit(kind) => STAGES + 2 * kind as usize,
            Self::StageMiss(kind) => STAGES + 2 * kind as usize + 1,
            Self::Evicted => STORE_EVICTED,
        }
    }
}

/// What the store holds: the same shape for totals read and for totals found by a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Artefacts.
    pub entries: u64,
    /// Result records.
    pub records: u64,
    /// Bytes of artefacts, records and files being written.
    pub bytes: u64,
}

/// A change of [`StoreSize`]; signed, because a put may replace something larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreChange {
    /// Artefacts more or fewer.
    pub entries: i64,
    /// Records more or fewer.
    pub records: i64,
    /// Bytes more or fewer.
    pub bytes: i64,
}

/// The totals when a scan of the store began; [`Stats::finish_scan`] compares with them.
#[derive(Clone, Copy, Debug)]
pub struct ScanStart {
    scans: u64,
    counted: StoreSize,
}

impl ScanStart {
    /// Whether no scan has ended yet, so that the totals mean nothing.
    pub fn is_first(&self) -> bool {
        self.scans == 0
    }
}

/// The counters of one cache directory.
#[derive(Debug)]
pub struct Stats {
    page: Page,
}

impl Stats {
    /// Opens the counters of the cache in `dir`, making directory and page where they are missing.
    /// Never fails; without a page it counts into nowhere.
    pub fn open(dir: &Path) -> Self {
        Self {
            page: Page::open(dir, Missing::Create),
        }
    }

    /// Like [`Stats::open`], but makes nothing: a cache that does not exist reads as zeros.
    pub fn open_existing(dir: &Path) -> Self {
        Self {
            page: Page::open(dir, Missing::Leave),
        }
    }

    /// Counters that only this process sees.
    pub fn nowhere() -> Self {
        Self {
            page: Page::private(),
        }
    }

    /// Whether other processes see what is counted here.
    pub fn is_shared(&self) -> bool {
        self.page.is_shared()
    }

    /// Adds `n` to `counter`.
    pub fn add(&self, counter: Counter, n: u64) {
        self.word(counter.slot()).fetch_add(n, Ordering::Relaxed);
    }

    /// A copy of all counters. Each is exact; together they are no single moment's.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            words: (0..WORDS)
                .map(|slot| self.word(slot).load(Ordering::Relaxed))
                .collect(),
        }
    }

    /// Sets every count to zero. What the store holds is kept, since the files are still there.
    pub fn zero(&self) {
        let counts = (OUTCOMES..STORE).chain(STORE_EVICTED..WORDS);
        for slot in counts {
            self.word(slot).store(0, Ordering::Relaxed);
        }
    }

    /// What the store holds, or `None` before the first scan has filled in a new page.
    pub fn store_size(&self) -> Option<StoreSize> {
        let now = self.begin_scan();
        (!now.is_first()).then_some(now.counted)
    }

    /// Records that the store has changed. Totals stop at zero instead of wrapping.
    pub fn change_store(&self, change: StoreChange) {
        self.shift(STORE_ENTRIES, change.entries);
        self.shift(STORE_RECORDS, change.records);
        self.shift(STORE_BYTES, change.bytes);
    }

    /// To be called before the files of the store are listed.
    pub fn begin_scan(&self) -> ScanStart {
        let read = |slot| self.word(slot).load(Ordering::Relaxed);
        ScanStart {
            scans: read(STORE_SCANS),
            counted: StoreSize {
                entries: read(STORE_ENTRIES),
                records: read(STORE_RECORDS),
                bytes: read(STORE_BYTES),
            },
        }
    }

    /// Corrects the totals by the difference between `found` and what was counted when the scan
    /// began, so that changes made meanwhile by others stay counted. Of scans that overlap, the
    /// first to end corrects; the others would correct the same error twice.
    pub fn finish_scan(&self, start: ScanStart, found: StoreSize) {
        let claimed = self.word(STORE_SCANS).compare_exchange(
            start.scans,
            start.scans.wrapping_add(1).max(1),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if claimed.is_ok() {
            self.change_store(StoreChange {
                entries: difference(found.entries, start.counted.entries),
                records: difference(found.records, start.counted.records),
                bytes: difference(found.bytes, start.counted.bytes),
            });
        }
    }

    fn shift(&self, slot: usize, change: i64) {
        if change == 0 {
            return;
        }
        let add = |value: u64| Some(value.saturating_add_signed(change));
        // The closure always gives a value, so the update cannot be refused.
        let _ = self
            .word(slot)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn word(&self, slot: usize) -> &AtomicU64 {
        &self.page.words()[slot]
    }
}

/// All counters as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    words: Vec<u64>,
}

impl Snapshot {
    /// One counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.words[counter.slot()]
    }

    /// What the store holds; zeros before the first scan.
    pub fn store_size(&self) -> StoreSize {
        StoreSize {
            entries: self.words[STORE_ENTRIES],
            records: self.words[STORE_RECORDS],
            bytes: self.words[STORE_BYTES],
        }
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
}

/// `to - from`, clamped to what an `i64` holds; real totals are far from either end.
fn difference(to: u64, from: u64) -> i64 {
    let exact = i128::from(to) - i128::from(from);
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests;
