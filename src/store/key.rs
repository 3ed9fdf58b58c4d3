//! The key with which the users of a shared cache sign records: 32 random bytes in a file that only they can read.
//! Every user who can read it can sign.

use super::kind::Access;
use crate::files::{Directory, Held, Rights, RightsKind, is_missing, read_bounded, write_fresh};
use rustix::fs::{Mode, OFlags, fstat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::Path;

/// The text in the file before the 64 digits.
const TITLE: &str = "pcache-nvcc key v1 ";

/// The directory below a shared cache's root that holds its key. Others cannot write in it and therefore cannot move
/// it into another directory; a file directly in the root they could replace by any other file of its owner.
pub const KEY_DIRECTORY: &str = "signing";

/// The name of the key's file, there and in a user's own directory.
pub const KEY_FILE: &str = "key";

/// Block size of SHA-256 in bytes.
const BLOCK: usize = 64;

/// A signing key. `Debug` prints only its id.
#[derive(Clone)]
pub struct SigningKey {
    /// The SHA-256 states after the first block of the inner and the outer pass of HMAC (RFC 2104).
    inner: Sha256,
    outer: Sha256,
    id: [u8; 32],
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Key({})", hex::encode(&self.id[..8]))
    }
}

/// Why the cache's own key is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// This user may not read it; it is the key of others.
    Denied,
    /// Others may know or change it, or the file holds no key; the text says which.
    Unsafe(String),
}

impl KeyRefusal {
    fn unread(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Unsafe(error.to_string()),
        }
    }
}

impl SigningKey {
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut id = Sha256::new_with_prefix("pcache-nvcc key id v1 ");
        id.update(bytes);
        Self {
            inner: hmac_state(bytes, 0x36),
            outer: hmac_state(bytes, 0x5c),
            id: id.finalize().into(),
        }
    }

    /// Reads a key from the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, holds no key, or has a mode that lets others read or change it; the text says
    /// which.
    pub fn read(path: &Path) -> Result<Self, String> {
        // Follows symlinks: the path is the user's own choice, and secrets are mounted as links.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| io::Error::from(error).to_string())?;
        Self::load(&File::from(file))
    }

    /// The key of the cache with this `root`, whose rights are `rights`; only the cache's owner and root can have
    /// put it there. `None` if the cache has no key.
    ///
    /// # Errors
    /// The key cannot be read or believed.
    pub(super) fn of_cache(root: &Directory, rights: Rights) -> Result<Option<Self>, KeyRefusal> {
        let directory = match root.directory(KEY_DIRECTORY) {
            Err(error) if is_missing(&error) => return Ok(None),
            opened => opened.map_err(KeyRefusal::unread)?,
        };
        let key_rights = directory.rights().map_err(KeyRefusal::unread)?;
        let is_owners = key_rights.owner() == rights.owner() || key_rights.owner() == 0;
        if !is_owners || key_rights.is_written_by_others() {
            let why = format!(
                "others own its directory, or can write in it (mode {:o})",
                key_rights.mode()
            );
            return Err(KeyRefusal::Unsafe(why));
        }
        let file = directory.open_regular(KEY_FILE, OFlags::RDONLY);
        let key = Self::load(&file.map_err(KeyRefusal::unread)?);
        key.map(Some).map_err(KeyRefusal::Unsafe)
    }

    /// This user's own key in this user's directory `own`. Creates one if there is none and `access` allows it.
    pub(super) fn of_user(own: &Directory, access: Access) -> Option<Self> {
        let read = || Self::load(&own.open_own(KEY_FILE, OFlags::RDONLY).ok()?).ok();
        read().or_else(|| {
            if access == Access::ReadWrite {
                let bytes = Self::generate().ok()?;
                // Fails if another process was faster; its key is read then.
                let _ = write_fresh(own, (own, KEY_FILE), RightsKind::Owned, &bytes, Held::Kept);
            }
            read()
        })
    }

    fn load(file: &File) -> Result<Self, String> {
        let stat = fstat(file).map_err(|error| error.to_string())?;
        let mode = Rights::from(&stat).mode();
        if mode & 0o027 != 0 {
            return Err(format!(
                "its mode is {mode:o}: others could know or change it; set 600, or 640 for a group"
            ));
        }
        let max_length = (TITLE.len() + 64 + 1) as u64;
        let bytes = read_bounded(file, max_length).map_err(|error| error.to_string())?;
        Self::parse(&bytes)
            .ok_or_else(|| "it holds no key; `pcache init --key FILE` makes one".to_owned())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.strip_prefix(TITLE.as_bytes())?.strip_suffix(b"\n")?;
        let mut key = [0; 32];
        hex::decode_to_slice(digits, &mut key).ok()?;
        Some(Self::from_bytes(key))
    }

    /// Generates a new key. Returns the contents of its file.
    ///
    /// # Errors
    /// `/dev/urandom` cannot be read.
    pub fn generate() -> io::Result<Vec<u8>> {
        let mut key = [0; 32];
        io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut key)?;
        Ok(format!("{TITLE}{}\n", hex::encode(key)).into_bytes())
    }

    /// A digest that tells this key from others without revealing it.
    pub(super) fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// HMAC-SHA256 of the concatenated `parts`.
    pub(super) fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        parts.iter().for_each(|part| inner.update(part));
        outer.update(inner.finalize());
        outer.finalize().into()
    }

    /// Whether `digits` are the hexadecimal HMAC of `parts`. Takes the same time wherever they differ.
    pub(super) fn matches(&self, digits: &[u8], parts: &[&[u8]]) -> bool {
        let expected = hex::encode(self.authenticate(parts));
        let differences = expected.bytes().zip(digits).map(|(a, b)| a ^ b);
        expected.len() == digits.len() && differences.fold(0, |all, byte| all | byte) == 0
    }
}

/// SHA-256 after the block of the padded key, as HMAC starts each of its passes.
fn hmac_state(key: [u8; 32], pad: u8) -> Sha256 {
    let mut block = [pad; BLOCK];
    for (padded, byte) in block.iter_mut().zip(key) {
        *padded ^= byte;
    }
    Sha256::new_with_prefix(block)
}

#[cfg(test)]
mod tests {
    use super::SigningKey;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn code_is_that_of_rfc_4231() {
        // Test case 1: twenty bytes of 0x0b, which zeros do not change, and "Hi There".
        let mut bytes = [0; 32];
        bytes[..20].fill(0x0b);
        let code = SigningKey::from_bytes(bytes).authenticate(&[b"Hi ", b"There"]);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(code), expected);
    }

    #[test]
    fn key_that_others_could_know_or_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(SigningKey::read(&path).is_err());
        fs::write(&path, SigningKey::generate().unwrap()).unwrap();
        for mode in [0o644, 0o660, 0o602, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(
                SigningKey::read(&path).unwrap_err().contains("mode"),
                "{mode:o}"
            );
        }
        for mode in [0o600, 0o640, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(SigningKey::read(&path).is_ok(), "{mode:o}");
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(SigningKey::read(&link).is_ok());
        fs::write(&path, "pcache-nvcc key v1 00\n").unwrap();
        assert!(SigningKey::read(&path).unwrap_err().contains("no key"));
    }
}
