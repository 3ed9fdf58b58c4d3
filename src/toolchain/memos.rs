//! The directory of toolchain memos: `manifests/toolchains/` among this user's own files, because a memo decides which
//! programs run.

use crate::files::{
    Directory, DirectoryEntry, Held, RightsKind, Root, is_missing, read_bounded, write_fresh,
};
use rustix::fs::OFlags;
use std::io;
use std::path::Path;
use std::sync::Arc;

const DIRECTORY: &str = "manifests/toolchains";

/// Size limit of a memo in bytes; longer files are not read. A memo has a few KiB.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The memos of one directory.
#[derive(Clone, Debug)]
pub struct Memos {
    root: Arc<Root>,
    access: MemoAccess,
}

/// Whether memos may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoAccess {
    /// Memos are only read.
    Read,
    /// New memos are written too.
    ReadWrite,
}

/// Which memos to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoSelection {
    /// All.
    All,
    /// Those that no compile would believe, because they are of another version or their tools have changed.
    Stale,
}

impl Memos {
    /// The memos in this user's own directory `root`, which need not exist.
    pub fn new(root: &Path) -> Self {
        Self::open_in(Arc::new(Root::at(root)), MemoAccess::ReadWrite)
    }

    /// The memos in this user's own directory, which is open already.
    pub fn open_in(root: Arc<Root>, access: MemoAccess) -> Self {
        Self { root, access }
    }

    /// The memo called `name`, if it exists and is this user's own.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = format!("{DIRECTORY}/{name}.json");
        let file = self.root.open_own(&path, OFlags::RDONLY).ok()?;
        read_bounded(&file, LONGEST).ok()
    }

    /// Writes the memo called `name`, if memos may be written.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.access == MemoAccess::Read {
            return Ok(());
        }
        let root = self.root.reopen()?;
        let directory = root.make(DIRECTORY)?;
        let file = format!("{name}.json");
        write_fresh(
            &root,
            (&directory, &file),
            RightsKind::Owned,
            bytes,
            Held::Replaced,
        )
    }

    /// Removes memos. Returns their number and their size in bytes. A compile that needs a removed memo identifies its
    /// toolchain again. `is_current` decides by a memo's bytes whether a compile would believe it.
    ///
    /// # Errors
    /// The directory cannot be listed, or a file cannot be removed.
    pub(super) fn remove(
        &self,
        which: MemoSelection,
        is_current: impl Fn(&[u8]) -> bool,
    ) -> io::Result<(u64, u64)> {
        let listed = self
            .root
            .reopen()
            .and_then(|root| root.directory(DIRECTORY))
            .and_then(|directory| Ok((directory.list()?, directory)));
        let (children, directory) = match listed {
            Err(error) if is_missing(&error) => return Ok((0, 0)),
            listed => listed?,
        };
        let (mut files, mut bytes) = (0, 0);
        for DirectoryEntry { name, .. } in children {
            let Some(facts) = directory.look(&name)?.filter(|facts| facts.is_file) else {
                continue;
            };
            let is_stale = || !read(&directory, &name).is_some_and(|bytes| is_current(&bytes));
            if which == MemoSelection::Stale && !is_stale() {
                continue;
            }
            match directory.remove(&name) {
                Err(error) if !is_missing(&error) => return Err(error),
                _ => {}
            }
            files += 1;
            bytes += facts.size;
        }
        Ok((files, bytes))
    }
}

fn read(directory: &Directory, name: &std::ffi::CStr) -> Option<Vec<u8>> {
    let file = directory.open_unmarked(name).ok()??;
    read_bounded(&file, LONGEST).ok()
}

#[cfg(test)]
mod tests {
    use super::{MemoSelection, Memos};
    use std::fs;

    #[test]
    fn unreadable_memos_are_stale() {
        let dir = tempfile::tempdir().unwrap();
        let memos = Memos::new(dir.path());
        assert_eq!(memos.remove(MemoSelection::All, |_| false).unwrap(), (0, 0));
        let place = dir.path().join("manifests/toolchains");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("aa.json"), "{\"schema\":1}").unwrap();
        assert_eq!(
            memos.remove(MemoSelection::Stale, |_| false).unwrap(),
            (1, 12)
        );
        fs::write(place.join("bb.json"), "{}").unwrap();
        assert_eq!(
            memos.remove(MemoSelection::Stale, |_| true).unwrap(),
            (0, 0)
        );
        assert_eq!(memos.remove(MemoSelection::All, |_| true).unwrap(), (1, 2));
    }

    #[test]
    fn memos_behind_links_and_pipes_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let memos = Memos::new(dir.path());
        memos.write("one", b"1").unwrap();
        assert_eq!(memos.read("one").as_deref(), Some(&b"1"[..]));
        let place = dir.path().join("manifests/toolchains");
        std::os::unix::fs::symlink("one.json", place.join("two.json")).unwrap();
        assert_eq!(memos.read("two"), None);
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&place, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
        assert_eq!(memos.read("one"), None);
        assert!(memos.remove(MemoSelection::All, |_| false).is_err());
        assert!(elsewhere.join("one.json").exists());
    }
}
