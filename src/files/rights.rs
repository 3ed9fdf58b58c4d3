//! The rights of new files in a cache, and the users whose files are believed. New files get their rights from the
//! cache's root, independent of the umask of the process that creates them.

use rustix::fs::{Gid, Mode, RawMode, Stat, Uid, fchmod, fchown};
use rustix::process::geteuid;
use std::io;
use std::os::fd::AsFd;

/// The mode bits with which users other than the owner may write.
const WRITTEN_BY_OTHERS: RawMode = 0o022;

/// Mode and owner of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    mode: RawMode,
    owner: u32,
    group: u32,
}

impl From<&Stat> for Rights {
    fn from(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            owner: stat.st_uid,
            group: stat.st_gid,
        }
    }
}

/// The kinds of new files that get different rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsKind {
    Directory,
    /// A file that only its owner writes. Other users replace it.
    Owned,
    /// A file that all users of the cache write: counters, logs, locks.
    Shared,
}

impl Rights {
    /// Gives a new file or directory the rights for a cache whose root has these rights. A file that root creates
    /// in another user's cache becomes that user's, who could not use it otherwise.
    pub fn give(self, file: impl AsFd, kind: RightsKind) -> io::Result<()> {
        if self.is_of_another_than_root() {
            let (owner, group) = (Uid::from_raw(self.owner), Gid::from_raw(self.group));
            fchown(&file, Some(owner), Some(group))?;
        }
        let mode = match kind {
            RightsKind::Directory => self.mode & 0o2777 | 0o700,
            RightsKind::Owned => self.mode & 0o644 | 0o600,
            RightsKind::Shared => self.mode & 0o666 | 0o600,
        };
        Ok(fchmod(&file, Mode::from_raw_mode(mode))?)
    }

    /// The rights of a file of `owner`'s with this mode.
    #[cfg(test)]
    pub fn of(owner: u32, mode: u32) -> Self {
        Self {
            mode,
            owner,
            group: 0,
        }
    }

    /// The owner's user id.
    pub fn owner(self) -> u32 {
        self.owner
    }

    /// The permission bits.
    pub fn mode(self) -> u32 {
        self.mode
    }

    /// Whether the owner is another user and this process runs as root. Files that root creates there could block that
    /// user, and the files there may be that user's.
    pub fn is_of_another_than_root(self) -> bool {
        self.owner != 0 && geteuid().is_root()
    }

    /// Whether users other than the owner may write.
    pub fn is_written_by_others(self) -> bool {
        self.mode & WRITTEN_BY_OTHERS != 0
    }
}

/// The users whose files are believed besides those of this user and of root: `PCACHE_TRUST`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// No others.
    #[default]
    Mine,
    /// The owner of the cache's directory.
    Owner,
    Everyone,
}

impl Trust {
    /// Every value, by its name in settings.
    pub const ALL: [(&'static str, Self); 3] = [
        ("mine", Self::Mine),
        ("owner", Self::Owner),
        ("everyone", Self::Everyone),
    ];
}

/// The users whose files are believed. The kernel reports a file's owner, so no other user can forge one, on
/// file systems that keep owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Believed {
    user: u32,
    owner: Option<u32>,
    everyone: bool,
}

impl Believed {
    /// The users believed by this process in a cache whose root has these rights.
    pub(crate) fn new(trust: Trust, root: Rights) -> Self {
        Self {
            user: geteuid().as_raw(),
            owner: (trust == Trust::Owner).then_some(root.owner),
            everyone: trust == Trust::Everyone,
        }
    }

    /// The users believed by a process without a cache.
    pub(crate) fn nothing() -> Self {
        Self {
            user: geteuid().as_raw(),
            owner: None,
            everyone: false,
        }
    }

    /// Whether only believed users can have written a file with these rights.
    pub(crate) fn wrote(&self, rights: Rights) -> bool {
        let is_known = [Some(0), Some(self.user), self.owner].contains(&Some(rights.owner));
        self.everyone || (is_known && !rights.is_written_by_others())
    }

    /// Whether all users are believed.
    pub(crate) fn is_everyone(&self) -> bool {
        self.everyone
    }
}

#[cfg(test)]
mod tests {
    use super::{Believed, Rights, Trust};

    #[test]
    fn files_that_another_user_may_have_written_are_not_believed() {
        let root = Rights::of(7, 0o770);
        let mut believed = Believed::new(Trust::Mine, root);
        believed.user = 5;
        assert!(believed.wrote(Rights::of(5, 0o640)) && believed.wrote(Rights::of(0, 0o644)));
        assert!(!believed.wrote(Rights::of(7, 0o600)) && !believed.wrote(Rights::of(5, 0o660)));
        assert!(!believed.wrote(Rights::of(0, 0o602)));
        believed.owner = Some(7);
        assert!(believed.wrote(Rights::of(7, 0o600)) && !believed.wrote(Rights::of(8, 0o600)));
        believed.everyone = true;
        assert!(believed.wrote(Rights::of(8, 0o666)));
    }
}
