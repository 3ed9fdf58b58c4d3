//! How much the store holds, shard by shard, in a page that all processes of one cache share. A shard
//! is listed at one time and another one later, and each listing corrects what was counted for it;
//! shards that no process has listed yet are guessed from the others. Does not list anything itself.

use super::page::{MissingPage, Page, PageFormat};
use crate::files::Root;

/// Shards of a store: the first byte of a name.
pub const SHARDS: usize = 256;

/// Words of the page: the header, and then four for each row.
const CURSOR: usize = 2;
const VISITED: usize = 3;
const ROWS: usize = 16;
const ROW: usize = 4;
const BYTES: usize = 0;
const ENTRIES: usize = 1;
const RECORDS: usize = 2;
const SCANS: usize = 3;

const FORMAT: PageFormat = PageFormat {
    name: "shards",
    magic: u64::from_be_bytes(*b"PCACHESH"),
    // Three memory pages.
    words: 1536,
};
const _: () = assert!(ROWS + ROW * (SHARDS + 1) <= FORMAT.words);

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardRow {
    /// Entries and records whose names begin with this byte.
    Shard(u8),
    /// Files that are being written.
    Unfinished,
}

impl ShardRow {
    fn all() -> impl Iterator<Item = Self> {
        Self::shards().chain([Self::Unfinished])
    }

