//! The kinds of files in a store, what they are worth, and whether a handle may change the store.

use serde::{Deserialize, Serialize};

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

/// What losing a file costs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// A whole compile: a result, or what finds it.
    #[default]
    Result,
    /// A part of a compile, once its sources have changed: a file between stages, or what explains a miss.
    Intermediate,
}

/// A tree of files in the store: those of one kind and one worth, so that a listing tells both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tree {
    /// What its files are.
    pub kind: EntryKind,
    /// What losing one of them costs.
    pub worth: Worth,
}

impl Tree {
    pub(super) const ENTRIES: Self = Self::new(EntryKind::Entry, Worth::Result);
    pub(super) const RECORDS: Self = Self::new(EntryKind::Record, Worth::Result);
    pub(super) const INTERMEDIATES: Self = Self::new(EntryKind::Entry, Worth::Intermediate);
    const INTERMEDIATE_RECORDS: Self = Self::new(EntryKind::Record, Worth::Intermediate);
    /// All trees.
    pub const ALL: [Self; 4] = [
        Self::ENTRIES,
        Self::RECORDS,
        Self::INTERMEDIATES,
        Self::INTERMEDIATE_RECORDS,
    ];

    const fn new(kind: EntryKind, worth: Worth) -> Self {
        Self { kind, worth }
    }

    /// The tree of the records of this worth.
    pub const fn records(worth: Worth) -> Self {
        Self::new(EntryKind::Record, worth)
    }

    /// The path from the store's root to the shards.
    pub fn path(self) -> &'static str {
        match (self.kind, self.worth) {
            (EntryKind::Entry, Worth::Result) => "entries",
            (EntryKind::Record, Worth::Result) => "manifests/results",
            (EntryKind::Entry, Worth::Intermediate) => "intermediates/entries",
            (EntryKind::Record, Worth::Intermediate) => "intermediates/records",
        }
    }

    /// Its number in logs.
    pub(super) fn number(self) -> u8 {
        match (self.kind, self.worth) {
            (EntryKind::Entry, Worth::Result) => 1,
            (EntryKind::Record, Worth::Result) => 2,
            (EntryKind::Entry, Worth::Intermediate) => 3,
            (EntryKind::Record, Worth::Intermediate) => 4,
        }
    }
}
