//! Checks that nothing a compile has read from the disk has changed since the compile started.

use super::lookups::{Lookups, NotStored};
use super::name_watch::ChangedNames;
use crate::stat::{CoarseTime, Stat};
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Checks every file of `lookups`, every path that was only probed on disk, and the directories and links
/// on the way to them. `changed` are the names that have come and gone in directories since `started`.
///
/// # Errors
/// The path that changed after `started`.
pub fn check(
    lookups: &Lookups,
    started: CoarseTime,
    changed: &ChangedNames,
) -> Result<(), NotStored> {
    let is_older = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| Stat::from(&metadata).is_older_than(started))
    };
    let files = lookups.files.iter().chain(&lookups.probed);
    if let Some(path) = files.clone().find(|path| !is_older(spelled(path))) {
        return Err(format!("{} changed during the compile", path.display()));
    }
    for (directory, names) in &lookups.asked {
        let path = spelled(directory);
        if !is_older(path) && !changed.spare(path, names.iter()) {
            return Err(format!("{} changed during the compile", path.display()));
        }
    }
    let pairs = lookups.same.iter().flat_map(|(one, other)| [one, other]);
    let mut paths: Vec<_> = files
        .chain(lookups.asked.keys())
        .chain(pairs)
        .chain(&lookups.distinct)
        .cloned()
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = paths.pop() {
        for step in path.ancestors() {
            // The ancestors of a path that was seen were seen with it.
            if step.as_os_str().is_empty() || !seen.insert(step.to_owned()) {
                break;
            }
            let metadata = fs::symlink_metadata(step).ok();
            let is_changed = metadata
                .as_ref()
                .is_none_or(|metadata| has_moved(metadata, started));
            if is_changed {
                return Err(format!("{} moved during the compile", step.display()));
            }
            paths.extend(metadata.and_then(|metadata| target(step, &metadata)));
        }
    }
    Ok(())
}

/// The path as system calls take it: the working directory is an empty path elsewhere.
fn spelled(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// The path to which a link leads, which may be a link too; `None` if `step` is no link.
fn target(step: &Path, metadata: &Metadata) -> Option<PathBuf> {
    let target = metadata.is_symlink().then(|| fs::read_link(step).ok())??;
    Some(step.parent()?.join(target))
}

/// Whether a directory or a link may have been moved or created here since `started`. A rename changes
/// the change time of the inode but not the time of its content; a new file changes both.
fn has_moved(metadata: &Metadata, started: CoarseTime) -> bool {
    let stat = Stat::from(metadata);
    !stat.is_older_than(started) && (metadata.is_symlink() || stat.is_written_before(started))
}

#[cfg(test)]
mod tests {
    use crate::includes::lookups::{Lookups, NotStored};
    use crate::includes::name_watch::ChangedNames;
    use crate::stat::CoarseTime;
    use std::fs;
    use std::thread::sleep;
    use std::time::{Duration, SystemTime};

    fn check(lookups: &Lookups, started: CoarseTime) -> Result<(), NotStored> {
        super::check(lookups, started, &ChangedNames::default())
    }

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
            let mut started = CoarseTime::after(earlier);
            // On a busy virtual machine the clock stands still for longer than a compile waits.
            while started <= CoarseTime::of(earlier) {
                started = CoarseTime::after(earlier);
            }
            assert_eq!(check(&lookups, started), Ok(()));
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
        let started = CoarseTime::now();
        assert_eq!(check(&lookups, started), Ok(()));
        wait();
        fs::write(a.join("output"), "").unwrap();
        assert_eq!(
            check(&lookups, started),
            Ok(()),
            "another file in the directory"
        );
        lookups.probed.insert(a.clone());
        assert!(
            check(&lookups, started).is_err(),
            "a directory that must be still"
        );
        lookups.probed.clear();
        fs::rename(&a, dir.path().join("c")).unwrap();
        fs::rename(&b, &a).unwrap();
        assert!(check(&lookups, started).is_err(), "another directory");
        wait();
        let started = CoarseTime::now();
        assert_eq!(check(&lookups, started), Ok(()));
        wait();
        fs::write(a.join("f"), "changed").unwrap();
        assert!(check(&lookups, started).is_err(), "a file");
    }
}
