//! The aspects of a file that can have a digest in the table.

use crate::key::Digest;

/// The aspect of a file that a digest covers, as a number. Numbers are never reused for another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aspect(pub(super) u64);

impl Aspect {
    /// The file's bytes.
    pub const CONTENT: Self = Self(0);
    /// The file's tokens, without comments and layout.
    pub const TOKENS: Self = Self(1);

    /// A fact about a directory, identified by the start of its digest. The upper half of the numbers is
    /// for facts.
    pub(super) fn fact(digest: &Digest) -> Self {
        let start = u64::from_le_bytes(std::array::from_fn(|at| digest[at]));
        Self(start | 1 << 63)
    }
}
