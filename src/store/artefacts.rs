//! Artefacts in the store: under a key of their content, raw or compressed.

use super::artefact::Artefact;
use super::backend::Name;
use super::content_kind::ContentKind;
use super::error::StoreError;
use super::file::FileStore;
use super::kind::EntryKind;
use super::packed;
use super::record::Unsealed;
use super::tmp::Durability;
use super::trust::RecordUse;
use crate::config::CompressionLevel;
use crate::files::{RightsKind, Size};

/// How an artefact is written.
const HOW: (Durability, RightsKind) = (Durability::Verified, RightsKind::Owned);

impl FileStore {
    /// Stores a result, which other programs may read in the store, under a key made of its digest. If the same bytes
    /// are stored already, only marks them as used.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_artefact(&self, bytes: &[u8]) -> Result<Artefact, StoreError> {
        self.put_at_level(bytes, self.compression.results())
    }

    /// Stores bytes that only this program reads, as [`FileStore::put_artefact`] does.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_internal(&self, bytes: &[u8]) -> Result<Artefact, StoreError> {
        self.put_at_level(bytes, self.compression.internal())
    }

    fn put_at_level(
        &self,
        bytes: &[u8],
        level: Option<CompressionLevel>,
    ) -> Result<Artefact, StoreError> {
        self.refuse_unsigned(RecordUse::Result)?;
        let artefact = Artefact::of(bytes);
        let name = Name::of(&artefact.key());
        // Such a policy must see what an entry is.
        let must_show = self.policy.knows_kinds() && ContentKind::of(bytes) == ContentKind::Device;
        match level.filter(|_| !must_show) {
            Some(level) => self.put_packed(&artefact, bytes, level)?,
            None if self.holds(name, bytes, Size::Exactly(artefact.size)) => {}
            None => self.write(EntryKind::Entry, name, &[bytes], HOW)?,
        }
        Ok(artefact)
    }

    fn put_packed(
        &self,
        artefact: &Artefact,
        bytes: &[u8],
        level: CompressionLevel,
    ) -> Result<(), StoreError> {
        let raw = Name::of(&artefact.key());
        if self.holds(raw, bytes, Size::Exactly(artefact.size)) {
            return Ok(());
        }
        let Some(frame) = packed::pack(bytes, level) else {
            return self.write(EntryKind::Entry, raw, &[bytes], HOW);
        };
        let name = Name::of(&artefact.packed_key());
        // A frame of another level or release of zstd is as good, but would have to be decompressed to be known.
        if self.holds(name, &frame, Size::AtMost(artefact.size)) {
            return Ok(());
        }
        self.write(EntryKind::Entry, name, &[&frame], HOW)
    }

    /// Whether the entry called `name` holds `bytes`. Reading and comparing costs less than a write. An entry that
    /// cannot be read is replaced.
    fn holds(&self, name: Name, bytes: &[u8], size: Size) -> bool {
        let stored = self.read(EntryKind::Entry, name, size).ok().flatten();
        stored.is_some_and(|file| file.bytes == bytes)
    }

    /// The bytes of `artefact`, with size and digest verified. A damaged entry is counted as an error
    /// and removed, and the result is `None`.
    ///
    /// # Errors
    /// The entry exists and cannot be read.
    pub fn get_artefact(&self, artefact: &Artefact) -> Result<Option<Vec<u8>>, StoreError> {
        let name = Name::of(&artefact.key());
        let file = self.read(EntryKind::Entry, name, Size::Exactly(artefact.size))?;
        if file.is_none() {
            return self.get_packed(artefact);
        }
        self.verified(EntryKind::Entry, name, file, |file| {
            if file.facts.size == artefact.size && Artefact::of(&file.bytes) == *artefact {
                Unsealed::Whole(file.bytes)
            } else {
                Unsealed::Damaged
            }
        })
    }

    fn get_packed(&self, artefact: &Artefact) -> Result<Option<Vec<u8>>, StoreError> {
        let name = Name::of(&artefact.packed_key());
        let file = self.read(EntryKind::Entry, name, Size::AtMost(artefact.size))?;
        self.verified(EntryKind::Entry, name, file, |file| {
            match packed::unpack(&file.bytes, artefact.size) {
                Some(bytes) if Artefact::of(&bytes) == *artefact => Unsealed::Whole(bytes),
                _ => Unsealed::Damaged,
            }
        })
    }
}
