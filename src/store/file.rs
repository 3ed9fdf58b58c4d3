//! The store in a directory: get, put, remove, and eviction above the size limit. Every value is written to a
//! temporary file and renamed, so that readers see all of it or nothing. Totals are kept in a page of counters, so
//! that a put need not list directories.

use super::backend::Name;
use super::change::{Sign, bytes_change, one, signed};
use super::content_kind::{CLASS_HEAD, ContentKind};
use super::error::StoreError;
use super::key::KeyRefusal;
use super::key_locks::KeyLocks;
use super::kind::{Access, Tree, Worth};
use super::own::Own;
use super::packed;
use super::policy::{Candidate, Policy, UsageLog};
use super::queued::QueuedNames;
use super::record::{LONGEST_RECORD, Unsealed};
use super::root;
use super::sharded_directory::{FoundFile, Placement, ShardedDirectory, Touch};
use super::tmp::{self, Durability, Temporary};
use super::trust::{Credentials, RecordUse, Standing};
use super::usage_log::{Usage, note};
use crate::config::{Compression, CompressionLevel};
use crate::files::{Directory, FileMeta, Rights, RightsKind, Root, Size, is_missing, now};
use crate::stats::{Counter, ShardRow, Stats, StoreChange, StoreSize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A store in a directory, shared with any number of other processes.
#[derive(Debug)]
pub struct FileStore {
    pub(super) root: PathBuf,
    /// The root with its open directory handle.
    pub(super) opened: Arc<Root>,
    /// The directory of this user's own files: the root itself or another directory.
    pub(super) own: Option<Own>,
    /// The store of this user's own records, if they are in another directory. Opened on first use.
    pub(super) apart: OnceLock<Option<Box<Self>>>,
    pub(super) max_bytes: u64,
    pub(super) max_files: u64,
    pub(super) policy: Policy,
    pub(super) compression: Compression,
    pub(super) access: Access,
    pub(super) credentials: Credentials,
    pub(super) stats: Stats,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) turns: KeyLocks,
    pub(super) queued: QueuedNames,
}

impl FileStore {
    /// Evicts by `policy` instead of [`Policy::Lru`].
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Holds at most `max_files` files, instead of any number.
    #[must_use]
    pub fn with_max_files(self, max_files: u64) -> Self {
        Self { max_files, ..self }
    }

