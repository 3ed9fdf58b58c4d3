//! Which records a store believes. In a cache that one user alone can write, all that are whole. In one that
//! others can write, those that the cache's key has signed, or, without a key, those that this user has made:
//! the kernel says whose a file is. Records that steer what this program does are believed of this user alone,
//! whatever the key. `docs/threats.md` has the why. Does not know what a record is of.

use super::key::Key;
use super::record::{self, Unsealed};
use super::{Name, StoreError};
use crate::files::{Believed, Directory, Facts, Rights, Trust};
use sha2::{Digest, Sha256};
use std::path::Path;

/// What a record does to those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is data: what a compile gives.
    Result,
    /// It steers: which programs run, with what.
    Order,
}

/// By what the results of a store are believed.
#[derive(Clone, Debug)]
enum Domain {
    /// Only users can write here who are believed.
    Exclusive,
    /// By a signature.
    Key(Box<Key>),
    /// By the owner of the file.
    User,
}

/// By what the records of a store are believed, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Only this user and root can write in the cache.
    Exclusive,
    /// Others can write: what the key has signed is believed.
    Signed,
    /// Others can write, and there is no key: what this user has made is believed.
    Own,
    /// Only users can write who are believed, others than this one among them: `PCACHE_TRUST=owner`.
    Owner,
    /// Others can write, and are believed: `PCACHE_TRUST=everyone`.
    Everyone,
}

/// What one process believes in one cache.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    believed: Believed,
    domain: Domain,
    /// Of the cache's root; none where there is none.
    root: Option<Rights>,
}

impl Credentials {
    /// In the cache in `root`, opened as `held` if it is there, with the key in the file `key`. Without one, the
    /// key is the cache's own, which those have who share it; it is asked for where others can write.
    pub(super) fn open(
        root: &Path,
        held: Option<&Directory>,
        trust: Trust,
        key: Option<&Path>,
    ) -> Result<Self, StoreError> {
        let read = |path: &Path| {
            Key::read(path).map_err(|why| StoreError::Key {
                path: path.into(),
                why,
            })
        };
        let key = key.map(read).transpose()?;
        let Some(held) = held else {
            // Nothing is there to be believed.
            return Ok(Self {
                believed: Believed::nothing(),
                domain: Domain::User,
                root: None,
            });
        };
        let rights = held.rights().map_err(StoreError::io("examine", root))?;
        if trust == Trust::Mine && rights.is_of_another_than_root() {
            return Err(StoreError::OfAnother {
                path: root.into(),
                owner: rights.owner(),
            });
        }
        let plain = Self::new(trust, rights, key);
        Ok(match plain.domain {
            Domain::User => Self::new(trust, rights, Key::of_cache(held, rights)),
            Domain::Exclusive | Domain::Key(_) => plain,
        })
    }

    /// In the cache whose root has these rights. A key counts wherever there is one.
    fn new(trust: Trust, root: Rights, key: Option<Key>) -> Self {
        let believed = Believed::new(trust, root);
        let domain = match key {
            Some(key) => Domain::Key(Box::new(key)),
            None if believed.is_everyone() || believed.wrote(root) => Domain::Exclusive,
            None => Domain::User,
        };
        Self {
            believed,
            domain,
            root: Some(root),
        }
    }

    /// Whether no other user but root can write in the cache.
    fn is_alone(&self) -> bool {
        self.root.is_some_and(Rights::is_own)
    }

    /// By what records are believed.
    pub(super) fn standing(&self) -> Standing {
        match self.domain {
            Domain::Exclusive if self.believed.is_everyone() => Standing::Everyone,
            Domain::Exclusive if self.is_alone() => Standing::Exclusive,
            Domain::Exclusive => Standing::Owner,
            Domain::Key(_) => Standing::Signed,
            Domain::User => Standing::Own,
        }
    }

    /// Whether an entry that is not verified may be believed.
    pub(super) fn may_be_believed(&self, facts: &Facts) -> bool {
        self.believed.wrote(facts.rights)
    }

