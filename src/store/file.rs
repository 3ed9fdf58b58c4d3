//! The file-stream store: get, put, remove, and eviction when it holds too much. Every value is
//! written to a temporary file, synced and renamed, so that readers see all of it or nothing. Totals
//! are kept in the counter page, so that a put lists no directory. Does not know what it stores.

use super::area::{Area, FileFacts, Touch, is_missing, list_files, make_directory, now};
use super::policy::{Candidate, Limits, Nanos, Policy};
use super::{Artefact, Cleared, StoreError, record};
use crate::stats::{Counter, PAGE_PREFIX, Stats, StoreChange, StoreSize};
use std::fs::symlink_metadata;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A temporary file that is older belongs to a writer that died: one hour, in nanoseconds.
const STALE: Nanos = 3600 * 1_000_000_000;

/// Whether the store may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

/// What a file counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Entry,
    Record,
}

/// Everything that takes room, and the totals.
struct Census {
    files: Vec<(Sort, FileFacts)>,
    /// Bytes of files that are being written; no eviction can free them.
    unfinished: u64,
    size: StoreSize,
}

/// A store in a directory, shared with any number of other processes.
#[derive(Debug)]
pub struct FileStore {
    max_bytes: u64,
    access: Access,
    entries: Area,
    records: Area,
    tmp: PathBuf,
    stats: Stats,
}

impl FileStore {
    /// Opens the store in `root`, making the directory (mode 0700) where it is missing. It holds at
    /// most about `max_bytes` bytes: a put may exceed them until its eviction is done.
    ///
    /// # Errors
    /// `max_bytes` of zero; a root that cannot be made; something else than a directory in the place
    /// of one of the store's own.
    pub fn open(root: &Path, max_bytes: u64) -> Result<Self, StoreError> {
        let root = absolute(root)?;
        make_directory(&root)?;
        Self::with(&root, max_bytes, Access::ReadWrite, Stats::open(&root))
    }

    /// Opens the store in `root` for reading. Puts, removals and clearing do nothing, and reads leave
    /// no mark. Counters count where they can. A root that does not exist is an empty store.
    ///
    /// # Errors
    /// As for [`FileStore::open`], apart from making the root.
    pub fn open_read_only(root: &Path, max_bytes: u64) -> Result<Self, StoreError> {
        let root = absolute(root)?;
        let stats = Stats::open_existing(&root);
        Self::with(&root, max_bytes, Access::ReadOnly, stats)
    }

    fn with(root: &Path, max_bytes: u64, access: Access, stats: Stats) -> Result<Self, StoreError> {
        if max_bytes == 0 {
            return Err(StoreError::NoRoom);
        }
        let entries = root.join("entries");
        let manifests = root.join("manifests");
        let results = manifests.join("results");
        let tmp = root.join("tmp");
        for dir in [&entries, &manifests, &results, &tmp] {
            refuse_non_directory(dir)?;
        }
        Ok(Self {
            max_bytes,
            access,
            entries: Area::new(entries),
            records: Area::new(results),
            tmp,
            stats,
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
        let found = self.entries.read(key, self.touch())?;
        Ok(found.map(|(_, bytes)| bytes))
    }

    /// Stores `value` under `key`, in the place of what was there.
    ///
    /// # Errors
    /// The value is larger than the store, or cannot be written.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.write(Sort::Entry, key, &[value])
    }

    /// Removes the entry of `key`; whether there was one.
    ///
    /// # Errors
    /// The entry exists and cannot be removed.
    pub fn remove(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.take_out(Sort::Entry, key)
    }

    /// Stores `bytes` under a key made of their digest. Where the same bytes are stored already,
    /// they are only marked as used.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_artefact(&self, bytes: &[u8]) -> Result<Artefact, StoreError> {
        let artefact = Artefact::of(bytes);
        let key = artefact.key();
        // Reading and comparing costs less than a write with its sync. An entry that cannot be read
        // is replaced.
        let held = self.entries.read(&key, self.touch()).unwrap_or(None);
        if held.is_none_or(|(_, held)| held != bytes) {
            self.write(Sort::Entry, &key, &[bytes])?;
        }
        Ok(artefact)
    }