    fn shards() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self::Shard)
    }

    /// The first of its words.
    const fn first(self) -> usize {
        let row = match self {
            Self::Shard(shard) => shard as usize,
            Self::Unfinished => SHARDS,
        };
        ROWS + ROW * row
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

impl StoreSize {
    /// Artefacts and records.
    pub fn files(&self) -> u64 {
        self.entries.saturating_add(self.records)
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            records: self.records.saturating_add(other.records),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
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

/// What was counted for a row when its listing started; [`Totals::finish_scan`] compares with it.
#[derive(Clone, Copy, Debug)]
pub struct ScanStart {
    row: ShardRow,
    scans: u64,
    counted: StoreSize,
}

/// The totals of one cache directory.
#[derive(Debug)]
pub struct Totals {
    page: Page,
}

impl Totals {
    pub(super) fn open(root: &Root, missing: MissingPage) -> Self {
        Self {
            page: Page::open(root, FORMAT, missing),
        }
    }

    pub(super) fn nowhere() -> Self {
        Self {
            page: Page::private(FORMAT),
        }
    }

    /// Whether other processes see what is counted here.
    pub fn is_shared(&self) -> bool {
        self.page.is_shared()
    }

    /// Everything, or `None` where no shard has been listed since the page was made. Shards that have
    /// not been listed count as the mean of those that have: names are digests, so that every shard
    /// is a fair sample. Exact when [`Totals::unknown`] is `None`.
    pub fn size(&self) -> Option<StoreSize> {
        let (mut known, mut guessed) = (StoreSize::default(), 0);
        let all = self.all();
        for row in ShardRow::shards() {
            if all.is_known(row) {
                known = known.plus(all.size(row));
            } else {
                guessed += 1;
            }
        }
        let listed = SHARDS as u64 - guessed;
        if listed == 0 {
            return None;
        }
        let scale = |sum: u64| {
            let whole = u128::from(sum) * SHARDS as u128 / u128::from(listed);
            u64::try_from(whole).unwrap_or(u64::MAX)
        };
        let unfinished = all.size(ShardRow::Unfinished).bytes;
        Some(StoreSize {
            entries: scale(known.entries),
            records: scale(known.records),
            bytes: scale(known.bytes).saturating_add(unfinished),
        })
    }

    /// What is counted for one row, whether it has been listed or not.
    pub fn row(&self, row: ShardRow) -> StoreSize {
        size(self.page.read(row.first()))
    }

    /// A shard that has not been listed yet.
    pub fn unknown(&self) -> Option<u8> {
        let all = self.all();
        (0..=u8::MAX).find(|&shard| !all.is_known(ShardRow::Shard(shard)))
    }

    /// The shard with the most bytes as counted.
    pub fn fullest(&self) -> u8 {
        let all = self.all();
        let bytes = |&shard: &u8| all.size(ShardRow::Shard(shard)).bytes;
        (0..=u8::MAX).max_by_key(bytes).unwrap_or(0)
    }

    /// Records that a row has changed. Totals stop at zero instead of wrapping.
    pub fn change(&self, row: ShardRow, change: StoreChange) {
        // What cannot be counted in time is found by the next listing.
        let _ = self.page.change(row.first(), |words| shift(words, change));
    }

    /// To be called before the files of `row` are listed.
    pub fn begin_scan(&self, row: ShardRow) -> ScanStart {
        let words: RowWords = self.page.read(row.first());
        ScanStart {
            row,
            scans: words[SCANS],
            counted: size(words),
        }
    }

    /// Corrects a row by the difference between `found` and what was counted when the listing started,
    /// so that changes made meanwhile by others stay counted. Of listings that overlap, the first to
    /// end corrects; the others would correct the same error twice.
    pub fn finish_scan(&self, start: ScanStart, found: StoreSize) {
        let change = StoreChange {
            entries: difference(found.entries, start.counted.entries),
            records: difference(found.records, start.counted.records),
            bytes: difference(found.bytes, start.counted.bytes),
        };
        let _ = self.page.change(start.row.first(), |words| {
            if words[SCANS] == start.scans {
                words[SCANS] = start.scans.wrapping_add(1).max(1);
                shift(words, change);
            }
        });
    }

    /// The shard whose turn it is, for every process of the cache; `steps` shards are done then.
    pub fn take_turns(&self, steps: u64) -> u8 {
        let taken = self.page.change(CURSOR, |[word]| {
            let turn = *word;
            *word = turn.wrapping_add(steps);
            turn
        });
        taken.unwrap_or(0) as u8
    }

    /// Whether `seconds` have passed by `now` since a process last asked this and was told so. The
    /// first to ask is told, and so is one that finds a time that lies ahead.
    pub fn is_time(&self, now: u64, seconds: u64) -> bool {
        claim(&self.page, VISITED, now, seconds)
    }

    /// Listings that have ended, over all rows.
    pub fn scans(&self) -> u64 {
        let all = self.all();
        let scans = |row| all.words(row)[SCANS];
        ShardRow::all().map(scans).fold(0, u64::saturating_add)
    }

    fn all(&self) -> AllTotals {
        AllTotals(self.page.all(FORMAT))
    }
}

/// The words of one row.
type RowWords = [u64; ROW];

/// Every row, as read at once.
struct AllTotals(Vec<u64>);

impl AllTotals {
    fn words(&self, row: ShardRow) -> RowWords {
        let first = row.first();
        std::array::from_fn(|at| self.0[first + at])
    }

    fn size(&self, row: ShardRow) -> StoreSize {
        size(self.words(row))
    }

    fn is_known(&self, row: ShardRow) -> bool {
        self.words(row)[SCANS] > 0
    }
}

fn size(words: RowWords) -> StoreSize {
    StoreSize {
        entries: words[ENTRIES],
        records: words[RECORDS],
        bytes: words[BYTES],
    }
}

fn shift(words: &mut RowWords, change: StoreChange) {
    let changes = [
        (ENTRIES, change.entries),
        (RECORDS, change.records),
        (BYTES, change.bytes),
    ];
    for (at, change) in changes {
        words[at] = words[at].saturating_add_signed(change);
    }
}

/// Sets the word at `slot` to `now` unless it holds a time less than `seconds` ago; whether it did. Of
/// several processes one does.
pub(super) fn claim(page: &Page, slot: usize, now: u64, seconds: u64) -> bool {
    let is_recent = |last: u64| last <= now && now - last < seconds;
    let [last] = page.read(slot);
    let claim = |[word]: &mut [u64; 1]| {
        let is_first = !is_recent(*word);
        if is_first {
            *word = now;
        }
        is_first
    };
    !is_recent(last) && page.change(slot, claim).unwrap_or(false)
}

/// `to - from`, clamped to what an `i64` holds; real totals are far from either end.
fn difference(to: u64, from: u64) -> i64 {
    let exact = i128::from(to) - i128::from(from);
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::{ShardRow, StoreChange, StoreSize, Totals};

    fn bytes_counted(bytes: i64) -> StoreChange {
        StoreChange {
            bytes,
            ..StoreChange::default()
        }
    }

    fn holding(bytes: u64) -> StoreSize {
        StoreSize {
            bytes,
            ..StoreSize::default()
        }
    }

    fn list(totals: &Totals, row: ShardRow, bytes: u64) {
        totals.finish_scan(totals.begin_scan(row), holding(bytes));
    }

    #[test]
    fn totals_never_go_below_zero() {
        let totals = Totals::nowhere();
        totals.change(ShardRow::Shard(1), bytes_counted(5));
        totals.change(ShardRow::Shard(1), bytes_counted(-9));
        assert_eq!(totals.row(ShardRow::Shard(1)).bytes, 0);
        totals.change(ShardRow::Shard(1), bytes_counted(4));
        assert_eq!(totals.row(ShardRow::Shard(1)).bytes, 4);
    }

    #[test]
    fn scan_corrects_a_row_and_keeps_changes_made_meanwhile() {
        let totals = Totals::nowhere();
        let row = ShardRow::Shard(7);
        totals.change(row, bytes_counted(10));
        let start = totals.begin_scan(row);
        let late = totals.begin_scan(row);
        totals.change(row, bytes_counted(3));
        totals.finish_scan(start, holding(100));
        assert_eq!(totals.row(row).bytes, 103);
        // A second scan over the same files has nothing left to correct.
        totals.finish_scan(late, holding(100));
        assert_eq!(totals.row(row).bytes, 103);
    }

    #[test]
    fn shards_that_were_not_listed_count_as_the_mean() {
        let totals = Totals::nowhere();
        assert_eq!(totals.size(), None);
        list(&totals, ShardRow::Shard(0), 30);
        list(&totals, ShardRow::Shard(9), 50);
        list(&totals, ShardRow::Unfinished, 5);
        assert_eq!(totals.size().unwrap().bytes, 40 * 256 + 5);
        assert_eq!(totals.unknown(), Some(1));
        for shard in 0..=255 {
            list(&totals, ShardRow::Shard(shard), u64::from(shard));
        }
        assert_eq!(totals.unknown(), None);
        assert_eq!(totals.size().unwrap().bytes, 255 * 128 + 5);
        assert_eq!(totals.fullest(), 255);
    }

    #[test]
    fn one_asker_a_minute_is_told_that_it_is_time() {
        let totals = Totals::nowhere();
        assert!(totals.is_time(1000, 60));
        assert!(!totals.is_time(1000, 60) && !totals.is_time(1059, 60));
        assert!(totals.is_time(1060, 60));
        assert!(totals.is_time(10, 60), "the clock was set back");
        assert!(!totals.is_time(11, 60));
    }
}
