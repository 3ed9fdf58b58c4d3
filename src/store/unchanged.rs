//! Removes a file only if it was not replaced since it was seen.

use crate::files::{Directory, FileMeta, is_missing};
use std::ffi::CStr;
use std::io;

/// Removes a file of `directory`, unless it is gone, busy, or replaced by another. Returns whether it
/// was removed. A file that comes to its place between the check and the removal is lost, which costs its
/// next reader a compile.
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
