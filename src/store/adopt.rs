//! Takes in files of another cache. Nothing that comes with them is believed: an entry must prove its own name, and a
//! record must be one that a reader of this cache would believe. Does not know how the files came here.

use super::artefact::Artefact;
use super::backend::Name;
use super::change::{Sign, bytes_change};
use super::content_kind::{CLASS_HEAD, ContentKind};
use super::error::StoreError;
use super::file::FileStore;
use super::kind::{Access, EntryKind, Tree};
use super::packed;
use super::record::{LONGEST_RECORD, Unsealed};
use super::sharded_directory::Touch;
use super::tmp::{Durability, Temporary};
use super::trust::RecordUse;
use crate::files::{RightsKind, Size};
use crate::stats::ShardRow;
use std::io::{self, ErrorKind, Read};

/// Bytes of an entry that are held in memory at once.
const BLOCK: u64 = 1 << 20;

/// A file that is offered to a store.
pub struct OfferedFile<'a> {
    /// The tree in which it lay.
    pub tree: Tree,
    /// The name under which it is offered.
    pub name: Name,
    /// How many bytes `content` is said to have. No more are read.
    pub size: u64,
    /// Its bytes: those of an entry, or of a record with its header.
    pub content: &'a mut dyn Read,
}

/// What became of an offered file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It is in the store now.
    Placed,
    /// A file of this name was there already, and stays.
    Present,
    /// It is larger than the store takes, or than any record.
    TooLarge,
    /// It is damaged, or an entry whose name does not follow from its content.
    Unproven,
    /// A record that no reader of this cache would believe: signed with another key, or unsigned where a signature is
    /// required.
    Distrusted,
    /// A record that the caller does not take for data.
    Steering,
}

