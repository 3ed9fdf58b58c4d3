//! Who made a value: an Ed25519 signature by a named key over the value's place and content. A value that was moved to
//! another name or namespace, or changed, has no valid signature. `docs/design/remote.md` draws the bytes.

use crate::config::{TrustedKeys, is_key_name};
use ed25519_dalek::{
    SECRET_KEY_LENGTH, SIGNATURE_LENGTH, Signature, Signer, SigningKey as Secret, VerifyingKey,
};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The first bytes of a value; the number is the version.
const MAGIC: &[u8] = b"pcache remote 1\n";

/// What is signed begins with this, so that no signature of another kind can be taken for one.
const PURPOSE: &[u8] = b"pcache-nvcc remote value 1\0";

/// The place of a value on servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValuePlace<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a [u8; 32],
}

/// A key that signs what is sent.
pub(super) struct SendingKey {
    name: String,
    secret: Secret,
}

impl SendingKey {
    /// Reads `NAME:HEX` from a file that only its owner can read.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mode = fs::metadata(path)?.mode();
        if mode & 0o077 != 0 {
            let text = "others can read it; set its mode to 600";
            return Err(io::Error::other(text));
        }
        let text = fs::read_to_string(path)?;
        Self::parse(text.trim()).ok_or_else(|| {
            io::Error::other("it holds no signing key; pcache remote keygen makes one")
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, digits) = text.split_once(':')?;
        let mut secret = [0; SECRET_KEY_LENGTH];
        hex::decode_to_slice(digits, &mut secret).ok()?;
        is_key_name(name).then(|| Self {
            name: name.to_owned(),
            secret: Secret::from_bytes(&secret),
        })
    }

    /// A new key: the text of its file.
    pub(super) fn generate(name: &str) -> io::Result<String> {
        if !is_key_name(name) {
            let text =
                "a key's name has letters, digits, hyphens, dots and underscores, at most 64";
            return Err(io::Error::other(text));
        }
        let mut secret = [0; SECRET_KEY_LENGTH];
        File::open("/dev/urandom")?.read_exact(&mut secret)?;
        Ok(format!("{name}:{}", hex::encode(secret)))
    }

    /// The public key as `trusted_keys` takes it.
    pub(super) fn public(&self) -> String {
        let key = self.secret.verifying_key();
        format!("{}:{}", self.name, hex::encode(key.as_bytes()))
    }
}

/// The value that holds `body`, signed if there is a key.
pub(super) fn seal(body: &[u8], place: ValuePlace<'_>, key: Option<&SendingKey>) -> Vec<u8> {
    let (name, signature) = match key {
        None => ("", Vec::new()),
        Some(key) => {
            let signature = key.secret.sign(&signed(body, place));
            (key.name.as_str(), signature.to_vec())
        }
    };
    let lengths = [name.len() as u8, signature.len() as u8];
    [MAGIC, &lengths, name.as_bytes(), &signature, body].concat()
}

/// Why a value is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It does not have the form of a value.
    Garbled,
    /// No trusted key has signed it for this place.
    Untrusted,
}

/// The body of a value. If there are trusted keys, one of them must have signed it for this place.
pub(super) fn open<'v>(
    value: &'v [u8],
    place: ValuePlace<'_>,
    trusted: &TrustedKeys,
) -> Result<&'v [u8], Unopened> {
    let (name, signature, body) = parts(value).ok_or(Unopened::Garbled)?;
    if trusted.0.is_empty() {
        return Ok(body);
    }
    let signature: Option<[u8; SIGNATURE_LENGTH]> = signature.try_into().ok();
    let signature = Signature::from_bytes(&signature.ok_or(Unopened::Untrusted)?);
    let text = signed(body, place);
    let is_valid = trusted.0.iter().any(|key| {
        let is_meant = key.name.as_bytes() == name
            && (key.namespaces.is_empty()
                || key.namespaces.iter().any(|one| one == place.namespace));
        is_meant
            && VerifyingKey::from_bytes(&key.key)
                .is_ok_and(|key| key.verify_strict(&text, &signature).is_ok())
    });
    is_valid.then_some(body).ok_or(Unopened::Untrusted)
}

