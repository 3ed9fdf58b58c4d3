//! The digest of a file's current content, without the digest table.

use crate::includes::digests::DigestTable;
use crate::key::Digest;
use std::io;
use std::path::Path;

/// The SHA-256 of the file at `path`.
pub(super) fn digest_file(path: &Path) -> io::Result<Digest> {
    // Not `fs::read`: a record may name a pipe, a device, or a file larger than memory.
    let result = DigestTable::nowhere().digest_of(path);
    result.map(|(_, digest)| digest).map_err(io::Error::other)
}
