//! Decides which records a store believes. If only one user can write in the cache, it believes all whole records. If
//! others can write too, it believes those signed with the cache's key or, if that has none, with this user's own key.
//! The owner of a file proves nothing then: others can rename this user's files. `docs/design/threats.md` has the
//! reasons.

use super::backend::Name;
use super::error::StoreError;
use super::key::{KeyRefusal, SigningKey};
use super::own::Own;
use super::record::{self, Unsealed};
use crate::files::{Believed, FileMeta, Rights, Root, Trust};
use sha2::{Digest, Sha256};
use std::path::Path;

/// How the readers of a record use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordUse {
    /// As data: the result of a compile.
    Result,
    /// To decide which programs run, and with which arguments.
    Order,
}

/// The condition under which result records are believed.
#[derive(Clone, Debug)]
enum Domain {
    /// All are believed: only believed users can write in the cache.
    Exclusive,
    /// Signed with the configured key or with the cache's own.
    Key(Box<SigningKey>),
    /// Signed with this user's own key.
    Own(Box<SigningKey>),
    /// None are believed: there is no key, and no directory for one.
    Nothing,
}

/// The condition under which records are believed, as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Only this user and root can write in the cache.
    Exclusive,
    /// Others can write: records signed with the key are believed.
    Signed,
    /// Others can write, and the cache has no key: records of this user are believed.
    Own,
    /// Others can write, and there is no directory for this user's own key: nothing is believed.
    Nothing,
    /// Only believed users can write, and one of them is another user: `PCACHE_TRUST=owner`.
    Owner,
    /// Others can write, and are believed: `PCACHE_TRUST=everyone`.
    Everyone,
}

/// The rules by which one process believes the files of one cache.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    believed: Believed,
    domain: Domain,
    /// The rights of the cache's root; `None` if the cache does not exist.
    root: Option<Rights>,
    /// Why the cache's own key is not used.
    refused: Option<KeyRefusal>,
}

impl Credentials {
    /// The rules for the cache in `root`, which has these `rights` if it exists. Uses the key in the file `key` if
    /// that is configured, otherwise the cache's own key, otherwise this user's key in the directory `own`.
    pub(super) fn open(
        root: &Root,
        rights: Option<Rights>,
        trust: Trust,
        key: Option<&Path>,
        own: Option<&Own>,
    ) -> Result<Self, StoreError> {
        let key = key.map(read_key).transpose()?;
        let (Some(directory), Some(rights)) = (root.held(), rights) else {
            return Ok(Self {
                believed: Believed::nothing(),
                domain: Domain::Nothing,
                root: None,
                refused: None,
            });
        };
        if trust == Trust::Mine && rights.is_of_another_than_root() {
            return Err(StoreError::OfAnother {
                path: root.path.clone(),
                owner: rights.owner(),
            });
        }
        let mut credentials = Self::new(trust, rights, key);
        if matches!(credentials.domain, Domain::Nothing) {
            let of_user = || SigningKey::of_user(own?.root.held()?, own?.access);
            let of_cache = SigningKey::of_cache(directory, rights).unwrap_or_else(|why| {
                credentials.refused = Some(why);
                None
            });
            credentials.domain = match of_cache {
                Some(key) => Domain::Key(Box::new(key)),
                None => of_user().map_or(Domain::Nothing, |key| Domain::Own(Box::new(key))),
            };
        }
        Ok(credentials)
    }

    /// The rules for a cache whose root has these rights. A configured key is used even if only this user can write.
    fn new(trust: Trust, root: Rights, key: Option<SigningKey>) -> Self {
        let believed = Believed::new(trust, root);
        let domain = match key {
            Some(key) => Domain::Key(Box::new(key)),
            None if believed.is_everyone() || believed.wrote(root) => Domain::Exclusive,
            None => Domain::Nothing,
        };
        Self {
            believed,
            domain,
            root: Some(root),
            refused: None,
        }
    }

    /// Whether no other user but root can write in the cache.
    pub(super) fn is_alone(&self) -> bool {
        self.root.is_some_and(Rights::is_own)
    }

    pub(super) fn rights(&self) -> Option<Rights> {
        self.root
    }

    /// Why the cache's own key is not used, if it has one.
    pub(super) fn refused(&self) -> Option<&KeyRefusal> {
        self.refused.as_ref()
    }

    /// The condition under which records are believed.
    pub(super) fn standing(&self) -> Standing {
        match self.domain {
            Domain::Exclusive if self.believed.is_everyone() => Standing::Everyone,
            Domain::Exclusive if self.is_alone() => Standing::Exclusive,
            Domain::Exclusive => Standing::Owner,
            Domain::Key(_) => Standing::Signed,
            Domain::Own(_) => Standing::Own,
            Domain::Nothing => Standing::Nothing,
        }
    }

    /// Whether an entry may be believed without verification. If others can write in the cache, it may not: they
    /// could rename any file of this user's to the entry's name.
    pub(super) fn may_be_believed(&self, facts: &FileMeta) -> bool {
        (self.is_alone() || self.believes_unsigned()) && self.believed.wrote(facts.rights)
    }