/// Whether a value says that a key has signed it. Does not check the signature.
pub(super) fn has_signature(value: &[u8]) -> bool {
    parts(value).is_some_and(|(_, signature, _)| !signature.is_empty())
}

/// The name of the key, the signature, and the body.
fn parts(value: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let ([name, signature], rest) = value.strip_prefix(MAGIC)?.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(*name))?;
    let (signature, body) = rest.split_at_checked(usize::from(*signature))?;
    Some((name, signature, body))
}

fn signed(body: &[u8], place: ValuePlace<'_>) -> Vec<u8> {
    let digest = Sha256::digest(body);
    [
        PURPOSE,
        place.namespace.as_bytes(),
        b"\0",
        place.name,
        &digest,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::{SendingKey, Unopened, ValuePlace, open, seal};
    use crate::config::{TrustedKey, TrustedKeys};

    const PLACE: ValuePlace<'_> = ValuePlace {
        namespace: "main",
        name: &[7; 32],
    };

    fn key(name: &str) -> SendingKey {
        let text = SendingKey::generate(name).unwrap();
        SendingKey::parse(&text).unwrap()
    }

    fn trusted(key: &SendingKey, namespaces: &[&str]) -> TrustedKeys {
        TrustedKeys(vec![TrustedKey {
            name: key.name.clone(),
            key: key.secret.verifying_key().to_bytes(),
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        }])
    }

    #[test]
    fn what_a_trusted_key_has_signed_is_opened() {
        let farm = key("farm-1");
        let value = seal(b"body", PLACE, Some(&farm));
        assert_eq!(open(&value, PLACE, &trusted(&farm, &[])), Ok(&b"body"[..]));
        assert_eq!(
            open(&value, PLACE, &trusted(&farm, &["x", "main"])),
            Ok(&b"body"[..])
        );
        assert_eq!(
            open(&value, PLACE, &TrustedKeys::default()),
            Ok(&b"body"[..])
        );
        let unsigned = seal(b"body", PLACE, None);
        assert_eq!(
            open(&unsigned, PLACE, &TrustedKeys::default()),
            Ok(&b"body"[..])
        );
    }

    #[test]
    fn everything_else_is_refused() {
        let (farm, other) = (key("farm-1"), key("farm-1"));
        let trusts = trusted(&farm, &[]);
        let refused = |value: &[u8], place| open(value, place, &trusts).unwrap_err();
        let value = seal(b"body", PLACE, Some(&farm));
        // Stripped, by another key of the same name, changed, moved.
        assert_eq!(
            refused(&seal(b"body", PLACE, None), PLACE),
            Unopened::Untrusted
        );
        assert_eq!(
            refused(&seal(b"body", PLACE, Some(&other)), PLACE),
            Unopened::Untrusted
        );
        let elsewhere = ValuePlace {
            name: &[8; 32],
            ..PLACE
        };
        assert_eq!(refused(&value, elsewhere), Unopened::Untrusted);
        let elsewhere = ValuePlace {
            namespace: "pr",
            ..PLACE
        };
        assert_eq!(refused(&value, elsewhere), Unopened::Untrusted);
        let limited = trusted(&farm, &["pr"]);
        assert_eq!(open(&value, PLACE, &limited), Err(Unopened::Untrusted));
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert!(open(&changed, PLACE, &trusts).is_err(), "{at}");
        }
        for end in 0..value.len() {
            assert!(open(&value[..end], PLACE, &trusts).is_err(), "{end}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, SendingKey::generate("a").unwrap()).unwrap();
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        set(0o640);
        assert!(SendingKey::read(&path).is_err());
        set(0o600);
        assert!(SendingKey::read(&path).unwrap().public().starts_with("a:"));
        assert!(SendingKey::generate("a b").is_err());
    }
}
