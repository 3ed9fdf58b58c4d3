//! Artefacts in the store: under a key of their content, raw or compressed.

use super::artefact::Artefact;
use super::backend::Name;
use super::content_kind::ContentKind;
use super::error::StoreError;
use super::file::FileStore;
use super::kind::Tree;
use super::packed;
use super::record::Unsealed;
use super::tmp::Durability;
use super::trust::RecordUse;
use crate::config::CompressionLevel;
use crate::files::{RightsKind, Size};
use crate::stats::Counter;
use serde::{Deserialize, Serialize};
use std::fs::File;

/// How an artefact is written.
const HOW: (Durability, RightsKind) = (Durability::Verified, RightsKind::Owned);

/// The form in which an artefact is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Packed,
}

/// What an artefact is stored for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtefactUse {
    /// A result, which other programs may read in the store.
    Result,
    /// A part of a result that only this program reads.
    Internal,
    /// No result needs it.
    Intermediate,
}

/// An artefact that was read.
#[derive(Debug)]
pub struct OpenArtefact {
    /// What it is stored for, as far as its place tells.
    pub usage: ArtefactUse,
    /// Its bytes, verified.
    pub bytes: Vec<u8>,
    /// The file that holds the same bytes and that no other user can change; `None` without such a file.
    pub file: Option<File>,
}

/// Where an artefact may be, in the order in which a reader looks: first where direct hits find theirs.
const PLACES: [(Tree, Form); 4] = [
    (Tree::ENTRIES, Form::Raw),
    (Tree::ENTRIES, Form::Packed),
    (Tree::INTERMEDIATES, Form::Packed),
    (Tree::INTERMEDIATES, Form::Raw),
];

impl Form {
    fn name(self, artefact: &Artefact) -> Name {
        match self {
            Self::Raw => Name::of(&artefact.key()),
            Self::Packed => Name::of(&artefact.packed_key()),
        }
    }

    /// The content of a file, if it is that of `artefact`.
    fn content(self, bytes: Vec<u8>, artefact: &Artefact) -> Unsealed {
        let content = match self {
            Self::Raw => Some(bytes),
            Self::Packed => packed::unpack(&bytes, artefact.size),
        };
        match content {
            Some(content) if Artefact::of(&content) == *artefact => Unsealed::Whole(content),
            _ => Unsealed::Damaged,
        }
    }
}

impl FileStore {
    /// Stores a result, which other programs may read in the store, under a key made of its digest. If the same bytes
    /// are stored already, only marks them as used.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_artefact(&self, bytes: &[u8]) -> Result<Artefact, StoreError> {
        self.put_in(Tree::ENTRIES, bytes, self.compression.results())
    }

    /// Stores bytes that only this program reads and no result needs, as [`FileStore::put_artefact`] does. They are
    /// evicted before results are.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_intermediate(&self, bytes: &[u8]) -> Result<Artefact, StoreError> {
        self.put_in(Tree::INTERMEDIATES, bytes, self.compression.internal())
    }

    /// Stores a part of a result that only this program reads, as [`FileStore::put_artefact`] does.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_internal(&self, bytes: &[u8]) -> Result<Artefact, StoreError> {
        self.put_in(Tree::ENTRIES, bytes, self.compression.internal())
    }

    /// Stores `bytes` for `usage`.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_for(&self, usage: ArtefactUse, bytes: &[u8]) -> Result<Artefact, StoreError> {
        match usage {
            ArtefactUse::Result => self.put_artefact(bytes),
            ArtefactUse::Internal => self.put_internal(bytes),
            ArtefactUse::Intermediate => self.put_intermediate(bytes),
        }
    }

    fn put_in(
        &self,
        tree: Tree,
        bytes: &[u8],
        level: Option<CompressionLevel>,
    ) -> Result<Artefact, StoreError> {
        self.refuse_unsigned(RecordUse::Result)?;
        let artefact = Artefact::of(bytes);
        // Such a policy must see what an entry is.
        let must_show = self.policy.knows_kinds() && ContentKind::of(bytes) == ContentKind::Device;
        let level = level.filter(|_| !must_show);
        let raw = Form::Raw.name(&artefact);
        let is_result = self.holds(Tree::ENTRIES, raw, bytes, Size::Exactly(artefact.size));
        if is_result {
            return Ok(artefact);
        }
        let Some(frame) = level.and_then(|level| packed::pack(bytes, level)) else {
            if tree == Tree::ENTRIES || !self.holds(tree, raw, bytes, Size::Exactly(artefact.size))
            {
                self.write(tree, raw, &[bytes], HOW)?;
            }
            return Ok(artefact);
        };
        let name = Form::Packed.name(&artefact);
        // A frame of another level or release of zstd is as good, but would have to be decompressed to be known.
        if !self.holds(tree, name, &frame, Size::AtMost(artefact.size)) {
            self.write(tree, name, &[&frame], HOW)?;
            self.stats.add(Counter::PackedFrom, artefact.size);
            self.stats.add(Counter::PackedTo, frame.len() as u64);
        }
        Ok(artefact)
    }

    /// Whether the entry called `name` holds `bytes`. Reading and comparing costs less than a write. An entry that
    /// cannot be read is replaced.
    fn holds(&self, tree: Tree, name: Name, bytes: &[u8], size: Size) -> bool {
        let stored = self.read(tree, name, size).ok().flatten();
        stored.is_some_and(|file| file.bytes == bytes)
    }

    /// The bytes of `artefact`, with size and digest verified. A damaged entry is counted as an error
    /// and removed, and the result is `None`.
    ///
    /// # Errors
    /// The entry exists and cannot be read.
    pub fn get_artefact(&self, artefact: &Artefact) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.open_artefact(artefact)?;
        Ok(found.map(|found| found.bytes))
    }

    /// As [`FileStore::get_artefact`], with the open file, from which blocks can be shared.
    ///
    /// # Errors
    /// As there.
    pub fn open_artefact(&self, artefact: &Artefact) -> Result<Option<OpenArtefact>, StoreError> {
        let mut found = None;
        for (tree, form) in PLACES {
            let name = form.name(artefact);
            let size = match form {
                Form::Raw => Size::Exactly(artefact.size),
                Form::Packed => Size::AtMost(artefact.size),
            };
            if let Some(file) = self.read(tree, name, size)? {
                found = Some((tree, form, name, file));
                break;
            }
        }
        let Some((tree, form, name, file)) = found else {
            self.count_miss();
            return Ok(None);
        };
        let mut source = None;
        let bytes = self.verified(tree, name, Some(file), |found| {
            if form == Form::Raw && found.facts.size != artefact.size {
                return Unsealed::Damaged;
            }
            source = Some(found.file);
            form.content(found.bytes, artefact)
        })?;
        let is_safe = form == Form::Raw && self.is_alone();
        let usage = match (tree, form) {
            (Tree::INTERMEDIATES, _) => ArtefactUse::Intermediate,
            (_, Form::Raw) => ArtefactUse::Result,
            (_, Form::Packed) => ArtefactUse::Internal,
        };
        Ok(bytes.map(|bytes| OpenArtefact {
            usage,
            bytes,
            file: source.filter(|_| is_safe),
        }))
    }
}
