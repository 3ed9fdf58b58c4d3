//! The file-stream store: get, put, remove, and eviction when it holds too much. Every value is written to a
//! temporary file and renamed, so that readers see all of it or nothing. Totals are kept in a page of counters, so
//! that a put lists no directory.

use super::artefact::Artefact;
use super::backend::Name;
use super::change::{Sign, bytes_change, one, signed};
use super::content_kind::{CLASS_HEAD, ContentKind};
use super::error::StoreError;
use super::key::KeyRefusal;
use super::key_locks::KeyLocks;
use super::kind::{Access, EntryKind};
use super::own::Own;
use super::policy::{Candidate, Policy, UsageLog};
use super::record::Unsealed;
use super::root;
use super::sharded_directory::{FoundFile, Placement, ShardedDirectory, Touch};
use super::tmp::{self, Durability, Temporary};
use super::trust::{Credentials, Standing, Use};
use super::usage_log::{Usage, note};
use crate::files::{Directory, FileMeta, Rights, RightsKind, Root, Size, is_missing, now};
use crate::stats::{Counter, ShardRow, Stats, StoreChange, StoreSize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A longer record is not read: those of real units have a few MB at most.
pub(super) const LONGEST_RECORD: u64 = 16 << 20;

/// A store in a directory, shared with any number of other processes.
#[derive(Debug)]
pub struct FileStore {
    pub(super) root: PathBuf,
    /// The root, opened.
    pub(super) opened: Arc<Root>,
    /// Where this user's own files are, the same or another.
    pub(super) own: Option<Own>,
    /// This user's own records, if they are elsewhere; opened when they are needed.
    pub(super) apart: OnceLock<Option<Box<Self>>>,
    pub(super) max_bytes: u64,
    pub(super) policy: Policy,
    pub(super) access: Access,
    pub(super) credentials: Credentials,
    pub(super) entries: ShardedDirectory,
    pub(super) records: ShardedDirectory,
    pub(super) stats: Stats,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) turns: KeyLocks,
}

impl FileStore {
    /// Evicts by `policy` instead of [`Policy::Lru`].
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// By what its records are believed.
    pub fn standing(&self) -> Standing {
        self.credentials.standing()
    }

    /// Why the cache's own key is not used, if it has one.
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

    /// Why no result is stored here, if none is.
    pub fn refusal(&self) -> Option<StoreError> {
        let is_refused =
            self.access == Access::ReadWrite && !self.credentials.may_seal(Use::Result);
        is_refused.then(|| StoreError::NoKey {
            path: self.root.clone(),
        })
    }

