//! Removes files that may have been exchanged since they were seen.

use crate::files::{Directory, FileMeta, is_missing};
use std::ffi::CStr;
use std::io;

/// Removes a file of `directory`, unless it is gone, busy, or another one is in its place; whether it
/// did. A file that is exchanged between the look and the removal is lost, which costs its next
/// reader a compile.
pub(super) fn remove_unchanged(
    directory: &Directory,
    name: &CStr,
    seen: &FileMeta,
) -> io::Result<bool> {
    match directory.look(name)? {
        Some(now) if now.is_same(seen) => {}
        _ => return Ok(false),
    }
    match directory.remove(name) {
        Ok(removed) => Ok(removed.is_some()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
