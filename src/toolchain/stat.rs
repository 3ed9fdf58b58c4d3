//! What `stat` tells of a file, by which a digest taken earlier may be trusted.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// A file whose times are younger than this when it is looked at may change again within one tick
/// of its file system's clock; 2 s is the grain of the coarsest one in use (FAT).
const GRAIN: Duration = Duration::from_secs(2);

/// Identity and times of a file. Times in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: i64,
    ctime: i64,
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Stat {
    /// Whether the file was last changed well before `now`, so that an equal stat later means
    /// equal content.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        self.is_older_than(now.checked_sub(GRAIN).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// Whether both times lie before `moment`, which is one of the clock that stamps files. Where that
    /// counts whole seconds, so does the answer.
    pub fn is_older_than(&self, moment: SystemTime) -> bool {
        const SECOND: i64 = 1_000_000_000;
        let whole = self.mtime % SECOND == 0 && self.ctime % SECOND == 0;
        let grain = if whole { 2 * SECOND } else { 0 };
        let since = moment
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let limit = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        self.mtime.saturating_add(grain) < limit && self.ctime.saturating_add(grain) < limit
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
}
