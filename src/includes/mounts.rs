//! Whether file systems were mounted or unmounted while a compile ran. A mount puts other files at a path and
//! changes no time of any, so that only the kernel can tell.

use super::lookups::Doubt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

/// The mounts of this process since a moment.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// The kernel says once of an open mount table that it has changed. `None` if there is no table to open.
    table: Option<File>,
    /// Whether it has said so.
    changed: AtomicBool,
}

impl Mounts {
    /// The mounts from now on.
    pub(crate) fn watch() -> Self {
        Self {
            table: File::open("/proc/self/mountinfo").ok(),
            changed: AtomicBool::new(false),
        }
    }

    /// A doubt where one has come or gone since then, wherever it was: one that has come and gone again leaves no
    /// trace of its place.
    ///
    /// # Errors
    /// Says that they have changed, or that nothing can tell.
    pub(crate) fn check(&self) -> Result<(), Doubt> {
        let table = self.table.as_ref().ok_or("no mount table can be read")?;
        let mut watched = [PollFd::new(table, PollFlags::PRI)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut watched, Some(&at_once)).map_err(|error| format!("the mount table: {error}"))?;
        let says = watched[0]
            .revents()
            .intersects(PollFlags::PRI | PollFlags::ERR);
        if self.changed.fetch_or(says, Ordering::AcqRel) || says {
            Err("a mount changed during the compile".to_owned())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mounts;

    #[test]
    fn mounts_that_stay_are_no_doubt_and_an_unknown_table_is_one() {
        let mounts = Mounts::watch();
        assert_eq!([mounts.check(), mounts.check()], [Ok(()), Ok(())]);
        let unknown = Mounts {
            table: None,
            ..mounts
        };
        assert!(unknown.check().is_err());
    }
}
