//! Lists a store shard by shard, and corrects the counted totals of each listed shard.

use super::backend::{Cleared, Entry};
use super::content_kind::{CLASS_HEAD, ContentKind};
use super::error::StoreError;
use super::file::FileStore;
use super::kind::{Access, EntryKind, Tree};
use super::policy::{Candidate, UsageLog};
use super::sharded_directory::{ListedFile, Listing};
use super::tmp;
use super::usage_log::{Usage, UsageMap, forget, load};
use crate::files::{Directory, seconds};
use crate::stats::{ShardRow, StoreSize, Totals};

/// Number of files that one put may list, unless a single shard has more. In a store of a million files a
/// shard has 3900, and a put lists one shard.
pub(super) const MOST_LISTED: u64 = 4000;

/// How often some put lists one shard in case others have changed it, in seconds.
const SCAN_SECONDS: u64 = 60;

/// The files of one shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) number: u8,
    pub(super) listings: Vec<(Tree, Listing)>,
}

impl Shard {
    pub(super) fn size(&self) -> StoreSize {
        let mut size = StoreSize::default();
        for (tree, listing) in &self.listings {
            let files = listing.files.len() as u64;
            match tree.kind {
                EntryKind::Entry => size.entries += files,
                EntryKind::Record => size.records += files,
            }
            // Sparse files can have sizes whose sum exceeds any disk.
            let sizes = listing.files.iter().map(|file| file.facts.size);
            size.bytes = sizes.fold(size.bytes, u64::saturating_add);
        }
        size
    }

    /// Every file, with the index of its listing in `listings`.
    pub(super) fn files(&self) -> impl Iterator<Item = (usize, Tree, &ListedFile)> {
        let listings = self.listings.iter().enumerate();
        listings.flat_map(|(at, (tree, listing))| {
            let files = listing.files.iter();
            files.map(move |file| (at, *tree, file))
        })
    }
}

impl FileStore {
    /// Lists a shard and corrects its totals.
    pub(super) fn scan_shard(&self, root: &Directory, number: u8) -> Result<Shard, StoreError> {
        let totals = self.stats.totals();
        let start = totals.begin_scan(ShardRow::Shard(number));
        let shard = self.list_trees(root, number, Tree::ALL.into_iter())?;
        totals.finish_scan(start, shard.size());
        Ok(shard)
    }

    /// Lists the files of one kind in a shard.
    pub(super) fn list_shard(
        &self,
        root: &Directory,
        number: u8,
        kind: EntryKind,
    ) -> Result<Shard, StoreError> {
        let trees = Tree::ALL.into_iter().filter(|tree| tree.kind == kind);
        self.list_trees(root, number, trees)
    }

    fn list_trees(
        &self,
        root: &Directory,
        number: u8,
        trees: impl Iterator<Item = Tree>,
    ) -> Result<Shard, StoreError> {
        let mut listings = Vec::with_capacity(Tree::ALL.len());
        for tree in trees {
            let listing = self.directory_of(tree).list(root, number)?;
            listings.extend(listing.map(|listing| (tree, listing)));
        }
        Ok(Shard { number, listings })
    }

    /// The counted size of the store. Lists as much as one put may pay for: on a new page a
    /// sample of the shards, later one shard that is not known yet, and once a minute the next in turn.
    pub(super) fn held(&self) -> Result<StoreSize, StoreError> {
        let totals = self.stats.totals();
        let shard = match totals.size() {
            None => {
                self.sample(totals)?;
                None
            }
            Some(_) => totals.unknown().or_else(|| {
                let is_time = totals.is_time(seconds(), SCAN_SECONDS);
                is_time.then(|| totals.take_turns(1))
            }),
        };
        if let Some(shard) = shard
            && let Some(root) = self.directory()?
        {
            self.scan_shard(&root, shard)?;
        }
        Ok(totals.size().unwrap_or_default())
    }

