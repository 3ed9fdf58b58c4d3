//! What of a file a digest is of, by a number.

use crate::key::Digest;

/// What of a file a digest is of. Numbers are never reused for another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aspect(pub(super) u64);

impl Aspect {
    /// Its bytes.
    pub const CONTENT: Self = Self(0);
    /// Its tokens, without comments and layout.
    pub const TOKENS: Self = Self(1);

    /// A fact, told from others by the start of its digest. The upper half of the numbers is for
    /// facts.
    pub(super) fn fact(digest: &Digest) -> Self {
        let start = u64::from_le_bytes(std::array::from_fn(|at| digest[at]));
        Self(start | 1 << 63)
    }
}
