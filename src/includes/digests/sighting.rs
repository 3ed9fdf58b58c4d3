//! One look at a file: its stat and its mount, read by one system call so that they belong together.

use crate::stat::Stat;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxFlags, statx};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `STATX_MNT_ID_UNIQUE` of `linux/stat.h`: Linux 6.8 and newer.
const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The result of one look at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its identity and times.
    pub stat: Stat,
    /// The unique id of the mount. No other mount gets it until the next boot, so it stands for one file
    /// system that stayed mounted all the time. `None` if the kernel does not report it.
    pub mount: Option<NonZero<u64>>,
}

impl Sighting {
    /// Looks at `path`, following links.
    ///
    /// # Errors
    /// Those of `stat`.
    pub fn at(path: &Path) -> io::Result<Self> {
        match look(CWD, path, AtFlags::empty()) {
            Err(error) if is_unknown(error) => Ok(Self::without_mount(&fs::metadata(path)?)),
            seen => Ok(seen?),
        }
    }

    /// Looks at an open file.
    ///
    /// # Errors
    /// Those of `fstat`.
    pub fn of(file: &File) -> io::Result<Self> {
        match look(file, Path::new(""), AtFlags::EMPTY_PATH) {
            Err(error) if is_unknown(error) => Ok(Self::without_mount(&file.metadata()?)),
            seen => Ok(seen?),
        }
    }

    /// The mount through which the stat is believed; 0 = any mount of this boot. `None` if the kernel does not
    /// report the mount, so that an equal stat later proves nothing.
    ///
    /// A change time with a fraction was read from a clock when the file was changed. It is most unlikely that
    /// another file has the same, so the stat is believed as long as device numbers keep their meaning: until
    /// the next boot.
    ///
    /// A change time without a fraction has one of two causes. Either it does not come from the kernel: a tool
    /// wrote it into an image. The tool may write the same time, with the same inode and size, into another
    /// image, which may get the device number of the first as soon as that is unmounted. So the stat is only
    /// believed through this mount: a mount keeps its one file system for life, with no gap in which another
    /// process could change it, and its id is not reused.
    ///
    /// Or the file system keeps no fractions, and the time of a later change may be rounded down to the second
    /// of an earlier one. A mount id does not help here, but [`Stat::is_stable`] does, which must hold before
    /// a digest is stored: the last change is 2 s before the first look (4 s if the modification time is a
    /// whole second too, as on such a file system). A later change can be dated back by the granularity, 1 s on
    /// the trusted file systems, and by a tick of the kernel, 10 ms; so its time differs. What remains is a
    /// clock that was set back: to change unnoticed, a file must be written in the very second of its change
    /// time.
    pub fn believed_through(&self) -> Option<u64> {
        if self.stat.is_changed_on_the_second() {
            self.mount.map(NonZero::get)
        } else {
            Some(0)
        }
    }

    fn without_mount(metadata: &fs::Metadata) -> Self {
        Self {
            stat: Stat::from(metadata),
            mount: None,
        }
    }
}

impl From<&Statx> for Sighting {
    fn from(statx: &Statx) -> Self {
        // An older kernel ignores the request, and does not set the bit in its answer.
        let has_mount = statx.stx_mask & UNIQUE.bits() != 0;
        Self {
            stat: Stat::from(statx),
            mount: NonZero::new(statx.stx_mnt_id).filter(|_| has_mount),
        }
    }
}

/// Looks at files one after the other. Those of one directory are looked at by their names in it, so that the kernel
/// walks the path of the directory only once.
#[derive(Default)]
pub struct Viewer {
    /// The open directory and its path.
    directory: Option<(PathBuf, OwnedFd)>,
}

impl Viewer {
    /// Looks at `path`, following links. `has_neighbour` says that the next path will be one in the same directory.
    ///
    /// # Errors
    /// Those of `stat`.
    pub fn look(&mut self, path: &Path, has_neighbour: bool) -> io::Result<Sighting> {
        let Some((directory, name)) = self.enter(path, has_neighbour) else {
            return Sighting::at(path);
        };
        match look(directory, name, AtFlags::empty()) {
            Err(error) if is_unknown(error) => Sighting::at(path),
            seen => Ok(seen?),
        }
    }