    /// The bytes of `artefact`, with size and digest verified. A damaged entry is removed and counted
    /// as an error, and is `None`.
    ///
    /// # Errors
    /// The entry exists and cannot be read.
    pub fn get_artefact(&self, artefact: &Artefact) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((file, bytes)) = self.entries.read(&artefact.key(), self.touch())? else {
            return Ok(None);
        };
        if bytes.len() as u64 == artefact.size && Artefact::of(&bytes) == *artefact {
            return Ok(Some(bytes));
        }
        self.discard_damaged(Sort::Entry, &file);
        Ok(None)
    }

    /// The record under `key`, or `None`. A damaged record is removed and counted as an error.
    ///
    /// # Errors
    /// The record exists and cannot be read.
    pub fn get_record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((file, bytes)) = self.records.read(key, self.touch())? else {
            return Ok(None);
        };
        let value = record::unseal(key, bytes);
        if value.is_none() {
            self.discard_damaged(Sort::Record, &file);
        }
        Ok(value)
    }

    /// Stores a record with its checksum under `key`, in the place of what was there.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_record(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.write(Sort::Record, key, &[&record::header(key, value), value])
    }

    /// Removes the record of `key`; whether there was one.
    ///
    /// # Errors
    /// The record exists and cannot be removed.
    pub fn remove_record(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.take_out(Sort::Record, key)
    }

    /// The number of entries, by listing them; records are not counted.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn len(&self) -> Result<u64, StoreError> {
        Ok(self.entries.list()?.len() as u64)
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.entries.list()?.is_empty())
    }

    /// The bytes of entries, records and files being written, as counted; listed where nobody has
    /// counted yet.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        match self.stats.store_size() {
            Some(size) if self.stats.is_shared() => Ok(size.bytes),
            _ => Ok(self.recount()?.bytes),
        }
    }

    /// Lists everything and corrects the counted totals.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn recount(&self) -> Result<StoreSize, StoreError> {
        let start = self.stats.begin_scan();
        let census = self.census()?;
        self.stats.finish_scan(start, census.size);
        Ok(census.size)
    }

    /// Removes all entries, records and stale temporary files. What others write meanwhile stays.
    ///
    /// # Errors
    /// The first file that cannot be removed, after all others have been tried.
    pub fn clear(&self) -> Result<Cleared, StoreError> {
        let mut cleared = Cleared::default();
        if self.access == Access::ReadOnly {
            return Ok(cleared);
        }
        cleared.bytes = self.sweep()?;
        let census = self.census()?;
        let mut trouble = Ok(());
        for (sort, file) in &census.files {
            match self.discard(*sort, file) {
                Ok(true) => {
                    cleared.files += 1;
                    cleared.bytes += file.size;
                }
                Ok(false) => {}
                Err(error) => trouble = trouble.and(Err(error)),
            }
        }
        self.recount()?;
        trouble.map(|()| cleared)
    }

    fn touch(&self) -> Touch {
        match self.access {
            Access::ReadWrite => Touch::Mark,
            Access::ReadOnly => Touch::Leave,
        }
    }

    fn area(&self, sort: Sort) -> &Area {
        match sort {
            Sort::Entry => &self.entries,
            Sort::Record => &self.records,
        }
    }

    /// The put of any sort of file, whose contents are `parts` in a row.
    fn write(&self, sort: Sort, key: &[u8], parts: &[&[u8]]) -> Result<(), StoreError> {
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        let max_bytes = self.max_bytes;
        let size = parts.iter().map(|part| part.len() as u64).sum();
        if size > max_bytes {
            return Err(StoreError::TooLarge { size, max_bytes });
        }
        // A new counter page knows nothing of what is on the disk.
        let start = self.stats.begin_scan();
        if start.is_first() {
            self.stats.finish_scan(start, self.census()?.size);
        }
        // Counted before it is there, as a scan by another process counts temporary files too.
        self.stats.change_store(bytes_change(size, Sign::More));
        match self.write_and_place(sort, key, parts) {
            Ok(Some(replaced)) => {
                let change = bytes_change(replaced, Sign::Less);
                self.stats.change_store(change);
            }
            Ok(None) => self.stats.change_store(one(sort, Sign::More)),
            Err(error) => {
                self.stats.change_store(bytes_change(size, Sign::Less));
                return Err(error);
            }
        }
        // The value is stored, whatever becomes of the old ones.
        if self.trim(Policy::default()).is_err() {
            self.stats.add(Counter::Error, 1);
        }
        Ok(())
    }

    /// The size of the file that was replaced, if there was one. Of two writers of one key at the
    /// same moment both may see none; the next scan corrects that.
    fn write_and_place(
        &self,
        sort: Sort,
        key: &[u8],
        parts: &[&[u8]],
    ) -> Result<Option<u64>, StoreError> {
        let mut temp = self.temporary()?;
        let path = temp.path().to_owned();
        let failed = StoreError::io("write", &path);
        for part in parts {
            temp.write_all(part).map_err(&failed)?;
        }
        // Without this, a power cut after the rename could leave a name without contents.
        temp.as_file().sync_all().map_err(&failed)?;
        let area = self.area(sort);
        let replaced = area.look(key)?.map(|file| file.size);
        area.place(temp, key)?;
        Ok(replaced)
    }

    fn temporary(&self) -> Result<NamedTempFile, StoreError> {
        let make = || {
            tempfile::Builder::new()
                .prefix("entry-")
                // The umask decides, as in a directory that a group shares.
                .permissions(PermissionsExt::from_mode(0o666))
                .tempfile_in(&self.tmp)
        };
        let made = match make() {
            // On first use, or removed by somebody who tidied up.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_directory(&self.tmp)?;
                make()
            }
            made => made,
        };
        made.map_err(StoreError::io("make a file in", &self.tmp))
    }

    fn take_out(&self, sort: Sort, key: &[u8]) -> Result<bool, StoreError> {
        if self.access == Access::ReadOnly {
            return Ok(false);
        }
        match self.area(sort).look(key)? {
            Some(file) => self.discard(sort, &file),
            None => Ok(false),
        }
    }

    /// Removes a file if it is still the one that was seen, and counts it out.
    fn discard(&self, sort: Sort, file: &FileFacts) -> Result<bool, StoreError> {
        let removed = file.remove_unchanged()?;
        if removed {
            self.stats.change_store(StoreChange {
                bytes: signed(file.size, Sign::Less),
                ..one(sort, Sign::Less)
            });
        }
        Ok(removed)
    }

    /// Counts damage. The file goes if it can; one that cannot be removed is never served either.
    fn discard_damaged(&self, sort: Sort, file: &FileFacts) {
        self.stats.add(Counter::Error, 1);
        if self.access == Access::ReadWrite {
            let _ = self.discard(sort, file);
        }
    }

    /// Evicts by `policy` if the counted size is over the cap. Without shared totals only a listing
    /// can tell.
    fn trim(&self, policy: Policy) -> Result<(), StoreError> {
        let counted = self.stats.store_size().map_or(u64::MAX, |size| size.bytes);
        if self.stats.is_shared() && counted <= self.max_bytes {
            return Ok(());
        }
        self.sweep()?;
        let start = self.stats.begin_scan();
        let census = self.census()?;
        self.stats.finish_scan(start, census.size);
        let candidate = |(_, file): &(Sort, FileFacts)| Candidate {
            size: file.size,
            read: file.read,
            written: file.written,
            uses: 1,
            expires: None,
        };
        let candidates: Vec<_> = census.files.iter().map(candidate).collect();
        let limits = Limits::below(self.max_bytes).without(census.unfinished);
        let mut trouble = Ok(());
        for at in policy.victims(&candidates, limits, now()) {
            let (sort, file) = &census.files[at];
            match self.discard(*sort, file) {
                Ok(true) => self.stats.add(Counter::Evicted, 1),
                Ok(false) => {}
                Err(error) => trouble = trouble.and(Err(error)),
            }
        }
        trouble
    }

    fn census(&self) -> Result<Census, StoreError> {
        let entries = self.entries.list()?;
        let records = self.records.list()?;
        let unfinished = list_files(&self.tmp)?;
        let unfinished = unfinished.iter().filter(|file| is_counted(file));
        let unfinished = unfinished.map(|file| file.size).sum();
        let stored = entries.iter().chain(&records).map(|file| file.size);
        let size = StoreSize {
            entries: entries.len() as u64,
            records: records.len() as u64,
            bytes: stored.sum::<u64>() + unfinished,
        };
        let entries = entries.into_iter().map(|file| (Sort::Entry, file));
        let records = records.into_iter().map(|file| (Sort::Record, file));
        Ok(Census {
            files: entries.chain(records).collect(),
            unfinished,
            size,
        })
    }

    /// Removes temporary files of dead writers; their bytes. One that cannot be removed is left for
    /// another time.
    fn sweep(&self) -> Result<u64, StoreError> {
        let oldest = now() - STALE;
        let mut freed = 0;
        for file in list_files(&self.tmp)? {
            if file.written >= oldest || !matches!(file.remove_unchanged(), Ok(true)) {
                continue;
            }
            freed += file.size;
            if is_counted(&file) {
                self.stats.change_store(bytes_change(file.size, Sign::Less));
            }
        }
        Ok(freed)
    }
}

