//! The key by which the users of a shared cache sign records: 32 random bytes in a file that only they can read,
//! and every user who can read it can sign.

use crate::files::{Directory, Held, Rights, RightsKind, is_missing, read_bounded, write_fresh};
use rustix::fs::{Mode, OFlags, fstat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::Path;

/// What the file holds before the 64 digits.
const TITLE: &str = "pcache-nvcc key v1 ";

/// Where the key of a shared cache is, below its root: a directory that others can neither write in nor, for that
/// reason, move to another one. A file they could exchange for any other of its owner's.
pub const KEY_DIRECTORY: &str = "signing";

/// The file there, and that of a user's own key in the user's own directory.
pub const KEY_FILE: &str = "key";

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// A key. Does not show itself.
#[derive(Clone)]
pub struct SigningKey {
    /// What SHA-256 is at after the first block of each of the two passes of HMAC (RFC 2104).
    inner: Sha256,
    outer: Sha256,
    id: [u8; 32],
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Key({})", hex::encode(&self.id[..8]))
    }
}

/// Why the own key of a cache is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// This user may not read it: others are the signers.
    Denied,
    /// Others may know or change it, or it is no key; says which.
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
        let begun = |pad: u8| {
            let mut block = [pad; BLOCK];
            for (byte, key) in block.iter_mut().zip(bytes) {
                *byte ^= key;
            }
            Sha256::new_with_prefix(block)
        };
        let mut id = Sha256::new_with_prefix("pcache-nvcc key id v1 ");
        id.update(bytes);
        Self {
            inner: begun(0x36),
            outer: begun(0x5c),
            id: id.finalize().into(),
        }
    }

    /// Reads a key from the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, is no key, or has rights by which others could know or change it: text that
    /// says which.
    pub fn read(path: &Path) -> Result<Self, String> {
        // A link is the user's: secrets are mounted so.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        Self::load(&File::from(
            opened.map_err(|error| io::Error::from(error).to_string())?,
        ))
    }

    /// The key of the cache with this `root`, whose rights are `rights`: only its owner and root can have put it
    /// there. `None` if it has none.
    ///
    /// # Errors
    /// It cannot be read or believed.
    pub(super) fn of_cache(root: &Directory, rights: Rights) -> Result<Option<Self>, KeyRefusal> {
        let directory = match root.directory(KEY_DIRECTORY) {
            Err(error) if is_missing(&error) => return Ok(None),
            opened => opened.map_err(KeyRefusal::unread)?,
        };
        let found = directory.rights().map_err(KeyRefusal::unread)?;
        let is_owners = found.owner() == rights.owner() || found.owner() == 0;
        if !is_owners || found.is_written_by_others() {
            let why = format!(
                "others own its directory, or can write in it (mode {:o})",
                found.mode()
            );
            return Err(KeyRefusal::Unsafe(why));
        }
        let file = directory.open_regular(KEY_FILE, OFlags::RDONLY);
        let key = Self::load(&file.map_err(KeyRefusal::unread)?);
        key.map(Some).map_err(KeyRefusal::Unsafe)
    }

    /// This user's own key in the directory `own`, which is this user's; made there if that is wanted.
    pub(super) fn of_user(own: &Directory, may_make: bool) -> Option<Self> {
        let read = || Self::load(&own.open_own(KEY_FILE, OFlags::RDONLY).ok()?).ok();
        read().or_else(|| {
            if may_make {
                let bytes = Self::generate().ok()?;
                // Another process may be faster.
                let _ = write_fresh(own, (own, KEY_FILE), RightsKind::Owned, &bytes, Held::Kept);
            }
            read()
        })
    }

    fn load(file: &File) -> Result<Self, String> {
        let found = fstat(file).map_err(|error| error.to_string())?;
        let mode = Rights::from(&found).mode();
        if mode & 0o027 != 0 {
            return Err(format!(
                "its mode is {mode:o}: others could know or change it; set 600, or 640 for a group"
            ));
        }
        let most = (TITLE.len() + 64 + 1) as u64;
        let bytes = read_bounded(file, most).map_err(|error| error.to_string())?;
        Self::parse(&bytes)
            .ok_or_else(|| "it holds no key; `pcache init --key FILE` makes one".to_owned())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.strip_prefix(TITLE.as_bytes())?.strip_suffix(b"\n")?;
        let mut key = [0; 32];
        hex::decode_to_slice(digits, &mut key).ok()?;
        Some(Self::from_bytes(key))
    }

    /// The contents of a file with a new key.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn generate() -> io::Result<Vec<u8>> {
        let mut key = [0; 32];
        io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut key)?;
        Ok(format!("{TITLE}{}\n", hex::encode(key)).into_bytes())
    }

    /// What tells this key from others, and nothing of it.
    pub(super) fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// HMAC-SHA256 of `parts` in a row.
    pub(super) fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        parts.iter().for_each(|part| inner.update(part));
        outer.update(inner.finalize());
        outer.finalize().into()
    }

    /// Whether `digits` are those of the code of `parts`.
    pub(super) fn matches(&self, digits: &[u8], parts: &[&[u8]]) -> bool {
        let expected = hex::encode(self.authenticate(parts));
        let differing = expected.bytes().zip(digits).map(|(a, b)| a ^ b);
        expected.len() == digits.len() && differing.fold(0, |all, byte| all | byte) == 0
    }
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
