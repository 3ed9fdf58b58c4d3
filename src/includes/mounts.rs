//! Detects whether file systems were mounted or unmounted while a compile ran. A mount puts other files at a path
//! without changing the times of any file, so only the kernel can report it.

use super::lookups::NotStored;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

/// Watches the mount table of this process.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// The open mount table; the kernel reports a change of it once. `None` if it cannot be opened.
    table: Option<File>,
    /// Whether the kernel has reported a change.
    changed: AtomicBool,
}

impl Mounts {
    /// Watches the mounts from now on.
    pub(crate) fn watch() -> Self {
        Self {
            table: File::open("/proc/self/mountinfo").ok(),
            changed: AtomicBool::new(false),
        }
    }

    /// Fails if any mount was added or removed since [`Mounts::watch`], at whatever path: one that was added and
    /// removed again leaves no trace of its path.
    ///
    /// # Errors
    /// The mounts have changed, or the mount table cannot be read.
    pub(crate) fn check(&self) -> Result<(), NotStored> {
        let table = self.table.as_ref().ok_or("no mount table can be read")?;
        let mut watched = [PollFd::new(table, PollFlags::PRI)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut watched, Some(&at_once)).map_err(|error| format!("the mount table: {error}"))?;
        let is_reported = watched[0]
            .revents()
            .intersects(PollFlags::PRI | PollFlags::ERR);
        if self.changed.fetch_or(is_reported, Ordering::AcqRel) || is_reported {
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
