//! Files that are written whole under a name of their own in `tmp/`, and then renamed to their place, so
//! that no reader sees a part of one. For the few files that are none of the store's entries.

use super::{Directory, RightsKind, now};
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;
use std::ffi::CString;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

const DIRECTORY: &str = "tmp";

/// How the names of such files begin in `tmp/`, which the store does not count.
pub(crate) const FRESH_PREFIX: &str = "counters-";

/// What becomes of a file that has the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It goes.
    Replaced,
    /// It stays, and the new one goes.
    Kept,
}

/// Writes `bytes` to a new file in the cache with this `root`, and moves that to `name` in `to`.
pub(crate) fn write_fresh(
    root: &Directory,
    (to, name): (&Directory, &str),
    kind: RightsKind,
    bytes: &[u8],
    held: Held,
) -> io::Result<()> {
    /// Tells the threads of a process apart.
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
        // What stays is swept in an hour.
        let _ = directory.remove(&CString::new(temporary)?);
    }
    placed
}

/// A file system that cannot tell whether the place is free gets a plain rename.
fn rename_to_free(from: &Directory, old: &str, to: &Directory, new: &str) -> io::Result<()> {
    let flags = RenameFlags::NOREPLACE;
    match renameat_with(&from.descriptor, old, &to.descriptor, new, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => from.rename(old, to, new).map(drop),
        renamed => Ok(renamed?),
    }
}