/// Whether a temporary file is one of a store. Nobody adds or takes off the bytes of a counter page
/// that is being made, so a scan must not see them either.
fn is_counted(file: &FileFacts) -> bool {
    let name = file.path.file_name().unwrap_or_default();
    !name.as_bytes().starts_with(PAGE_PREFIX.as_bytes())
}

/// Whether something comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    More,
    Less,
}

fn signed(amount: u64, sign: Sign) -> i64 {
    // No file is that large.
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    match sign {
        Sign::More => amount,
        Sign::Less => -amount,
    }
}

fn bytes_change(bytes: u64, sign: Sign) -> StoreChange {
    StoreChange {
        bytes: signed(bytes, sign),
        ..StoreChange::default()
    }
}

/// One file of a sort, without its bytes.
fn one(sort: Sort, sign: Sign) -> StoreChange {
    let mut change = StoreChange::default();
    match sort {
        Sort::Entry => change.entries = signed(1, sign),
        Sort::Record => change.records = signed(1, sign),
    }
    change
}

/// The store outlives a change of the working directory.
fn absolute(root: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(root).map_err(StoreError::io("find", root))
}

/// A symlink, too, is refused: it could lead the store's removals elsewhere.
fn refuse_non_directory(dir: &Path) -> Result<(), StoreError> {
    match symlink_metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(StoreError::NotADirectory { path: dir.into() }),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(StoreError::io("examine", dir)(error)),
    }
}