    /// The open directory of `path`, and its name there. `None` if it is not worth opening.
    fn enter<'p>(
        &mut self,
        path: &'p Path,
        has_neighbour: bool,
    ) -> Option<(BorrowedFd<'_>, &'p Path)> {
        let bytes = path.as_os_str().as_bytes();
        let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
        let [parent, name] =
            [&bytes[..=slash], &bytes[slash + 1..]].map(|part| Path::new(OsStr::from_bytes(part)));
        if name.as_os_str().is_empty() {
            return None;
        }
        let is_open = |(open, _): &(PathBuf, _)| open.as_os_str() == parent.as_os_str();
        if !self.directory.as_ref().is_some_and(is_open) {
            if !has_neighbour {
                return None;
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::open(parent, flags, Mode::empty()).ok()?;
            self.directory = Some((parent.to_owned(), directory));
        }
        let (_, directory) = self.directory.as_ref()?;
        Some((directory.as_fd(), name))
    }
}

fn look(directory: impl AsFd, path: &Path, flags: AtFlags) -> Result<Sighting, Errno> {
    let statx = statx(directory, path, flags, StatxFlags::BASIC_STATS | UNIQUE)?;
    Ok(Sighting::from(&statx))
}

/// Whether the system call is missing, or forbidden by a container's filter that does not know it.
fn is_unknown(error: Errno) -> bool {
    error == Errno::NOSYS || error == Errno::PERM
}

#[cfg(test)]
mod tests {
    use super::{Sighting, UNIQUE, Viewer};
    use crate::stat::Stat;
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn path_descriptor_and_metadata_show_the_same() {
        for path in ["/", "/proc", "/proc/self/exe", "/dev/null"].map(Path::new) {
            let seen = Sighting::at(path).unwrap();
            assert_eq!(seen.stat, Stat::from(&fs::metadata(path).unwrap()));
            assert_eq!(seen, Sighting::of(&File::open(path).unwrap()).unwrap());
        }
    }

    #[test]
    fn a_viewer_sees_what_a_look_at_each_path_shows() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        for name in ["a/1", "a/2", "a/b/1", "a/b/2"] {
            fs::write(at(name), name).unwrap();
        }
        symlink("b/2", at("a/link")).unwrap();
        symlink("a", at("there")).unwrap();
        let mut viewer = Viewer::default();
        for name in [
            "a/1", "a/2", "a/link", "a/b/1", "a/b/2", "a/2", "there/1", "a/b/../1", "/",
        ] {
            for has_neighbour in [false, true] {
                let seen = viewer.look(&at(name), has_neighbour).unwrap();
                assert_eq!(seen, Sighting::at(&at(name)).unwrap(), "{name}");
            }
        }
        for name in ["a/3", "none/1", "a/1/2", "a/b/3"] {
            for has_neighbour in [false, true] {
                assert!(viewer.look(&at(name), has_neighbour).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn mounts_are_told_apart_or_not_at_all() {
        let [root, proc] = ["/", "/proc"].map(|path| Sighting::at(Path::new(path)).unwrap());
        assert_eq!(root.mount.is_some(), proc.mount.is_some());
        assert!(root.mount.is_none() || root.mount != proc.mount);
    }

    #[test]
    fn number_that_a_kernel_did_not_call_unique_is_no_mount() {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let mut found = statx(CWD, "/", AtFlags::empty(), wanted).unwrap();
        // The older kind of number, which is used again as soon as a mount has gone.
        assert_eq!(Sighting::from(&found).mount, None);
        found.stx_mask |= UNIQUE.bits();
        found.stx_mnt_id = 0;
        assert_eq!(Sighting::from(&found).mount, None);
        found.stx_mnt_id = 7;
        assert_eq!(Sighting::from(&found).mount.map(u64::from), Some(7));
    }

    #[test]
    fn what_is_missing_is_not_found() {
        let error = Sighting::at(Path::new("/proc/self/no such file")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