    /// Lists shards until all are known or [`MOST_LISTED`] files were seen.
    fn sample(&self, totals: &Totals) -> Result<(), StoreError> {
        let Some(root) = self.directory()? else {
            return Ok(());
        };
        self.measure_unfinished(&root)?;
        let first = totals.take_turns(0);
        let mut listed = 0;
        for step in 0..=u8::MAX {
            listed += self
                .scan_shard(&root, first.wrapping_add(step))?
                .size()
                .files();
            if listed >= MOST_LISTED {
                break;
            }
        }
        Ok(())
    }

    fn measure_unfinished(&self, root: &Directory) -> Result<StoreSize, StoreError> {
        let totals = self.stats.totals();
        let start = totals.begin_scan(ShardRow::Unfinished);
        let size = StoreSize {
            bytes: tmp::measure(root, &self.root)?,
            ..StoreSize::default()
        };
        totals.finish_scan(start, size);
        Ok(size)
    }

    /// Lists everything and corrects the counted totals.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn recount(&self) -> Result<StoreSize, StoreError> {
        let Some(root) = self.directory()? else {
            return Ok(StoreSize::default());
        };
        let mut size = self.measure_unfinished(&root)?;
        for number in 0..=u8::MAX {
            size = size.plus(self.scan_shard(&root, number)?.size());
        }
        Ok(size)
    }

    /// The number of entries, by listing them. Counts neither records nor expired entries.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn len(&self) -> Result<u64, StoreError> {
        if self.policy.knows_expiry() {
            return Ok(self.entries()?.len() as u64);
        }
        let Some(root) = self.directory()? else {
            return Ok(0);
        };
        let trees = Tree::ALL
            .into_iter()
            .filter(|tree| tree.kind == EntryKind::Entry);
        let shards = trees.flat_map(|tree| (0..=u8::MAX).map(move |number| (tree, number)));
        let count = |(tree, number)| self.directory_of(tree).count(&root, number);
        shards.map(count).sum()
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// The bytes of entries, records and unfinished files: as counted, or by listing if the counted
    /// totals are not complete.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let totals = self.stats.totals();
        match totals.size() {
            Some(size) if totals.is_shared() && totals.unknown().is_none() => Ok(size.bytes),
            _ => Ok(self.recount()?.bytes),
        }
    }

    /// Every entry that has not expired. Leaves out files that no store has created.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        self.each_shard(|_, shard, candidates| {
            let now = crate::files::now();
            for ((_, tree, file), candidate) in shard.files().zip(candidates) {
                if tree.kind == EntryKind::Entry && !self.policy.is_expired(candidate, now) {
                    entries.extend(entry_of(shard.number, file));
                }
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// Removes expired files. Returns the entries among them, first expired first. Does nothing under policies
    /// without expiry.
    ///
    /// # Errors
    /// The first file that cannot be removed, after all others have been tried.
    pub fn expire(&self) -> Result<Vec<Entry>, StoreError> {
        if !self.policy.knows_expiry() || self.access == Access::ReadOnly {
            return Ok(Vec::new());
        }
        let mut removed = Vec::new();
        let mut trouble = Ok(());
        self.each_shard(|_, shard, candidates| {
            let files: Vec<_> = shard.files().collect();
            for at in self.policy.expired(candidates, crate::files::now()) {
                let (listing, tree, file) = files[at];
                match self.remove_listed(shard, listing, file) {
                    Ok(true) if tree.kind == EntryKind::Entry => {
                        let entry = entry_of(shard.number, file);
                        removed.extend(entry.map(|entry| (candidates[at].expires, entry)));
                    }
                    Ok(_) => {}
                    Err(error) if trouble.is_ok() => trouble = Err(error),
                    Err(_) => {}
                }
            }
            Ok(())
        })?;
        removed.sort_by_key(|(expires, entry)| (*expires, entry.written));
        trouble.map(|()| removed.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Removes all entries, records, usage logs and stale temporary files. Files that other processes write
    /// meanwhile stay, and so do empty shards: another process may be about to rename a file into one.
    ///
    /// # Errors
    /// The first file that cannot be removed, after all others have been tried.
    pub fn clear(&self) -> Result<Cleared, StoreError> {
        self.clear_watched(&mut |_, _| {})
    }

    /// Clears the store, and calls `watch` with the number of shards done and their total.
    ///
    /// # Errors
    /// As for [`FileStore::clear`].
    pub fn clear_watched(&self, watch: &mut dyn FnMut(u64, u64)) -> Result<Cleared, StoreError> {
        let mut cleared = Cleared::default();
        if self.access == Access::ReadOnly {
            return Ok(cleared);
        }
        cleared.bytes = self.sweep()?;
        let mut trouble = Ok(());
        if let Some(root) = self.directory()? {
            for number in 0..=u8::MAX {
                watch(number.into(), 1 << u8::BITS);
                let shard = self.scan_shard(&root, number)?;
                for (listing, _, file) in shard.files() {
                    let removed = self.remove_listed(&shard, listing, file);
                    trouble = trouble.and(cleared.add(removed, file.facts.size));
                }
            }
        }
        if let Some(root) = self.directory()? {
            let removed = forget(&root).map_err(StoreError::io("remove logs in", &self.root));
            trouble = trouble.and(removed);
        }
        self.recount()?;
        trouble.map(|()| cleared)
    }

    /// Removes a file if it is still the one that was listed, and subtracts it from the totals. Returns whether it
    /// was removed.
    pub(super) fn remove_listed(
        &self,
        shard: &Shard,
        listing: usize,
        file: &ListedFile,
    ) -> Result<bool, StoreError> {
        let (tree, listing) = &shard.listings[listing];
        let removed = listing.remove(file)?;
        self.count_out(*tree, shard.number, removed.then_some(file.facts));
        Ok(removed)
    }

    /// The facts of every file of a shard for the policy, in the order of [`Shard::files`].
    pub(super) fn candidates(&self, root: &Directory, shard: &Shard) -> Vec<Candidate> {
        let usages = if self.policy.needs_log() {
            load(root, shard.number)
        } else {
            UsageMap::new()
        };
        let files = shard.files().map(|(at, tree, file)| {
            let name = file.name_in(shard.number);
            let usage = name.and_then(|name| usages.get(&(tree, name)).copied());
            self.candidate(tree, file, &shard.listings[at].1, usage.unwrap_or_default())
        });
        files.collect()
    }

    fn candidate(
        &self,
        tree: Tree,
        file: &ListedFile,
        listing: &Listing,
        usage: Usage,
    ) -> Candidate {
        let class = match (self.policy.log(), tree.kind) {
            // A file whose line is missing in the log is read.
            (UsageLog::Kinds, EntryKind::Entry) => usage
                .class
                .unwrap_or_else(|| ContentKind::of(&listing.head(file, CLASS_HEAD))),
            _ => ContentKind::Object,
        };
        Candidate {
            size: file.facts.size,
            worth: tree.worth,
            read: file.facts.read,
            written: file.facts.written,
            uses: usage.uses.max(1),
            expires: self.policy.expires(class, file.facts.written),
        }
    }

    fn each_shard(
        &self,
        mut each: impl FnMut(&Directory, &Shard, &[Candidate]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(root) = self.directory()? else {
            return Ok(());
        };
        for number in 0..=u8::MAX {
            let shard = self.scan_shard(&root, number)?;
            let candidates = self.candidates(&root, &shard);
            each(&root, &shard, &candidates)?;
        }
        Ok(())
    }
}

fn entry_of(shard: u8, file: &ListedFile) -> Option<Entry> {
    let facts = &file.facts;
    Some(Entry {
        name: file.name_in(shard)?,
        size: facts.size,
        read: facts.read,
        written: facts.written,
    })
}
