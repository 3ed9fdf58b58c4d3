//! One look at a file: its stat, and the mount that the look went through, by one system call, so that the two
//! belong together.

use crate::stat::Stat;
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::path::Path;

/// `STATX_MNT_ID_UNIQUE` of `linux/stat.h`: Linux 6.8 and newer.
const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// What a look at a file showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its identity and times.
    pub stat: Stat,
    /// The number of the mount, which no other mount gets until the next boot, and which stands for one
    /// file system, mounted without a break. `None` where the kernel does not tell.
    pub mount: Option<NonZero<u64>>,
}

impl Sighting {
    /// Of what is at `path`, with links followed.
    ///
    /// # Errors
    /// Those of `stat`.
    pub fn at(path: &Path) -> io::Result<Self> {
        match statx(
            CWD,
            path,
            AtFlags::empty(),
            StatxFlags::BASIC_STATS | UNIQUE,
        ) {
            Ok(found) => Ok(Self::from(&found)),
            Err(error) if is_unknown(error) => Ok(Self::without_mount(&fs::metadata(path)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Of an open file.
    ///
    /// # Errors
    /// Those of `fstat`.
    pub fn of(file: &File) -> io::Result<Self> {
        match statx(
            file,
            "",
            AtFlags::EMPTY_PATH,
            StatxFlags::BASIC_STATS | UNIQUE,
        ) {
            Ok(found) => Ok(Self::from(&found)),
            Err(error) if is_unknown(error) => Ok(Self::without_mount(&file.metadata()?)),
            Err(error) => Err(error.into()),
        }
    }

    /// The mount through which the stat means what it means: 0 for every mount of this boot. `None` where that
    /// cannot be told, so that an equal stat later proves nothing.
    ///
    /// A change time with a fraction was drawn from a clock, at a moment when that file was changed. Another
    /// one has it only by the most unlikely chance, so it counts as long as device numbers do: for a boot.
    ///
    /// One without a fraction has either of two causes. The kernel has not drawn it at all: a tool wrote
    /// it into an image, and may write the same, beside the same inode and size, into another image, which
    /// may be given the device number of the first one as soon as that is unmounted. So it only counts
    /// through this mount: a mount keeps its one file system for life, with no time in between at which
    /// another process could change it, and its number is not given again.
    ///
    /// Or the file system keeps no fractions, and a later change may be rounded down to the second of an
    /// earlier one. That a mount does not help against, but [`Stat::is_stable`] does, which is to be asked
    /// before anything is remembered: the last change lies 2 s before the first look (4 s, if the time of
    /// modification is a whole second too, as it is on such a file system), a later one can be dated back
    /// by the grain, 1 s on the file systems that are trusted, and by a tick of the kernel, 10 ms; so its
    /// time is another one. What is left is a clock that was set back: to be changed unseen, a file must be
    /// written in the very second that its change time names.
    pub fn believed_through(&self) -> Option<u64> {
        if self.stat.is_changed_on_the_second() {
            self.mount.map(NonZero::get)
        } else {
            Some(0)
        }
    }

    fn without_mount(found: &fs::Metadata) -> Self {
        Self {
            stat: Stat::from(found),
            mount: None,
        }
    }
}

impl From<&Statx> for Sighting {
    fn from(found: &Statx) -> Self {
        // An older kernel ignores the wish, and the bit is not set in its answer.
        let is_told = found.stx_mask & UNIQUE.bits() != 0;
        Self {
            stat: Stat::from(found),
            mount: NonZero::new(found.stx_mnt_id).filter(|_| is_told),
        }
    }
}

/// Whether the call is missing, or forbidden by a container's filter that does not know it.
fn is_unknown(error: Errno) -> bool {
    error == Errno::NOSYS || error == Errno::PERM
}

#[cfg(test)]
mod tests {
    use super::{Sighting, UNIQUE};
    use crate::stat::Stat;
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    use std::fs::{self, File};
    use std::io::ErrorKind;
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