    /// The name of the record of `key`. Records signed with different keys have different names, so that they do not
    /// replace each other. Orders are not signed: they lie where no other user can write.
    pub(super) fn name(&self, key: &[u8], usage: RecordUse) -> Name {
        match self.signer(usage) {
            None => Name::of(key),
            Some(signer) => {
                let mut name = Sha256::new_with_prefix("pcache-nvcc record of ");
                name.update(signer.id());
                name.update(key);
                Name(name.finalize().into())
            }
        }
    }

    fn signer(&self, usage: RecordUse) -> Option<&SigningKey> {
        match (&self.domain, usage) {
            (Domain::Key(key) | Domain::Own(key), RecordUse::Result) => Some(key),
            _ => None,
        }
    }

    /// Whether a record that is written now would be believed.
    pub(super) fn may_seal(&self, usage: RecordUse) -> bool {
        usage == RecordUse::Order || !matches!(self.domain, Domain::Nothing)
    }

    fn believes_unsigned(&self) -> bool {
        matches!(self.domain, Domain::Exclusive)
    }

    /// The header of a record.
    pub(super) fn header(&self, name: Name, value: &[u8], usage: RecordUse) -> Vec<u8> {
        record::header(name, value, self.signer(usage))
    }

    /// Verifies the record in a file with these `facts`.
    pub(super) fn unseal(
        &self,
        name: Name,
        facts: &FileMeta,
        bytes: Vec<u8>,
        usage: RecordUse,
    ) -> Unsealed {
        let signer = self.signer(usage);
        let is_believed = match usage {
            RecordUse::Order => facts.rights.is_own(),
            RecordUse::Result if signer.is_some() => true,
            RecordUse::Result => self.believes_unsigned() && self.believed.wrote(facts.rights),
        };
        if is_believed {
            record::unseal(name, bytes, signer)
        } else {
            Unsealed::Foreign
        }
    }

    /// Verifies the record of a result that comes from elsewhere, as a reader does after this user has stored it.
    pub(super) fn admit(&self, name: Name, bytes: Vec<u8>) -> Unsealed {
        let signer = self.signer(RecordUse::Result);
        if signer.is_some() || self.believes_unsigned() {
            record::unseal(name, bytes, signer)
        } else {
            Unsealed::Foreign
        }
    }

    /// Verifies a record of either use, for a listing.
    pub(super) fn check(&self, name: Name, bytes: Vec<u8>) -> Unsealed {
        let signer = match &self.domain {
            Domain::Key(key) | Domain::Own(key) if record::is_signed(&bytes) => Some(&**key),
            _ => None,
        };
        record::unseal(name, bytes, signer)
    }
}

/// Reads the configured key.
fn read_key(path: &Path) -> Result<SigningKey, StoreError> {
    // The meaning of a path must not depend on the directory in which a compile runs.
    let key = if path.is_absolute() {
        SigningKey::read(path)
    } else {
        Err("it is not an absolute path; begin it with /".to_owned())
    };
    key.map_err(|why| StoreError::Key {
        path: path.into(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::{Credentials, RecordUse, Standing, Trust, Unsealed};
    use crate::files::{FileMeta, Rights};
    use crate::store::key::SigningKey;
    use rustix::process::geteuid;

    /// Facts of a file with these rights.
    fn facts(rights: Rights) -> FileMeta {
        FileMeta {
            is_file: true,
            ino: 1,
            size: 1,
            read: 0,
            written: 0,
            rights,
        }
    }

    /// Whether what one user with these credentials stores is believed by another, if `owner` has the file.
    fn believes(credentials: &Credentials, usage: RecordUse, owner: u32) -> bool {
        let name = credentials.name(b"key", usage);
        let sealed = [credentials.header(name, b"value", usage), b"value".to_vec()];
        let facts = facts(Rights::of(owner, 0o640));
        let unsealed = credentials.unseal(name, &facts, sealed.concat(), usage);
        unsealed == Unsealed::Whole(b"value".to_vec())
    }

    #[test]
    fn results_of_others_are_believed_as_the_settings_say_and_without_a_key_not_by_their_owner() {
        let me = geteuid().as_raw();
        let (owner, other) = (me + 71, me + 72);
        let key = || Some(SigningKey::from_bytes([7; 32]));
        // What is believed of me, of the directory's owner, and of another.
        for (trust, mode, key, standing, results) in [
            (
                Trust::Owner,
                0o700,
                None,
                Standing::Owner,
                [true, true, false],
            ),
            (Trust::Everyone, 0o777, None, Standing::Everyone, [true; 3]),
            (Trust::Mine, 0o777, None, Standing::Nothing, [false; 3]),
            (Trust::Owner, 0o770, None, Standing::Nothing, [false; 3]),
            (Trust::Mine, 0o770, key(), Standing::Signed, [true; 3]),
        ] {
            let credentials = Credentials::new(trust, Rights::of(owner, mode), key);
            assert_eq!(credentials.standing(), standing);
            let users = [me, owner, other];
            let found = users.map(|user| believes(&credentials, RecordUse::Result, user));
            assert_eq!(found, results, "{trust:?}");
        }
    }

    #[test]
    fn what_steers_is_believed_of_this_user_and_root_alone() {
        let me = geteuid().as_raw();
        for trust in [Trust::Mine, Trust::Owner, Trust::Everyone] {
            let alone = Credentials::new(trust, Rights::of(me, 0o700), None);
            let found = [me, 0, me + 71].map(|user| believes(&alone, RecordUse::Order, user));
            assert_eq!(found, [true, true, false], "{trust:?}");
        }
    }
}
