//! Visits every file of a store, for commands that list, check or remove by other rules than the policy's. These reads
//! do not mark files as used, so the order of eviction stays the same.

use super::backend::{Cleared, Name};
use super::error::StoreError;
use super::file::FileStore;
use super::kind::{Access, EntryKind, Tree};
use super::policy::{Nanos, UsageLog};
use super::record::{LONGEST_RECORD, Unsealed};
use super::sharded_directory::{ListedFile, Listing};
use super::trust::Credentials;
use super::usage_log::load;

/// One file as it was when listed.
#[derive(Debug)]
pub struct SurveyedFile<'a> {
    /// Its name.
    pub name: Name,
    /// The tree in which it lies.
    pub tree: Tree,
    /// Size in bytes; for a record with its header.
    pub size: u64,
    /// Time of the last read, or of the last write if it was never read.
    pub read: Nanos,
    /// Time of the last write.
    pub written: Nanos,
    /// How often it was written or read; `None` under policies that do not count uses.
    pub uses: Option<u64>,
    credentials: &'a Credentials,
    listing: &'a Listing,
    file: &'a ListedFile,
}

/// What to do with a visited file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitAction {
    /// Keep it.
    Keep,
    /// Remove it, if it is still the file that was visited.
    Remove,
}

/// The result of reading a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The value, as it was stored.
    Whole(Vec<u8>),
    /// A record that another key has signed. Only a holder of that key can check it.
    Signed,
    /// A record that is not as it was stored.
    Damaged,
    /// The file was removed or replaced meanwhile.
    Gone,
}

/// Whether the name of an entry is the one that an artefact with its content has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Yes: a whole artefact.
    Whole,
    /// No: a damaged artefact, or another program's entry.
    Unproven,
    /// The file was removed or replaced meanwhile.
    Gone,
}

impl SurveyedFile<'_> {
    /// Its path below the store's root.
    pub fn path(&self) -> String {
        format!("{}/{}", self.tree.path(), self.name)
    }

    /// The first bytes, at most `length`; empty if the file cannot be read.
    pub fn head(&self, length: usize) -> Vec<u8> {
        self.listing.head(self.file, length)
    }

    /// All its bytes, as they are; `None` if the file was removed or replaced meanwhile.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn bytes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.listing.contents(self.file)
    }

    /// Reads and verifies a record.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn record(&self) -> Result<Reading, StoreError> {
        if self.size > LONGEST_RECORD {
            return Ok(Reading::Damaged);
        }
        let Some(bytes) = self.listing.contents(self.file)? else {
            return Ok(Reading::Gone);
        };
        Ok(match self.credentials.check(self.name, bytes) {
            Unsealed::Whole(value) => Reading::Whole(value),
            Unsealed::Foreign => Reading::Signed,
            Unsealed::Damaged => Reading::Damaged,
        })
    }

    /// Reads an entry and compares its content with its name.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn prove(&self) -> Result<Proof, StoreError> {
        Ok(match self.listing.artefacts(self.file)? {
            Some((raw, packed)) => {
                let is_packed =
                    packed.is_some_and(|packed| Name::of(&packed.packed_key()) == self.name);
                if is_packed || Name::of(&raw.key()) == self.name {
                    Proof::Whole
                } else {
                    Proof::Unproven
                }
            }
            None => Proof::Gone,
        })
    }
}

impl FileStore {
    /// Calls `each` for every file of `kind`, in the order of names, and removes the file if that is the verdict.
    /// Returns what was removed. A store that is open for reading removes nothing. Files that no store has
    /// created are left out.
    ///
    /// # Errors
    /// A directory cannot be listed; or the first file that cannot be removed, after all others have
    /// been tried.
    pub fn survey(
        &self,
        kind: EntryKind,
        each: impl FnMut(&SurveyedFile<'_>) -> VisitAction,
    ) -> Result<Cleared, StoreError> {
        self.survey_shards(kind, 0..=u8::MAX, each)
    }

    /// Does the same in these shards alone, so that several threads can share a survey.
    ///
    /// # Errors
    /// As those of [`survey`](Self::survey).
    pub fn survey_shards(
        &self,
        kind: EntryKind,
        shards: impl IntoIterator<Item = u8>,
        mut each: impl FnMut(&SurveyedFile<'_>) -> VisitAction,
    ) -> Result<Cleared, StoreError> {
        let mut cleared = Cleared::default();
        let Some(root) = self.directory()? else {
            return Ok(cleared);
        };
        let mut trouble = Ok(());
        for number in shards {
            let shard = self.list_shard(&root, number, kind)?;
            // Only a policy that counts uses can say how often a file was used.
            let usages = (self.policy.log() == UsageLog::Uses).then(|| load(&root, number));
            let mut files: Vec<_> = shard.files().collect();
            files.sort_by(|(_, tree, file), (_, other_tree, other)| {
                let by_tree = tree.path().cmp(other_tree.path());
                by_tree.then_with(|| file.by_name(other))
            });
            for (at, tree, file) in files {
                let Some(name) = file.name_in(number) else {
                    continue;
                };
                let uses = usages.as_ref().map(|usages| {
                    let usage = usages.get(&(tree, name));
                    usage.map_or(1, |usage| usage.uses.max(1))
                });
                let surveyed = self.surveyed((tree, name), &shard.listings[at].1, file, uses);
                if each(&surveyed) == VisitAction::Keep || self.access == Access::ReadOnly {
                    continue;
                }
                let removed = self.remove_listed(&shard, at, file);
                trouble = trouble.and(cleared.add(removed, file.facts.size));
            }
        }
        trouble.map(|()| cleared)
    }

    /// Calls `look` for one file. `None` if it is gone. Does not say how often it was used.
    ///
    /// # Errors
    /// Its directory cannot be read.
    pub fn look_at<T>(
        &self,
        (tree, name): (Tree, Name),
        look: impl FnOnce(&SurveyedFile<'_>) -> T,
    ) -> Result<Option<T>, StoreError> {
        let Some(root) = self.directory()? else {
            return Ok(None);
        };
        let listing = self.directory_of(tree).list_one(&root, name)?;
        Ok(listing.and_then(|listing| {
            let file = listing.files.first()?;
            Some(look(&self.surveyed((tree, name), &listing, file, None)))
        }))
    }

    fn surveyed<'a>(
        &'a self,
        (tree, name): (Tree, Name),
        listing: &'a Listing,
        file: &'a ListedFile,
        uses: Option<u64>,
    ) -> SurveyedFile<'a> {
        SurveyedFile {
            name,
            tree,
            size: file.facts.size,
            read: file.facts.read.max(file.facts.written),
            written: file.facts.written,
            uses,
            credentials: &self.credentials,
            listing,
            file,
        }
    }
}
