//! Records whose names are known and whose keys are not: what a list of records names that another machine has made.

use super::trust::RecordUse;
use super::{FileStore, Name, Standing, StoreError, Worth};

impl FileStore {
    /// Whether the name of a record is the digest of its key: not where results are signed.
    pub fn names_are_digests(&self) -> bool {
        match self.standing() {
            Standing::Exclusive | Standing::Owner | Standing::Everyone => true,
            Standing::Signed | Standing::Own | Standing::Nothing => false,
        }
    }

    /// Stores a record under the name of its key. `false` if names have other forms here.
    ///
    /// # Errors
    /// As for [`FileStore::put`].
    pub fn put_named_record(
        &self,
        worth: Worth,
        name: Name,
        value: &[u8],
    ) -> Result<bool, StoreError> {
        if !self.names_are_digests() {
            return Ok(false);
        }
        let level = match worth {
            Worth::Result => None,
            Worth::Intermediate => self.compression.internal(),
        };
        self.seal_as(name, value, (RecordUse::Result, worth), level)?;
        Ok(true)
    }
}
