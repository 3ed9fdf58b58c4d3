//! The size of the store, shard by shard, in a page that all processes of one cache share. Shards are
//! listed at different times, and each listing corrects the totals of its shard;
//! those of shards that no process has listed yet are estimated from the others. Does not list anything itself.

use super::page::{MissingPage, Page, PageFormat};
use crate::files::Root;

/// Number of shards of a store: one for each first byte of a name.
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

/// A row of the page: the files that are counted together.
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

    /// The index of its first word.
    const fn first(self) -> usize {
        let row = match self {
            Self::Shard(shard) => shard as usize,
            Self::Unfinished => SHARDS,
        };
        ROWS + ROW * row
    }
}

/// The size of a store or of a part of it, as counted or as found by a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Number of artefacts.
    pub entries: u64,
    /// Number of records.
    pub records: u64,
    /// Bytes of artefacts, records and unfinished files.
    pub bytes: u64,
}

impl StoreSize {
    /// Number of artefacts and records.
    pub fn files(&self) -> u64 {
        self.entries.saturating_add(self.records)
    }

    /// The sum of two sizes.
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
    /// Change of the number of artefacts.
    pub entries: i64,
    /// Change of the number of records.
    pub records: i64,
    /// Change of the number of bytes.
    pub bytes: i64,
}

/// The counts of a row when its listing started, for [`Totals::finish_scan`].
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

    /// Whether the totals are shared with other processes.
    pub fn is_shared(&self) -> bool {
        self.page.is_shared()
    }

    /// The size of the store, or `None` if no shard has been listed since the page was created. Shards that have
    /// not been listed are estimated by the mean of the others: names are digests, so every shard
    /// is a fair sample. Exact if [`Totals::unknown`] is `None`.
    pub fn size(&self) -> Option<StoreSize> {
        let (mut sum, mut listed) = (StoreSize::default(), 0_u64);
        let rows = self.all();
        for row in ShardRow::shards().filter(|row| rows.is_known(*row)) {
            sum = sum.plus(rows.size(row));
            listed += 1;
        }
        if listed == 0 {
            return None;
        }
        let scale = |part: u64| {
            let whole = u128::from(part) * SHARDS as u128 / u128::from(listed);
            u64::try_from(whole).unwrap_or(u64::MAX)
        };
        let unfinished = rows.size(ShardRow::Unfinished).bytes;
        Some(StoreSize {
            entries: scale(sum.entries),
            records: scale(sum.records),
            bytes: scale(sum.bytes).saturating_add(unfinished),
        })
    }

    /// The counts of one row, whether it has been listed or not.
    pub fn row(&self, row: ShardRow) -> StoreSize {
        size(self.page.read(row.first()))
    }

    /// A shard that has not been listed yet.
    pub fn unknown(&self) -> Option<u8> {
        let rows = self.all();
        (0..=u8::MAX).find(|&shard| !rows.is_known(ShardRow::Shard(shard)))
    }

    /// The shard with the most counted bytes.
    pub fn fullest(&self) -> u8 {
        let rows = self.all();
        let bytes = |&shard: &u8| rows.size(ShardRow::Shard(shard)).bytes;
        (0..=u8::MAX).max_by_key(bytes).unwrap_or(0)
    }

    /// Records that a row has changed. Totals stop at zero instead of wrapping.
    pub fn change(&self, row: ShardRow, change: StoreChange) {
        // Best effort: the next listing corrects what is not counted now.
        let _ = self.page.change(row.first(), |words| shift(words, change));
    }

    /// Call before the files of `row` are listed.
    pub fn begin_scan(&self, row: ShardRow) -> ScanStart {
        let words: RowWords = self.page.read(row.first());
        ScanStart {
            row,
            scans: words[SCANS],
            counted: size(words),
        }
    }

    /// Corrects a row by the difference between the `listed` size and the counts when the listing started,
    /// so that changes by others meanwhile stay counted. If listings overlap, only the first to
    /// end corrects the row; the others would correct the same error twice.
    pub fn finish_scan(&self, start: ScanStart, listed: StoreSize) {
        let change = StoreChange {
            entries: difference(listed.entries, start.counted.entries),
            records: difference(listed.records, start.counted.records),
            bytes: difference(listed.bytes, start.counted.bytes),
        };
        let _ = self.page.change(start.row.first(), |words| {
            if words[SCANS] == start.scans {
                words[SCANS] = start.scans.wrapping_add(1).max(1);
                shift(words, change);
            }
        });
    }

    /// The shard whose turn it is, for all processes of the cache together. Moves the turn on by `steps` shards.
    pub fn take_turns(&self, steps: u64) -> u8 {
        let turn = self.page.change(CURSOR, |[word]| {
            let turn = *word;
            *word = turn.wrapping_add(steps);
            turn
        });
        turn.unwrap_or(0) as u8
    }

    /// Whether `seconds` have passed by `now` since this last returned true to a process. Also true for the
    /// first call, and if the stored time lies in the future.
    pub fn is_time(&self, now: u64, seconds: u64) -> bool {
        claim(&self.page, VISITED, now, seconds)
    }

    /// The number of finished listings, over all rows.
    pub fn scans(&self) -> u64 {
        let rows = self.all();
        let scans = |row| rows.words(row)[SCANS];
        ShardRow::all().map(scans).fold(0, u64::saturating_add)
    }

    fn all(&self) -> AllTotals {
        AllTotals(self.page.all(FORMAT))
    }
}

/// The words of one row.
type RowWords = [u64; ROW];

/// All rows, read at once.
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

/// Sets the word at `slot` to `now` unless it holds a time less than `seconds` ago. Returns whether it did, which is
/// true for only one of several processes.
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

/// `to - from`, clamped to the range of `i64`; real totals are far from its ends.
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
