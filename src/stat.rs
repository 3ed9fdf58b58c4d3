//! What `stat` tells of a file, by which a digest taken earlier may be trusted. Does not look at
//! any file itself.

use rustix::fs::{Statx, StatxTimestamp, makedev};
use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// A file whose times are younger than this when it is looked at may change again within one tick
/// of its file system's clock, or be in the middle of a change: `write` sets the times first and
/// copies the bytes afterwards, whenever the scheduler lets it. 2 s is the grain of the coarsest
/// clock in use (FAT); kernels tick every 10 ms or faster.
const GRAIN: Duration = Duration::from_secs(2);

const SECOND: i64 = 1_000_000_000;

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

/// Of an answer that holds at least the basic stats.
impl From<&Statx> for Stat {
    fn from(found: &Statx) -> Self {
        let time = |time: &StatxTimestamp| nanoseconds(time.tv_sec, time.tv_nsec.into());
        Self {
            dev: makedev(found.stx_dev_major, found.stx_dev_minor),
            ino: found.stx_ino,
            size: found.stx_size,
            mtime: time(&found.stx_mtime),
            ctime: time(&found.stx_ctime),
        }
    }
}

/// Seconds and the rest, as one number.
fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(SECOND).saturating_add(rest)
}

impl Stat {
    /// Whether the file was last changed well before `now`, so that an equal stat later means
    /// equal content. `now` must be a time before the file was looked at.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        self.is_older_than(now.checked_sub(GRAIN).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// Whether both times lie before `moment`, which is one of the clock that stamps files. Where that
    /// counts whole seconds, so does the answer.
    pub fn is_older_than(&self, moment: SystemTime) -> bool {
        let whole = self.mtime % SECOND == 0 && self.ctime % SECOND == 0;
        let grain = if whole { 2 * SECOND } else { 0 };
        let since = moment
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let limit = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        self.mtime.saturating_add(grain) < limit && self.ctime.saturating_add(grain) < limit
    }

    /// Whether the change time has no fraction of a second: that of a file system which keeps none,
    /// or one written into an image by a tool, which may have written the same into another.
    pub fn is_changed_on_the_second(&self) -> bool {
        self.ctime % SECOND == 0
    }

    /// Device and inode: two names with the same are one file.
    pub fn identity(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Everything, for tables of words: device, inode, size, modification time, change time.
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
    use super::Stat;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_file_just_written_is_not_settled_and_an_old_one_is() {
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        let stat = Stat::from(&file.as_file().metadata().expect("its metadata"));
        assert!(!stat.is_settled(SystemTime::now()));
        assert!(stat.is_settled(SystemTime::now() + Duration::from_secs(60)));
    }

    #[test]
    fn words_hold_times_before_the_epoch() {
        let words = [1, 2, 3, (-5_i64).cast_unsigned(), 7];
        assert_eq!(Stat::from_words(words).words(), words);
        assert!(!Stat::from_words(words).is_changed_on_the_second());
        assert!(Stat::from_words([1, 2, 3, 4, 0]).is_changed_on_the_second());
    }
}
