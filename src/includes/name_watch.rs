//! Watches directories for names that come and go while a compile runs. A build that writes objects into a directory
//! of the search order changes the directory's time all the time; only the kernel's own list of names (inotify) tells
//! whether a name that was asked for was among them.

use super::digests::is_local;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device and inode of a directory.
type DirectoryId = (u64, u64);

/// Bytes for the events that are read at once; each has at most 272.
const BUFFER: usize = 16 * 1024;

/// Watched directories.
#[derive(Debug, Default)]
pub struct NameWatch {
    /// `None` if the kernel gives none.
    queue: Option<OwnedFd>,
    /// The directory of each watch descriptor.
    watched: HashMap<i32, DirectoryId>,
}

/// The names that came or went in each watched directory.
#[derive(Debug, Default)]
pub struct ChangedNames(HashMap<DirectoryId, Changes>);

#[derive(Debug, Default)]
struct Changes {
    names: HashSet<OsString>,
    /// Whether the directory itself was moved, removed or changed.
    is_other: bool,
}

impl NameWatch {
    /// Watches `directories` from now on. Leaves out those that cannot be watched: of their changes, the time is all
    /// that is known.
    pub fn of<'p>(directories: impl Iterator<Item = &'p Path>) -> Self {
        let mut watch = Self {
            queue: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            watched: HashMap::new(),
        };
        for path in directories {
            watch.add(path);
        }
        watch
    }

    fn add(&mut self, path: &Path) -> Option<()> {
        const CHANGES: WatchFlags = WatchFlags::CREATE
            .union(WatchFlags::DELETE)
            .union(WatchFlags::MOVE)
            .union(WatchFlags::MOVE_SELF)
            .union(WatchFlags::DELETE_SELF)
            .union(WatchFlags::ATTRIB)
            .union(WatchFlags::ONLYDIR);
        let queue = self.queue.as_ref()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
        let metadata = directory.metadata().ok()?;
        // Changes that other hosts make cause no event.
        if !is_local(&directory) {
            return None;
        }
        // Through the descriptor, so that the directory watched is the one that was examined.
        let through = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let watch = inotify::add_watch(queue, through, CHANGES).ok()?;
        self.watched.insert(watch, (metadata.dev(), metadata.ino()));
        Some(())
    }

    /// Ends the watch, and returns what has changed.
    pub fn end(self) -> ChangedNames {
        let watched = self.watched.values();
        let mut changed = ChangedNames(watched.map(|&at| (at, Changes::default())).collect());
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let Some(queue) = self.queue else {
            return changed;
        };
        let mut events = Reader::new(queue, &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return changed,
                Err(Errno::INTR) => continue,
                Err(_) => return ChangedNames::default(),
            };
            // Events were lost.
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                return ChangedNames::default();
            }
            let directory = self.watched.get(&event.wd());
            let Some(changes) = directory.and_then(|at| changed.0.get_mut(at)) else {
                continue;
            };
            match event.file_name() {
                Some(name) => {
                    let name = OsString::from_vec(name.to_bytes().to_vec());
                    changes.names.insert(name);
                }
                None => changes.is_other = true,
            }
        }
    }
}

impl ChangedNames {
    /// Whether it is known that none of `names` came or went in the directory at `path`.
    pub(super) fn spare<'n>(
        &self,
        path: &Path,
        mut names: impl Iterator<Item = &'n std::path::PathBuf>,
    ) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else {
            return false;
        };
        let changes = self.0.get(&(metadata.dev(), metadata.ino()));
        changes.is_some_and(|changes| {
            !changes.is_other && !names.any(|name| changes.names.contains(name.as_os_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::NameWatch;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn spares(watch: NameWatch, path: &Path) -> bool {
        watch.end().spare(path, [PathBuf::from("asked.h")].iter())
    }

    #[test]
    fn only_changes_of_names_that_were_asked_for_count() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let changes: [(&dyn Fn(), bool); 8] = [
            (&|| (), true),
            (&|| fs::write(one.join("a.o"), "").unwrap(), true),
            (&|| fs::write(one.join("asked.h"), "").unwrap(), false),
            (
                &|| {
                    fs::write(one.join("asked.h"), "").unwrap();
                    fs::remove_file(one.join("asked.h")).unwrap();
                },
                false,
            ),
            (
                &|| fs::rename(other.join("b.h"), one.join("asked.h")).unwrap(),
                false,
            ),
            (&|| fs::remove_file(one.join("old.o")).unwrap(), true),
            (
                &|| {
                    fs::rename(&one, dir.path().join("gone")).unwrap();
                    fs::rename(&other, &one).unwrap();
                },
                false,
            ),
            (&|| fs::remove_dir_all(&one).unwrap(), false),
        ];
        for (number, (change, expected)) in changes.into_iter().enumerate() {
            for path in [&one, &other] {
                let _ = fs::remove_dir_all(path);
                fs::create_dir(path).unwrap();
            }
            let _ = fs::remove_dir_all(dir.path().join("gone"));
            fs::write(one.join("old.o"), "").unwrap();
            fs::write(other.join("b.h"), "").unwrap();
            let watch = NameWatch::of([one.as_path()].into_iter());
            change();
            assert_eq!(spares(watch, &one), expected, "change {number}");
        }
    }

    #[test]
    fn nothing_is_known_of_directories_that_were_not_watched() {
        let dir = tempfile::tempdir().unwrap();
        let watch = NameWatch::of([Path::new("/no/such/directory")].into_iter());
        assert!(!spares(watch, dir.path()));
    }

    #[test]
    fn lost_events_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let watch = NameWatch::of([dir.path()].into_iter());
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        for number in 0..limit.trim().parse::<usize>().unwrap() + 10 {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        assert!(!spares(watch, dir.path()));
    }
}