    /// Compresses what `compression` says, instead of [`Compression::DEFAULT`].
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self {
            compression,
            ..self
        }
    }

    /// The rule by which records are believed.
    pub fn standing(&self) -> Standing {
        self.credentials.standing()
    }

    /// Why the cache's own key is not used; `None` if it has none or uses it.
    pub fn refused_key(&self) -> Option<&KeyRefusal> {
        self.credentials.refused()
    }

    /// Whether no other user but root can write in the cache.
    pub fn is_alone(&self) -> bool {
        self.credentials.is_alone()
    }

    /// Who may write in the cache's directory; `None` if there is none.
    pub fn rights(&self) -> Option<Rights> {
        self.credentials.rights()
    }

    /// Why this store accepts no results; `None` if it accepts them.
    pub fn refusal(&self) -> Option<StoreError> {
        let is_refused =
            self.access == Access::ReadWrite && !self.credentials.may_seal(RecordUse::Result);
        is_refused.then(|| StoreError::NoKey {
            path: self.root.clone(),
        })
    }

    /// The counters in the store's root.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The bytes under `key`, unverified, or `None`.
    ///
    /// # Errors
    /// The entry exists and cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.unverified(key)?;
        match &value {
            Some(_) => self.count_hit(),
            None => self.count_miss(),
        }
        Ok(value)
    }

    /// The bytes under `key`, if they may be believed without verification. Does not count the lookup.
    pub(super) fn unverified(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let file = self.read(Tree::ENTRIES, Name::of(key), Size::AtMost(u64::MAX))?;
        let believed = file.filter(|file| self.credentials.may_be_believed(&file.facts));
        Ok(believed.map(|file| file.bytes))
    }

    /// Stores `value` under `key`, replacing what was there. The value is on the disk when this
    /// returns, because no reader verifies it.
    ///
    /// # Errors
    /// The value is larger than the store, or cannot be written.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let how = (Durability::Synced, RightsKind::Owned);
        self.write(Tree::ENTRIES, Name::of(key), &[value], how)
    }

    /// Removes the entry of `key`. Returns whether there was one.
    ///
    /// # Errors
    /// The entry exists and cannot be removed.
    pub fn remove(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.take_out(Tree::ENTRIES, Name::of(key))
    }

    /// The result record under `key`. A damaged record is counted as an error and removed; one that is not
    /// believed is counted as distrusted and left alone.
    ///
    /// # Errors
    /// The record exists and cannot be read.
    pub fn get_record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.unsealed(key, RecordUse::Result, Worth::Result)
    }

    /// As [`FileStore::get_record`], for a record that [`FileStore::put_intermediate_record`] stored.
    ///
    /// # Errors
    /// As for [`FileStore::get_record`].
    pub fn get_intermediate_record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.unsealed(key, RecordUse::Result, Worth::Intermediate)
    }

    /// The record under `key` that steers what the program does.
    pub(super) fn order(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.unsealed(key, RecordUse::Order, Worth::Result)
    }

    fn unsealed(
        &self,
        key: &[u8],
        usage: RecordUse,
        worth: Worth,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let name = self.credentials.name(key, usage);
        let tree = Tree::records(worth);
        let file = self.read(tree, name, Size::AtMost(LONGEST_RECORD))?;
        self.verified(tree, name, file, |file| {
            self.credentials
                .unseal(name, &file.facts, file.bytes, usage)
        })
    }

    /// Stores a result record with its checksum under `key`, replacing what was there.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_record(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.seal((key, value), RecordUse::Result, Worth::Result, None)
    }

    /// As [`FileStore::put_record`], for a record that no direct hit of a single object reads: a long one is compressed.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_packed_record(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let level = self.compression.internal();
        self.seal((key, value), RecordUse::Result, Worth::Result, level)
    }

    /// Stores a record that no result needs, as [`FileStore::put_packed_record`] does. It is evicted before results are.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_intermediate_record(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let level = self.compression.internal();
        self.seal((key, value), RecordUse::Result, Worth::Intermediate, level)
    }

    pub(super) fn seal_order(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.seal((key, value), RecordUse::Order, Worth::Result, None)
    }

    /// Fails if no reader would believe a file of this usage.
    pub(super) fn refuse_unsigned(&self, usage: RecordUse) -> Result<(), StoreError> {
        match usage {
            RecordUse::Result => self.refusal().map_or(Ok(()), Err),
            RecordUse::Order => Ok(()),
        }
    }

    fn seal(
        &self,
        (key, value): (&[u8], &[u8]),
        usage: RecordUse,
        worth: Worth,
        level: Option<CompressionLevel>,
    ) -> Result<(), StoreError> {
        let name = self.credentials.name(key, usage);
        self.seal_as(name, value, (usage, worth), level)
    }

    pub(super) fn seal_as(
        &self,
        name: Name,
        value: &[u8],
        (usage, worth): (RecordUse, Worth),
        level: Option<CompressionLevel>,
    ) -> Result<(), StoreError> {
        self.refuse_unsigned(usage)?;
        let size = value.len() as u64;
        if size >= LONGEST_RECORD {
            // It would never be read.
            return Err(StoreError::TooLarge {
                size,
                max_bytes: LONGEST_RECORD,
            });
        }
        let frame = packed::record(value, level);
        let value = frame.as_deref().unwrap_or(value);
        let parts = [&self.credentials.header(name, value, usage), value];
        let how = (Durability::Verified, RightsKind::Owned);
        self.write(Tree::records(worth), name, &parts, how)
    }

    /// Removes the result record of `key`. Returns whether there was one.
    ///
    /// # Errors
    /// The record exists and cannot be removed.
    pub fn remove_record(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.take_out(Tree::RECORDS, self.credentials.name(key, RecordUse::Result))
    }

    pub(super) fn directory_of(&self, tree: Tree) -> ShardedDirectory<'_> {
        ShardedDirectory::new(&self.opened, tree.path())
    }

    /// Opens the root; `None` if it does not exist.
    pub(super) fn directory(&self) -> Result<Option<Directory>, StoreError> {
        match Directory::root(&self.root) {
            Ok(root) => Ok(Some(root)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(StoreError::io("open", &self.root)(error)),
        }
    }

    /// Reads a file and marks it as used; `None` if it is missing or has expired.
    pub(super) fn read(
        &self,
        tree: Tree,
        name: Name,
        expected: Size,
    ) -> Result<Option<FoundFile>, StoreError> {
        let touch = match self.access {
            Access::ReadWrite => Touch::Mark,
            Access::ReadOnly => Touch::Leave,
        };
        let Some(file) = self.directory_of(tree).read(name, touch, expected)? else {
            return Ok(None);
        };
        if self.policy.knows_expiry() {
            let class = ContentKind::of(&file.bytes[..file.bytes.len().min(CLASS_HEAD)]);
            if self.has_expired(&file.facts, class) {
                // Not served even if it cannot be removed.
                let _ = self.discard(tree, name, &file.facts);
                return Ok(None);
            }
        }
        self.note_use(tree, name, None);
        Ok(Some(file))
    }

    /// The value that `check` finds in a file; counts a hit or a miss. A damaged file is counted as an
    /// error and removed. If it cannot be removed, it is still not served.
    pub(super) fn verified(
        &self,
        tree: Tree,
        name: Name,
        file: Option<FoundFile>,
        check: impl FnOnce(FoundFile) -> Unsealed,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(file) = file else {
            self.count_miss();
            return Ok(None);
        };
        let facts = file.facts;
        match check(file) {
            Unsealed::Whole(value) => {
                self.count_hit();
                return Ok(Some(value));
            }
            Unsealed::Foreign => self.stats.add(Counter::Distrusted, 1),
            Unsealed::Damaged => {
                self.stats.add(Counter::Error, 1);
                let _ = self.discard(tree, name, &facts);
            }
        }
        self.count_miss();
        Ok(None)
    }

    fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    fn has_expired(&self, facts: &FileMeta, class: ContentKind) -> bool {
        let candidate = Candidate {
            expires: self.policy.expires(class, facts.written),
            ..Candidate::default()
        };
        self.policy.is_expired(&candidate, now())
    }

    /// Appends to the usage log, if the policy needs it. Best effort: a failed write undercounts by one.
    pub(super) fn note_use(&self, tree: Tree, name: Name, class: Option<ContentKind>) {
        let usage = match self.policy.log() {
            UsageLog::Uses => Usage {
                uses: 1,
                class: None,
            },
            UsageLog::Kinds if class.is_some() => Usage { uses: 0, class },
            UsageLog::Kinds | UsageLog::Nothing => return,
        };
        if self.access == Access::ReadOnly {
            return;
        }
        let appended = self.directory().and_then(|root| match root {
            Some(root) => note(&root, &self.root, (tree, name), usage),
            None => Ok(()),
        });
        if appended.is_err() {
            self.stats.add(Counter::Error, 1);
        }
    }

    /// Stores a file in one of the trees; its content is the concatenation of `parts`.
    pub(super) fn write(
        &self,
        tree: Tree,
        name: Name,
        parts: &[&[u8]],
        how: (Durability, RightsKind),
    ) -> Result<(), StoreError> {
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        let size = parts.iter().map(|part| part.len() as u64).sum();
        let max_bytes = self.limits().most_of(tree.worth);
        if size > max_bytes {
            return Err(StoreError::TooLarge { size, max_bytes });
        }
        // The size before this put: an eviction stops early once it has made up for the put.
        let before = self.held();
        self.note_trouble(self.make_room(size, tree.worth));
        self.write_and_place(tree, name, parts, size, how)?;
        let head = parts.iter().find(|part| !part.is_empty());
        self.note_use(tree, name, head.map(|head| ContentKind::of(head)));
        // The put has succeeded even if the eviction fails.
        self.note_trouble(before.and_then(|before| self.trim(before, (tree, name))));
        Ok(())
    }

    /// Writes the file in `tmp/` and renames it to its place. Its bytes are counted as unfinished while it
    /// is in `tmp/`, and then as the shard's. If two processes write one new key at the same moment, both
    /// may count it; the next listing of the shard corrects that.
    fn write_and_place(
        &self,
        tree: Tree,
        name: Name,
        parts: &[&[u8]],
        size: u64,
        how: (Durability, RightsKind),
    ) -> Result<(), StoreError> {
        let (durability, rights) = how;
        let totals = self.stats.totals();
        let root = self.root_made()?;
        totals.change(ShardRow::Unfinished, bytes_change(size, Sign::More));
        let placed = Temporary::new(&root, &self.root, rights).and_then(|mut temporary| {
            let written = temporary.write(parts, durability);
            written.map_err(StoreError::io("write a file in", &self.root.join("tmp")))?;
            self.directory_of(tree).place(&root, temporary, name)
        });
        if let Ok(placement) = placed {
            self.count_placed(tree, name, size, placement);
        }
        totals.change(ShardRow::Unfinished, bytes_change(size, Sign::Less));
        placed.map(|_| ())
    }

    pub(super) fn note_trouble(&self, result: Result<(), StoreError>) {
        if result.is_err() {
            self.stats.add(Counter::Error, 1);
        }
    }

    /// Adds a file that was placed to the totals of its shard.
    pub(super) fn count_placed(&self, tree: Tree, name: Name, size: u64, placement: Placement) {
        let totals = self.stats.totals();
        let row = ShardRow::Shard(name.0[0]);
        match placement {
            Placement::New => {
                let change = one(tree.kind, Sign::More);
                let bytes = signed(size, Sign::More);
                totals.change(row, StoreChange { bytes, ..change });
            }
            Placement::Replaced(old_size) => {
                totals.change(row, bytes_change(size, Sign::More));
                totals.change(row, bytes_change(old_size, Sign::Less));
            }
            Placement::Dropped => {}
        }
    }

    /// Opens the root, and creates it again if it was removed.
    pub(super) fn root_made(&self) -> Result<Directory, StoreError> {
        root::make(&self.root)
    }

    fn take_out(&self, tree: Tree, name: Name) -> Result<bool, StoreError> {
        if self.access == Access::ReadOnly {
            return Ok(false);
        }
        let removed = self.directory_of(tree).remove(name)?;
        self.count_out(tree, name.0[0], removed);
        Ok(removed.is_some())
    }

    /// Removes a file if it is still the one that was seen, and subtracts it from the totals.
    fn discard(&self, tree: Tree, name: Name, seen: &FileMeta) -> Result<(), StoreError> {
        if self.access == Access::ReadWrite {
            let removed = self.directory_of(tree).remove_seen(name, seen)?;
            self.count_out(tree, name.0[0], removed);
        }
        Ok(())
    }

    /// Subtracts a removed file from the totals of its shard.
    pub(super) fn count_out(&self, tree: Tree, shard: u8, removed: Option<FileMeta>) {
        if let Some(file) = removed.filter(|file| file.is_file) {
            let change = StoreChange {
                bytes: signed(file.size, Sign::Less),
                ..one(tree.kind, Sign::Less)
            };
            self.stats.totals().change(ShardRow::Shard(shard), change);
        }
    }

    /// Removes temporary files of dead writers. Returns their size in bytes.
    pub(super) fn sweep(&self) -> Result<u64, StoreError> {
        let Some(root) = self.directory()? else {
            return Ok(0);
        };
        let totals = self.stats.totals();
        let start = totals.begin_scan(ShardRow::Unfinished);
        let swept = tmp::sweep(&root, &self.root)?;
        let remaining = StoreSize {
            bytes: swept.left,
            ..StoreSize::default()
        };
        totals.finish_scan(start, remaining);
        Ok(swept.freed)
    }
}