/// Why a file could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The offered content cannot be read, or ends early.
    #[error("{0}")]
    Content(io::Error),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FileStore {
    /// Takes a file in, if it is whole and not there yet. Calls `is_data` with the value of a record: a record that
    /// could decide which programs run must not come from elsewhere.
    ///
    /// # Errors
    /// The content cannot be read; the store cannot be written, or holds nothing that this user would believe.
    pub fn adopt(
        &self,
        offered: OfferedFile<'_>,
        is_data: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Adoption, AdoptError> {
        self.refuse_unsigned(RecordUse::Result)?;
        if self.access == Access::ReadOnly {
            let path = self.root.clone();
            return Err(StoreError::ReadOnly { path }.into());
        }
        let most = self.limits().most_of(offered.tree.worth);
        let most = match offered.tree.kind {
            EntryKind::Record => most.min(LONGEST_RECORD),
            EntryKind::Entry => most,
        };
        if offered.size > most {
            return Ok(Adoption::TooLarge);
        }
        if self.is_present(offered.tree, offered.name)? {
            return Ok(Adoption::Present);
        }
        match offered.tree.kind {
            EntryKind::Record => self.adopt_record(offered, is_data),
            EntryKind::Entry => self.adopt_entry(offered),
        }
    }

    /// Whether there is a file of this name. That it is offered counts as a use of it, as a put of the same does.
    fn is_present(&self, tree: Tree, name: Name) -> Result<bool, StoreError> {
        let found = self
            .directory_of(tree)
            .read(name, Touch::Mark, Size::AtMost(0))?;
        Ok(found.is_some_and(|file| file.facts.is_file))
    }

    fn adopt_record(
        &self,
        offered: OfferedFile<'_>,
        is_data: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Adoption, AdoptError> {
        let OfferedFile { tree, name, .. } = offered;
        let mut bytes = Vec::new();
        let content = &mut offered.content.take(offered.size);
        content
            .read_to_end(&mut bytes)
            .map_err(AdoptError::Content)?;
        refuse_short(bytes.len() as u64, offered.size)?;
        Ok(match self.credentials.admit(name, bytes.clone()) {
            Unsealed::Whole(value) if is_data(&value) => {
                let how = (Durability::Verified, RightsKind::Owned);
                self.write(tree, name, &[&bytes], how)?;
                Adoption::Placed
            }
            Unsealed::Whole(_) => Adoption::Steering,
            Unsealed::Foreign => Adoption::Distrusted,
            Unsealed::Damaged => Adoption::Unproven,
        })
    }

    /// Writes the entry block by block, since it may be as large as the whole store, and then proves what was written.
    fn adopt_entry(&self, offered: OfferedFile<'_>) -> Result<Adoption, AdoptError> {
        let OfferedFile { tree, name, .. } = offered;
        // The size before this put: an eviction stops early once it has made up for the put.
        let before = self.held();
        let root = self.root_made()?;
        let mut temporary = Temporary::new(&root, &self.root, RightsKind::Owned)?;
        let totals = self.stats.totals();
        let mut written = 0;
        let copied = self.copy(offered, &mut temporary, &mut written);
        let placed = copied.and_then(|head| {
            if !self.proves(&temporary, name)? {
                return Ok(None);
            }
            // Only now, so that a promise evicts nothing. What was written is counted as unfinished.
            self.note_trouble(self.evict_to(self.max_bytes, tree.worth));
            let placement = self.directory_of(tree).place(&root, temporary, name)?;
            self.count_placed(tree, name, written, placement);
            Ok(Some(ContentKind::of(&head)))
        });
        totals.change(ShardRow::Unfinished, bytes_change(written, Sign::Less));
        let Some(class) = placed? else {
            return Ok(Adoption::Unproven);
        };
        self.note_use(tree, name, Some(class));
        // The file is in its place even if the eviction fails.
        self.note_trouble(before.and_then(|before| self.trim(before, (tree, name))));
        Ok(Adoption::Placed)
    }

    /// Writes the content to `temporary`, and counts what is `written` as unfinished: not the size that is promised,
    /// which could make other processes evict. Returns the first bytes.
    fn copy(
        &self,
        offered: OfferedFile<'_>,
        temporary: &mut Temporary,
        written: &mut u64,
    ) -> Result<Vec<u8>, AdoptError> {
        let tmp = self.root.join("tmp");
        let failed = StoreError::io("write a file in", &tmp);
        let mut content = offered.content.take(offered.size);
        let (mut head, mut block) = (Vec::new(), Vec::new());
        loop {
            block.clear();
            let part = &mut (&mut content).take(BLOCK);
            part.read_to_end(&mut block).map_err(AdoptError::Content)?;
            if block.is_empty() {
                break;
            }
            if *written == 0 {
                head = block[..block.len().min(CLASS_HEAD)].to_vec();
            }
            let length = block.len() as u64;
            *written += length;
            let change = bytes_change(length, Sign::More);
            self.stats.totals().change(ShardRow::Unfinished, change);
            let done = temporary.write(&[&block], Durability::Verified);
            done.map_err(&failed)?;
        }
        refuse_short(*written, offered.size)?;
        Ok(head)
    }

    /// Whether `name` is that of an artefact with the content that was written, raw or as a frame.
    fn proves(&self, temporary: &Temporary, name: Name) -> Result<bool, StoreError> {
        let tmp = self.root.join("tmp");
        let failed = StoreError::io("read a file in", &tmp);
        let raw = Artefact::read(temporary.reopen().map_err(&failed)?).map_err(&failed)?;
        if Name::of(&raw.key()) == name {
            return Ok(true);
        }
        let frame = temporary.reopen().map_err(&failed)?;
        let packed = packed::bounded_artefact(frame, self.max_bytes);
        Ok(packed.is_some_and(|packed| Name::of(&packed.packed_key()) == name))
    }
}

fn refuse_short(length: u64, size: u64) -> Result<(), AdoptError> {
    if length < size {
        let error = io::Error::new(ErrorKind::UnexpectedEof, "its content ends early");
        return Err(AdoptError::Content(error));
    }
    Ok(())
}
