//! Whether what is on the disk now is what a compile has read: nothing that counts has changed since
//! it began. Compares times with those of the clock that stamps files.

use super::lookups::{Doubt, Lookups};
use crate::stat::Stat;
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// More milliseconds than there are between two ticks of any kernel's clock.
const LONGEST_TICK: u32 = 20;

/// The time of the clock by which the kernel stamps files, which lags behind the finer one: what
/// changes from now on is not older.
pub fn stamp_time() -> SystemTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

/// A time of that clock after `earlier`, waiting for its next ticks if need be: what was written before `earlier`
/// is older, however short before that was. `earlier` is of the finer clock, by which kernels since 6.13 stamp a
/// file that changes soon after it was looked at. A clock that stands still is not waited for.
pub fn stamp_after(earlier: SystemTime) -> SystemTime {
    let mut now = stamp_time();
    for _ in 0..LONGEST_TICK {
        if now > earlier {
            break;
        }
        sleep(Duration::from_millis(1));
        now = stamp_time();
    }
    now
}

/// Checks every file of `lookups`, everything that only the disk told, and the directories and links
/// on the way.
///
/// # Errors
/// Names what changed after `began`.
pub fn check(lookups: &Lookups, began: SystemTime) -> Result<(), Doubt> {
    for path in lookups.files.iter().chain(&lookups.settled) {
        let spelled = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let is_older =
            fs::metadata(spelled).is_ok_and(|found| Stat::from(&found).is_older_than(began));
        if !is_older {
            return Err(format!("{} changed during the compile", path.display()));
        }
    }
    let known = lookups.files.iter().chain(&lookups.settled);
    let pairs = lookups.same.iter().flat_map(|(one, other)| [one, other]);
    let mut ways: Vec<_> = known
        .chain(pairs)
        .chain(&lookups.distinct)
        .cloned()
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for step in way.ancestors() {
            // The ancestors of what was seen were seen with it.
            if step.as_os_str().is_empty() || !seen.insert(step.to_owned()) {
                break;
            }
            let found = fs::symlink_metadata(step).ok();
            if found.as_ref().is_none_or(|found| has_moved(found, began)) {
                return Err(format!("{} moved during the compile", step.display()));
            }
            ways.extend(found.and_then(|found| target(step, &found)));
        }
    }
    Ok(())
}

/// Where a link leads, itself perhaps a link.
fn target(step: &Path, found: &Metadata) -> Option<PathBuf> {
    let target = found.is_symlink().then(|| fs::read_link(step).ok())??;
    Some(step.parent()?.join(target))
}

/// Whether a directory, or a link, may have come to its place since `began`. A rename changes the
/// time of the inode and not that of the contents; a new file changes both.
fn has_moved(found: &Metadata, began: SystemTime) -> bool {
    let is_older = Stat::from(found).is_older_than(began);
    let written = SystemTime::UNIX_EPOCH
        + Duration::new(
            u64::try_from(found.mtime()).unwrap_or_default(),
            u32::try_from(found.mtime_nsec()).unwrap_or_default(),
        );
    !is_older && (found.is_symlink() || written < began)
}

#[cfg(test)]
mod tests {
    use super::{check, stamp_after, stamp_time};
    use crate::includes::lookups::Lookups;
    use std::fs;
    use std::thread::sleep;
    use std::time::{Duration, SystemTime};

    /// Longer than a tick of any kernel.
    fn wait() {
        sleep(Duration::from_millis(30));
    }

    #[test]
    fn what_was_written_before_an_earlier_time_is_older_than_the_next_tick() {
        let dir = tempfile::tempdir().unwrap();
        let mut lookups = Lookups::default();
        lookups.files.insert(dir.path().join("f"));
        for _ in 0..20 {
            fs::write(dir.path().join("f"), "").unwrap();
            let earlier = SystemTime::now();
            let mut began = stamp_after(earlier);
            // On a busy virtual machine the clock stands still for longer than a compile waits.
            while began <= earlier {
                began = stamp_after(earlier);
            }
            assert_eq!(check(&lookups, began), Ok(()));
        }
    }

    #[test]
    fn changes_after_the_beginning_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        fs::write(a.join("f"), "").unwrap();
        fs::write(b.join("f"), "").unwrap();
        let mut lookups = Lookups::default();
        lookups.files.insert(a.join("f"));
        wait();
        let began = stamp_time();
        assert_eq!(check(&lookups, began), Ok(()));
        wait();
        fs::write(a.join("output"), "").unwrap();
        assert_eq!(
            check(&lookups, began),
            Ok(()),
            "another file in the directory"
        );
        lookups.settled.insert(a.clone());
        assert!(
            check(&lookups, began).is_err(),
            "a directory that must be still"
        );
        lookups.settled.clear();
        fs::rename(&a, dir.path().join("c")).unwrap();
        fs::rename(&b, &a).unwrap();
        assert!(check(&lookups, began).is_err(), "another directory");
        wait();
        let began = stamp_time();
        assert_eq!(check(&lookups, began), Ok(()));
        wait();
        fs::write(a.join("f"), "changed").unwrap();
        assert!(check(&lookups, began).is_err(), "a file");
    }
}
