//! Goes through every file of a store, for commands that list, check or remove by other rules than the policy's.
//! Reading here is no use: it leaves the order of eviction alone.

use super::backend::{Cleared, Name};
use super::error::StoreError;
use super::file::{FileStore, LONGEST_RECORD};
use super::kind::{Access, EntryKind};
use super::policy::{Nanos, UsageLog};
use super::record::Unsealed;
use super::sharded_directory::{ListedFile, Listing, name_of};
use super::trust::Credentials;
use super::usage_log::load;

/// One file as it was when listed.
#[derive(Debug)]
pub struct SurveyedFile<'a> {
    /// Which.
    pub name: Name,
    /// Bytes, with the header of a record.
    pub size: u64,
    /// Last read, or written if it never was.
    pub read: Nanos,
    /// Last written.
    pub written: Nanos,
    /// How often it was written or read; `None` under policies that do not count it.
    pub uses: Option<u64>,
    credentials: &'a Credentials,
    listing: &'a Listing,
    file: &'a ListedFile,
}

/// What becomes of a file that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It goes, if it is still the one that was looked at.
    Remove,
}

/// What is in the place of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The value, as it was stored.
    Whole(Vec<u8>),
    /// A record that another key has signed: whether it is whole, only those can tell who have that.
    Signed,
    /// A record that is not as it was stored.
    Damaged,
    /// It went meanwhile, or another one has come to its place.
    Gone,
}

/// Whether the content of an entry makes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It does: a whole artefact.
    Whole,
    /// It does not: a damaged artefact, or another program's entry.
    Unproven,
    /// It went meanwhile, or another one has come to its place.
    Gone,
}

impl SurveyedFile<'_> {
    /// The beginning, at most `length` bytes; empty where it cannot be read.
    pub fn head(&self, length: usize) -> Vec<u8> {
        self.listing.head(self.file, length)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// It is there and cannot be read.
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

    /// Reads an entry.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn prove(&self) -> Result<Proof, StoreError> {
        Ok(match self.listing.artefact(self.file)? {
            Some(found) if Name::of(&found.key()) == self.name => Proof::Whole,
            Some(_) => Proof::Unproven,
            None => Proof::Gone,
        })
    }
}

impl FileStore {
    /// Shows every file of a sort to `each`, shard by shard, and removes what it says; what was
    /// removed. A store that is open for reading removes nothing. Files that no store has made are
    /// left out.
    ///
    /// # Errors
    /// A directory cannot be listed; or the first file that cannot be removed, after all others have
    /// been tried.
    pub fn survey(
        &self,
        kind: EntryKind,
        mut each: impl FnMut(&SurveyedFile<'_>) -> Verdict,
    ) -> Result<Cleared, StoreError> {
        let mut cleared = Cleared::default();
        let Some(root) = self.directory()? else {
            return Ok(cleared);
        };
        let mut trouble = Ok(());
        for number in 0..=u8::MAX {
            let shard = self.scan_shard(&root, number)?;
            let known = (self.policy.log() == UsageLog::Uses).then(|| load(&root, number));
            for (at, _, file) in shard.files().filter(|(_, found, _)| *found == kind) {
                let Some(name) = name_of(number, &file.name) else {
                    continue;
                };
                let uses = known.as_ref().map(|known| {
                    let noted = known.get(&(kind, name));
                    noted.map_or(1, |usage| usage.uses.max(1))
                });
                let stored = SurveyedFile {
                    name,
                    size: file.facts.size,
                    read: file.facts.read.max(file.facts.written),
                    written: file.facts.written,
                    uses,
                    credentials: &self.credentials,
                    listing: &shard.listings[at].1,
                    file,
                };
                if each(&stored) == Verdict::Keep || self.access == Access::ReadOnly {
                    continue;
                }
                let removed = self.remove_listed(&shard, at, file);
                trouble = trouble.and(cleared.add(removed, file.facts.size));
            }
        }
        trouble.map(|()| cleared)
    }
}