    /// The counters of the same directory.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The bytes under `key`, unverified, or `None`.
    ///
    /// # Errors
    /// The entry exists and cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.unverified(key)?;
        match &found {
            Some(_) => self.count_hit(),
            None => self.count_miss(),
        }
        Ok(found)
    }

    /// The bytes under `key`, if they may be believed as they are. The lookup is not counted.
    pub(super) fn unverified(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read(EntryKind::Entry, Name::of(key), Size::AtMost(u64::MAX))?;
        let found = found.filter(|found| self.credentials.may_be_believed(&found.facts));
        Ok(found.map(|found| found.bytes))
    }

    /// Stores `value` under `key`, in the place of what was there. It is on the disk when this
    /// returns, since no reader verifies it.
    ///
    /// # Errors
    /// The value is larger than the store, or cannot be written.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let how = (Durability::Synced, RightsKind::Owned);
        self.write(EntryKind::Entry, Name::of(key), &[value], how)
    }

    /// Removes the entry of `key`; whether there was one.
    ///
    /// # Errors
    /// The entry exists and cannot be removed.
    pub fn remove(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.take_out(EntryKind::Entry, Name::of(key))
    }

    /// Stores `bytes` under a key made of their digest. Where the same bytes are stored already,
    /// they are only marked as used.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_artefact(&self, bytes: &[u8]) -> Result<Artefact, StoreError> {
        self.refuse_unsigned(Use::Result)?;
        let artefact = Artefact::of(bytes);
        let name = Name::of(&artefact.key());
        // Reading and comparing costs less than a write. An entry that cannot be read is replaced.
        let held = self.read(EntryKind::Entry, name, Size::Exactly(artefact.size));
        if held.ok().flatten().is_none_or(|held| held.bytes != bytes) {
            let how = (Durability::Verified, RightsKind::Owned);
            self.write(EntryKind::Entry, name, &[bytes], how)?;
        }
        Ok(artefact)
    }

    /// The bytes of `artefact`, with size and digest verified. A damaged entry is removed and counted
    /// as an error, and is `None`.
    ///
    /// # Errors
    /// The entry exists and cannot be read.
    pub fn get_artefact(&self, artefact: &Artefact) -> Result<Option<Vec<u8>>, StoreError> {
        let name = Name::of(&artefact.key());
        let found = self.read(EntryKind::Entry, name, Size::Exactly(artefact.size))?;
        let whole = |found: &FoundFile| {
            found.facts.size == artefact.size && Artefact::of(&found.bytes) == *artefact
        };
        self.verified(EntryKind::Entry, name, found, |found| {
            if whole(&found) {
                Unsealed::Whole(found.bytes)
            } else {
                Unsealed::Damaged
            }
        })
    }

    /// The record of a result under `key`, or `None`. A damaged record is removed and counted as an error; one
    /// that is not believed is counted and left alone.
    ///
    /// # Errors
    /// The record exists and cannot be read.
    pub fn get_record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.unsealed(key, Use::Result)
    }

    pub(super) fn order(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.unsealed(key, Use::Order)
    }

    fn unsealed(&self, key: &[u8], usage: Use) -> Result<Option<Vec<u8>>, StoreError> {
        let name = self.credentials.name(key, usage);
        let found = self.read(EntryKind::Record, name, Size::AtMost(LONGEST_RECORD))?;
        self.verified(EntryKind::Record, name, found, |found| {
            self.credentials
                .unseal(name, &found.facts, found.bytes, usage)
        })
    }

    /// Stores a record of a result with its checksum under `key`, in the place of what was there.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_record(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.seal(key, value, Use::Result)
    }

    pub(super) fn seal_order(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.seal(key, value, Use::Order)
    }

    /// What would never be believed is not written.
    fn refuse_unsigned(&self, usage: Use) -> Result<(), StoreError> {
        match usage {
            Use::Result => self.refusal().map_or(Ok(()), Err),
            Use::Order => Ok(()),
        }
    }

    fn seal(&self, key: &[u8], value: &[u8], usage: Use) -> Result<(), StoreError> {
        self.refuse_unsigned(usage)?;
        let name = self.credentials.name(key, usage);
        let size = value.len() as u64;
        if size >= LONGEST_RECORD {
            // It would never be read.
            return Err(StoreError::TooLarge {
                size,
                max_bytes: LONGEST_RECORD,
            });
        }
        let parts = [&self.credentials.header(name, value, usage), value];
        let how = (Durability::Verified, RightsKind::Owned);
        self.write(EntryKind::Record, name, &parts, how)
    }

    /// Removes the record of a result of `key`; whether there was one.
    ///
    /// # Errors
    /// The record exists and cannot be removed.
    pub fn remove_record(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.take_out(EntryKind::Record, self.credentials.name(key, Use::Result))
    }

    pub(super) fn directory_of(&self, kind: EntryKind) -> &ShardedDirectory {
        match kind {
            EntryKind::Entry => &self.entries,
            EntryKind::Record => &self.records,
        }
    }

    /// The root, or `None` where there is none.
    pub(super) fn directory(&self) -> Result<Option<Directory>, StoreError> {
        match Directory::root(&self.root) {
            Ok(root) => Ok(Some(root)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(StoreError::io("open", &self.root)(error)),
        }
    }

    /// A file that is there and has not expired, marked as used.
    pub(super) fn read(
        &self,
        kind: EntryKind,
        name: Name,
        expected: Size,
    ) -> Result<Option<FoundFile>, StoreError> {
        let touch = match self.access {
            Access::ReadWrite => Touch::Mark,
            Access::ReadOnly => Touch::Leave,
        };
        let Some(found) = self.directory_of(kind).read(name, touch, expected)? else {
            return Ok(None);
        };
        if self.policy.knows_expiry() {
            let class = ContentKind::of(&found.bytes[..found.bytes.len().min(CLASS_HEAD)]);
            if self.has_expired(&found.facts, class) {
                // What cannot be removed is not served either.
                let _ = self.discard(kind, name, &found.facts);
                return Ok(None);
            }
        }
        self.note_use(kind, name, None);
        Ok(Some(found))
    }

    /// What `check` makes of a file. One that it refuses is damaged: counted, and removed if it can
    /// be; one that cannot is never served either.
    fn verified(
        &self,
        kind: EntryKind,
        name: Name,
        found: Option<FoundFile>,
        check: impl FnOnce(FoundFile) -> Unsealed,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(found) = found else {
            self.count_miss();
            return Ok(None);
        };
        let facts = found.facts;
        match check(found) {
            Unsealed::Whole(value) => {
                self.count_hit();
                return Ok(Some(value));
            }
            Unsealed::Foreign => self.stats.add(Counter::Distrusted, 1),
            Unsealed::Damaged => {
                self.stats.add(Counter::Error, 1);
                let _ = self.discard(kind, name, &facts);
            }
        }
        self.count_miss();
        Ok(None)
    }

    fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    fn count_miss(&self) {
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
    fn note_use(&self, kind: EntryKind, name: Name, class: Option<ContentKind>) {
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
        let noted = self.directory().and_then(|root| match root {
            Some(root) => note(&root, &self.root, (kind, name), usage),
            None => Ok(()),
        });
        if noted.is_err() {
            self.stats.add(Counter::Error, 1);
        }
    }

    /// The put of any sort of file, whose contents are `parts` in a row.
    fn write(
        &self,
        kind: EntryKind,
        name: Name,
        parts: &[&[u8]],
        how: (Durability, RightsKind),
    ) -> Result<(), StoreError> {
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        let max_bytes = self.max_bytes;
        let size = parts.iter().map(|part| part.len() as u64).sum();
        if size > max_bytes {
            return Err(StoreError::TooLarge { size, max_bytes });
        }
        // What is known before, so that an eviction can tell whether it has made up for this put.
        let before = self.held_bytes();
        self.write_and_place(kind, name, parts, size, how)?;
        let head = parts.iter().find(|part| !part.is_empty());
        self.note_use(kind, name, head.map(|head| ContentKind::of(head)));
        // The value is stored, whatever becomes of the old ones.
        if before.and_then(|before| self.trim(before)).is_err() {
            self.stats.add(Counter::Error, 1);
        }
        Ok(())
    }

    /// Counts the bytes as unfinished while they are in `tmp/`, and then as the shard's. Of two
    /// writers of one new key at the same moment both may count it; the next listing corrects that.
    fn write_and_place(
        &self,
        kind: EntryKind,
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
            self.directory_of(kind).place(&root, temporary, name)
        });
        let row = ShardRow::Shard(name.0[0]);
        match &placed {
            Ok(Placement::New) => {
                let change = one(kind, Sign::More);
                let bytes = signed(size, Sign::More);
                totals.change(row, StoreChange { bytes, ..change });
            }
            Ok(Placement::Replaced(held)) => {
                totals.change(row, bytes_change(size, Sign::More));
                totals.change(row, bytes_change(*held, Sign::Less));
            }
            Ok(Placement::Dropped) | Err(_) => {}
        }
        totals.change(ShardRow::Unfinished, bytes_change(size, Sign::Less));
        placed.map(|_| ())
    }

    /// The root, made again if it was removed.
    fn root_made(&self) -> Result<Directory, StoreError> {
        root::make(&self.root)
    }

    fn take_out(&self, kind: EntryKind, name: Name) -> Result<bool, StoreError> {
        if self.access == Access::ReadOnly {
            return Ok(false);
        }
        let removed = self.directory_of(kind).remove(name)?;
        self.count_out(kind, name.0[0], removed);
        Ok(removed.is_some())
    }

    /// Removes a file if it is still the one that was seen, and counts it out.
    fn discard(&self, kind: EntryKind, name: Name, seen: &FileMeta) -> Result<(), StoreError> {
        if self.access == Access::ReadWrite {
            let removed = self.directory_of(kind).remove_seen(name, seen)?;
            self.count_out(kind, name.0[0], removed);
        }
        Ok(())
    }

    pub(super) fn count_out(&self, kind: EntryKind, shard: u8, removed: Option<FileMeta>) {
        if let Some(file) = removed.filter(|file| file.is_file) {
            let change = StoreChange {
                bytes: signed(file.size, Sign::Less),
                ..one(kind, Sign::Less)
            };
            self.stats.totals().change(ShardRow::Shard(shard), change);
        }
    }

    /// Removes temporary files of dead writers; their bytes.
    pub(super) fn sweep(&self) -> Result<u64, StoreError> {
        let Some(root) = self.directory()? else {
            return Ok(0);
        };
        let totals = self.stats.totals();
        let start = totals.begin_scan(ShardRow::Unfinished);
        let swept = tmp::sweep(&root, &self.root)?;
        let left = StoreSize {
            bytes: swept.left,
            ..StoreSize::default()
        };
        totals.finish_scan(start, left);
        Ok(swept.freed)
    }
}
