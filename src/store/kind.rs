//! The kinds of files in a store, and whether a handle may change the store.

/// Whether a handle may change the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

/// The kind of a stored file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// Raw bytes: an artefact, or another program's value.
    Entry,
    /// A record below a line with its checksum.
    Record,
}
