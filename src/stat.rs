//! The `stat` of a file, which decides whether a digest that was taken earlier may be trusted, and the clock with which
//! the kernel stamps files.

use rustix::fs::{Statx, StatxTimestamp, makedev};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// A file whose times are younger than this when it is examined may change again within one tick
/// of its file system's clock, or be in the middle of a change: `write` sets the times first and
/// copies the bytes afterwards, possibly much later. 2 s is the granularity of the coarsest
/// clock in use (FAT); kernels tick every 10 ms or faster.
const GRAIN: Duration = Duration::from_secs(2);

/// More than the time between two ticks of any kernel's clock, in milliseconds.
const LONGEST_TICK: u32 = 20;

const SECOND: i64 = 1_000_000_000;

/// A time of the clock with which the kernel stamps files, which lags behind that of [`SystemTime::now`]. A file that
/// changes after the time was taken is never older than it. A type of its own, because compared with a time of the
/// finer clock, such a file would look older.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CoarseTime {
    /// Nanoseconds since 1970.
    nanoseconds: i64,
}

impl CoarseTime {
    /// The time of the last tick.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Self {
            nanoseconds: nanoseconds(now.tv_sec, now.tv_nsec),
        }
    }

    /// A time after `earlier`, so that any file written before `earlier` is older, however shortly before it was
    /// written. Waits for the next ticks if necessary, but not for a clock that stands still. `earlier` is of the finer
    /// clock, with which kernels since 6.13 stamp a file that changes soon after its `stat` was read.
    pub fn after(earlier: SystemTime) -> Self {
        let earlier = Self::of(earlier);
        let mut now = Self::now();
        for _ in 0..LONGEST_TICK {
            if now > earlier {
                break;
            }
            sleep(Duration::from_millis(1));
            now = Self::now();
        }
        now
    }

    /// Nanoseconds since 1970.
    #[cfg(test)]
    pub(crate) fn nanoseconds(self) -> i64 {
        self.nanoseconds
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.nanoseconds.div_euclid(SECOND)
    }

    /// The time `span` later. For tests, which cannot wait that long.
    pub fn plus(self, span: Duration) -> Self {
        let span = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Self {
            nanoseconds: self.nanoseconds.saturating_add(span),
        }
    }

    fn minus(self, span: Duration) -> Self {
        let span = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Self {
            nanoseconds: self.nanoseconds.saturating_sub(span),
        }
    }

    pub(crate) fn of(time: SystemTime) -> Self {
        let elapsed = time.duration_since(SystemTime::UNIX_EPOCH);
        let nanoseconds = elapsed.unwrap_or_default().as_nanos();
        Self {
            nanoseconds: i64::try_from(nanoseconds).unwrap_or(i64::MAX),
        }
    }
}

/// Identity and times of a file. Times in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[u64; 5]", into = "[u64; 5]")]
pub struct Stat {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: i64,
    ctime: i64,
}

impl From<Stat> for [u64; 5] {
    fn from(stat: Stat) -> Self {
        stat.words()
    }
}

impl From<[u64; 5]> for Stat {
    fn from(words: [u64; 5]) -> Self {
        Self::from_words(words)
    }
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The answer must hold at least the basic stats.
impl From<&Statx> for Stat {
    fn from(statx: &Statx) -> Self {
        let time = |time: &StatxTimestamp| nanoseconds(time.tv_sec, time.tv_nsec.into());
        Self {
            dev: makedev(statx.stx_dev_major, statx.stx_dev_minor),
            ino: statx.stx_ino,
            size: statx.stx_size,
            mtime: time(&statx.stx_mtime),
            ctime: time(&statx.stx_ctime),
        }
    }
}

/// A time in seconds and nanoseconds, as nanoseconds.
fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(SECOND).saturating_add(rest)
}

impl Stat {
    /// Whether the last change of the file was well before `started`, so that an equal stat later means
    /// equal content. `started` must be a time before the file was examined.
    pub fn is_stable(&self, started: CoarseTime) -> bool {
        self.is_older_than(started.minus(GRAIN))
    }

    /// Whether both times are before `time`. If both are whole seconds, as on a file system without fractions, two more
    /// seconds must have passed. A modification time in the future was set by a program, not by a write, so
    /// the change time alone counts then.
    pub fn is_older_than(&self, time: CoarseTime) -> bool {
        let whole = self.mtime % SECOND == 0 && self.ctime % SECOND == 0;
        let grain = if whole { 2 * SECOND } else { 0 };
        let limit = time.nanoseconds;
        let is_before = |at: i64| at.saturating_add(grain) < limit;
        is_before(self.ctime) && (is_before(self.mtime) || self.is_dated_ahead())
    }

    /// Whether the modification time has not come yet, by more than clocks differ.
    fn is_dated_ahead(&self) -> bool {
        self.mtime > CoarseTime::now().nanoseconds.saturating_add(SECOND)
    }

    /// Whether the content was last changed before `time`.
    pub fn is_written_before(&self, time: CoarseTime) -> bool {
        self.mtime < time.nanoseconds
    }

    /// The second in which the content was last changed.
    pub fn second_of_writing(&self) -> i64 {
        self.mtime.div_euclid(SECOND)
    }

    /// Whether the change time has no fraction of a second. It comes then from a file system that keeps none, or
    /// was written into an image by a tool, which may have written the same time into another image.
    pub fn is_changed_on_the_second(&self) -> bool {
        self.ctime % SECOND == 0
    }

    /// Device and inode. Two paths with the same identity lead to one file.
    pub fn identity(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// All fields as words, for tables: device, inode, size, modification time, change time.
    pub fn words(&self) -> [u64; 5] {
        let [mtime, ctime] = [self.mtime, self.ctime].map(i64::cast_unsigned);
        [self.dev, self.ino, self.size, mtime, ctime]
    }

    /// The inverse of [`Stat::words`].
    pub fn from_words([dev, ino, size, mtime, ctime]: [u64; 5]) -> Self {
        let [mtime, ctime] = [mtime, ctime].map(u64::cast_signed);
        Self {
            dev,
            ino,
            size,
            mtime,
            ctime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CoarseTime, Stat};
    use std::time::Duration;

    #[test]
    fn a_file_just_written_is_not_stable_and_an_old_one_is() {
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        let stat = Stat::from(&file.as_file().metadata().expect("its metadata"));
        assert!(!stat.is_stable(CoarseTime::now()));
        assert!(stat.is_stable(CoarseTime::now().plus(Duration::from_secs(60))));
    }

    #[test]
    fn a_file_from_the_future_is_as_old_as_its_last_change() {
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        let ahead = std::time::SystemTime::now() + Duration::from_secs(3600);
        file.as_file().set_modified(ahead).expect("a time");
        let stat = Stat::from(&file.as_file().metadata().expect("its metadata"));
        assert!(!stat.is_older_than(CoarseTime::now()));
        assert!(stat.is_older_than(CoarseTime::now().plus(Duration::from_secs(60))));
    }

    #[test]
    fn words_hold_times_before_the_epoch() {
        let words = [1, 2, 3, (-5_i64).cast_unsigned(), 7];
        assert_eq!(Stat::from_words(words).words(), words);
        assert!(!Stat::from_words(words).is_changed_on_the_second());
        assert!(Stat::from_words([1, 2, 3, 4, 0]).is_changed_on_the_second());
    }
}
