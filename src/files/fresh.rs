//! Writes files under a temporary name in `tmp/` and renames them to their place, so that no reader sees a part
//! of one. For the few files that are not entries or records of the store.

use super::{Directory, RightsKind, now};
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;
use std::ffi::CString;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

const DIRECTORY: &str = "tmp";

/// Prefix of the temporary names of such files in `tmp/`. The store does not count them.
pub(crate) const FRESH_PREFIX: &str = "counters-";

/// What to do with an existing file of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Replace it.
    Replaced,
    /// Keep it, and drop the new file.
    Kept,
}

/// Writes `bytes` to a new file in the cache with this `root`, and renames it to `name` in `to`.
pub(crate) fn write_fresh(
    root: &Directory,
    (to, name): (&Directory, &str),
    kind: RightsKind,
    bytes: &[u8],
    held: Held,
) -> io::Result<()> {
    /// Part of the name, which must differ between the threads of a process.
    static TURN: AtomicU64 = AtomicU64::new(0);
    let directory = root.make(DIRECTORY)?;
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let temporary = format!("{FRESH_PREFIX}{}-{turn}-{:x}", std::process::id(), now());
    let mut file = directory.create(&temporary, root.rights()?, kind)?;
    let placed = file.write_all(bytes).and_then(|()| match held {
        Held::Replaced => directory.rename(&temporary, to, name).map(drop),
        Held::Kept => rename_to_free(&directory, &temporary, to, name),
    });
    if placed.is_err() {
        // If it cannot be removed, it is swept in an hour.
        let _ = directory.remove(&CString::new(temporary)?);
    }
    placed
}

/// Renames a file unless the new name exists. On a file system without such a rename, does a plain rename.
fn rename_to_free(from: &Directory, old: &str, to: &Directory, new: &str) -> io::Result<()> {
    let flags = RenameFlags::NOREPLACE;
    match renameat_with(&from.descriptor, old, &to.descriptor, new, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => from.rename(old, to, new).map(drop),
        renamed => Ok(renamed?),
    }
}
