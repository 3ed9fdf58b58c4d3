//! What a file of the store counts as, and whether a store may change anything. Plain data.

/// Whether the store may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

/// What a file counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// An artefact, or another program's value.
    Entry,
    /// A record, with its checksum.
    Record,
}
