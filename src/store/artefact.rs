//! The identity of an artefact: its size and SHA-256. Equal contents are one artefact.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// One output as result records name it: enough to find its bytes and to verify them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Artefact {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the bytes; 64 hexadecimal digits in JSON.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub sha256: [u8; 32],
}

impl Artefact {
    /// The artefact with the content `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            sha256: Sha256::digest(bytes).into(),
        }
    }

    /// The artefact with the content that `from` yields. Holds one block of it in memory at a time.
    ///
    /// # Errors
    /// The content cannot be read.
    pub(super) fn read(mut from: impl Read) -> io::Result<Self> {
        let mut digest = Sha256::new();
        let mut block = vec![0; 1 << 20];
        let mut size = 0;
        loop {
            match from.read(&mut block) {
                Ok(0) => break,
                Ok(length) => {
                    digest.update(&block[..length]);
                    size += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            size,
            sha256: digest.finalize().into(),
        })
    }

    /// The digest as 64 lower-case digits.
    pub fn hex(&self) -> String {
        hex::encode(self.sha256)
    }

    /// The key under which the store keeps its bytes. As for any other key, the name of the file is the
    /// digest of this key.
    pub fn key(&self) -> Vec<u8> {
        format!("pcache-nvcc artefact v1 {}", self.hex()).into_bytes()
    }

    /// The key under which the store keeps its bytes if they are compressed.
    pub fn packed_key(&self) -> Vec<u8> {
        format!("pcache-nvcc artefact zstd v1 {}", self.hex()).into_bytes()
    }
}

impl Artefact {
    /// Every artefact that a record names, in the order of its members.
    pub fn all_in(record: &Value) -> Vec<Self> {
        let mut found = Vec::new();
        Self::collect(record, &mut found);
        found
    }

    fn collect(value: &Value, found: &mut Vec<Self>) {
        found.extend(Self::deserialize(value).ok());
        match value {
            Value::Object(members) => members.values().for_each(|one| Self::collect(one, found)),
            Value::Array(items) => items.iter().for_each(|one| Self::collect(one, found)),
            _ => {}
        }
    }
}

fn write_hex<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hex::encode(digest))
}

fn read_hex<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(from)?;
    let mut digest = [0; 32];
    hex::decode_to_slice(&text, &mut digest).map_err(serde::de::Error::custom)?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::Artefact;

    #[test]
    fn json_reads_back_and_shows_digits() {
        let artefact = Artefact::of(b"abc");
        let json = serde_json::to_string(&artefact).unwrap();
        insta::assert_snapshot!(json, @r#"{"size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#);
        assert_eq!(serde_json::from_str::<Artefact>(&json).unwrap(), artefact);
        assert!(serde_json::from_str::<Artefact>(r#"{"size":3,"sha256":"ba"}"#).is_err());
    }
}
