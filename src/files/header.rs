//! The header of a shared file of fixed size: a magic number and a version, in this machine's byte order.
//!
//! ```text
//! bytes 0-7   magic number
//! bytes 8-11  complement of the version (as a little-endian machine writes the word)
//! bytes 12-15 version
//! ```

/// Whether this program can use a file, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderState {
    Ours,
    /// Written by a newer version of this program, which must be left alone.
    Newer,
    Damaged,
}

/// The version with its complement, so that a flipped bit does not look like a newer version.
pub(crate) const fn version_word(version: u32) -> u64 {
    ((version as u64) << 32) | (!version as u64)
}

/// Reads `[magic, version]`, where `expected` is the magic number and `newest` the version that this program writes.
pub(crate) fn read_header([magic, version]: [u64; 2], expected: u64, newest: u32) -> HeaderState {
    let number = (version >> 32) as u32;
    if magic != expected || version != version_word(number) || number == 0 {
        HeaderState::Damaged
    } else if number > newest {
        HeaderState::Newer
    } else {
        // There is no older version; the first change of a layout handles version 1 here.
        HeaderState::Ours
    }
}
