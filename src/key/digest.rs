//! What names a text, a file or a fact.

/// A SHA-256 digest.
pub type Digest = [u8; 32];