    /// Where the record of `key` is. What different users and keys believe has different names, so that none
    /// stands in another's way.
    pub(super) fn name(&self, key: &[u8], usage: Use) -> Name {
        let apart = |domain: &[u8]| {
            let mut name = Sha256::new_with_prefix("pcache-nvcc record of ");
            name.update(domain);
            name.update(key);
            Name(name.finalize().into())
        };
        match (&self.domain, usage) {
            (Domain::Exclusive, Use::Result) => Name::of(key),
            (_, Use::Order) if self.is_alone() => Name::of(key),
            (Domain::Key(signer), Use::Result) => apart(signer.id()),
            (_, Use::Order) | (Domain::User, _) => apart(&self.believed.user().to_le_bytes()),
        }
    }

    fn signer(&self, usage: Use) -> Option<&Key> {
        match (&self.domain, usage) {
            (Domain::Key(key), Use::Result) => Some(key),
            _ => None,
        }
    }

    /// The header of a record.
    pub(super) fn header(&self, name: Name, value: &[u8], usage: Use) -> Vec<u8> {
        record::header(name, value, self.signer(usage))
    }

    /// What the record in a file with these `facts` says.
    pub(super) fn unseal(&self, name: Name, facts: &Facts, bytes: Vec<u8>, usage: Use) -> Unsealed {
        let signer = self.signer(usage);
        let is_believed = match usage {
            Use::Order => facts.rights.is_own(),
            Use::Result => signer.is_some() || self.believed.wrote(facts.rights),
        };
        match is_believed {
            true => record::unseal(name, bytes, signer),
            false => Unsealed::Foreign,
        }
    }

    /// What a listing finds in a record, of whatever use.
    pub(super) fn check(&self, name: Name, bytes: Vec<u8>) -> Unsealed {
        let signer = match &self.domain {
            Domain::Key(key) if record::is_signed(&bytes) => Some(&**key),
            _ => None,
        };
        record::unseal(name, bytes, signer)
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Standing, Trust, Unsealed, Use};
    use crate::files::{Facts, Rights};
    use crate::store::key::Key;
    use rustix::process::geteuid;

    /// Facts of a file with these rights.
    fn facts(rights: Rights) -> Facts {
        Facts {
            is_file: true,
            ino: 1,
            size: 1,
            read: 0,
            written: 0,
            rights,
        }
    }

    /// Whether what one user with these credentials stores is believed by another, if `owner` has the file.
    fn believes(credentials: &Credentials, usage: Use, owner: u32) -> bool {
        let name = credentials.name(b"key", usage);
        let sealed = [credentials.header(name, b"value", usage), b"value".to_vec()];
        let facts = facts(Rights::of(owner, 0o640));
        let unsealed = credentials.unseal(name, &facts, sealed.concat(), usage);
        unsealed == Unsealed::Whole(b"value".to_vec())
    }

    #[test]
    fn what_steers_is_believed_of_this_user_and_root_alone() {
        let me = geteuid().as_raw();
        let (owner, other) = (me + 71, me + 72);
        let key = || Some(Key::from_bytes([7; 32]));
        // What is believed of me, of the directory's owner, and of another: results.
        for (trust, mode, key, standing, results) in [
            (
                Trust::Owner,
                0o700,
                None,
                Standing::Owner,
                [true, true, false],
            ),
            (Trust::Everyone, 0o777, None, Standing::Everyone, [true; 3]),
            (
                Trust::Mine,
                0o777,
                None,
                Standing::Own,
                [true, false, false],
            ),
            (Trust::Mine, 0o770, key(), Standing::Signed, [true; 3]),
        ] {
            let credentials = Credentials::new(trust, Rights::of(owner, mode), key);
            assert_eq!(credentials.standing(), standing);
            let users = [me, owner, other];
            let found = users.map(|user| believes(&credentials, Use::Result, user));
            assert_eq!(found, results, "{trust:?}");
            let found = users.map(|user| believes(&credentials, Use::Order, user));
            assert_eq!(found, [true, false, false], "{trust:?}");
        }
        let alone = Credentials::new(Trust::Mine, Rights::of(me, 0o700), None);
        assert_eq!(alone.standing(), Standing::Exclusive);
        assert!(believes(&alone, Use::Order, me) && !believes(&alone, Use::Result, other));
    }
}
