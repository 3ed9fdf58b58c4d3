//! What travels: a record with what it names, in one value. Small artefacts are in it, large ones have values of their
//! own. `docs/design/remote.md` draws the bytes.

use crate::store::{Artefact, ArtefactUse, Worth};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// The version of the manifest.
const SCHEMA: u32 = 1;

/// Artefacts that compress to more than this travel as values of their own, so that equal ones travel once.
const MOST_INLINE: usize = 1 << 20;

/// The most bytes that a pack may unpack to.
const LONGEST: u64 = 64 << 20;

/// Fast, since a compile on another machine waits for the bytes; higher levels save a tenth.
const LEVEL: i32 = 3;

/// A record with what it names, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pack {
    pub(super) worth: Worth,
    pub(super) value: Vec<u8>,
    /// The record that the value, a pointer, leads to. The artefacts are those that this one names.
    pub(super) companion: Option<Companion>,
    pub(super) artefacts: Vec<PackedArtefact>,
}

/// A record that a pointer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Companion {
    /// The name of the record: the SHA-256 of its key.
    pub(super) name: [u8; 32],
    pub(super) value: Vec<u8>,
}

/// An artefact that a record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackedArtefact {
    pub(super) artefact: Artefact,
    pub(super) usage: ArtefactUse,
    pub(super) content: PackedContent,
}

/// The bytes of an artefact, or the name of the value that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PackedContent {
    Inline(Vec<u8>),
    /// The size and the digest of the compressed bytes.
    Blob(Artefact),
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    worth: Worth,
    record: Artefact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leads_to: Option<CompanionRow>,
    artefacts: Vec<ManifestRow>,
}

/// The companion: its name in hex, and which of the artefacts holds its value. Readers of former versions take it for an
/// artefact like others, and ask for the record itself.
#[derive(Serialize, Deserialize)]
struct CompanionRow {
    name: String,
    record: Artefact,
}

#[derive(Serialize, Deserialize)]
struct ManifestRow {
    artefact: Artefact,
    #[serde(rename = "use")]
    usage: ArtefactUse,
    /// The compressed value that holds it; without, its bytes follow the record's.
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<Artefact>,
}

impl Pack {
    /// Adds an artefact. Returns its compressed bytes if they travel on their own.
    pub(super) fn add(&mut self, bytes: Vec<u8>, usage: ArtefactUse) -> Option<Blob> {
        let artefact = Artefact::of(&bytes);
        let blob = (bytes.len() > MOST_INLINE)
            .then(|| Blob::of(&bytes))
            .flatten()
            .filter(|blob| blob.bytes.len() > MOST_INLINE);
        self.artefacts.push(PackedArtefact {
            artefact,
            usage,
            content: match &blob {
                Some(blob) => PackedContent::Blob(blob.name),
                None => PackedContent::Inline(bytes),
            },
        });
        blob
    }

    /// Its bytes: a zstd frame with the length of the manifest (u32, little endian), the manifest as JSON, the record,
    /// and the artefacts that are inline, in the order of the manifest.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let companion = self.companion.as_ref().map(Companion::packed);
        let content = || companion.iter().chain(&self.artefacts);
        let rows = content().map(|one| ManifestRow {
            artefact: one.artefact,
            usage: one.usage,
            blob: match &one.content {
                PackedContent::Inline(_) => None,
                PackedContent::Blob(name) => Some(*name),
            },
        });
        let manifest = Manifest {
            schema: SCHEMA,
            worth: self.worth,
            record: Artefact::of(&self.value),
            leads_to: self.companion.as_ref().map(|companion| CompanionRow {
                name: hex::encode(companion.name),
                record: Artefact::of(&companion.value),
            }),
            artefacts: rows.collect(),
        };
        let manifest = serde_json::to_vec(&manifest).ok()?;
        let length = u32::try_from(manifest.len()).ok()?;
        let mut plain = length.to_le_bytes().to_vec();
        plain.extend(manifest);
        plain.extend(&self.value);
        for one in content() {
            if let PackedContent::Inline(bytes) = &one.content {
                plain.extend(bytes);
            }
        }
        let is_readable = plain.len() as u64 <= LONGEST;
        is_readable.then(|| zstd::bulk::compress(&plain, LEVEL).ok())?
    }

    /// Reads what [`Pack::bytes`] gave. `None` for anything else: every length and every digest must agree.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let plain = unpacked(bytes, LONGEST)?;
        let (length, rest) = plain.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (manifest, mut rest) = rest.split_at_checked(length)?;
        let manifest: Manifest = serde_json::from_slice(manifest).ok()?;
        if manifest.schema != SCHEMA {
            return None;
        }
        let value = take(&mut rest, manifest.record.size)?.to_vec();
        if Artefact::of(&value) != manifest.record {
            return None;
        }
        let mut artefacts = Vec::new();
        for row in manifest.artefacts {
            let content = match row.blob {
                Some(name) => PackedContent::Blob(name),
                None => {
                    let bytes = take(&mut rest, row.artefact.size)?;
                    if Artefact::of(bytes) != row.artefact {
                        return None;
                    }
                    PackedContent::Inline(bytes.to_vec())
                }
            };
            artefacts.push(PackedArtefact {
                artefact: row.artefact,
                usage: row.usage,
                content,
            });
        }
        if !rest.is_empty() {
            return None;
        }
        let companion = match manifest.leads_to {
            None => None,
            Some(row) => Some(Companion::unpacked(&row, &mut artefacts)?),
        };
        Some(Self {
            worth: manifest.worth,
            value,
            companion,
            artefacts,
        })
    }
}

impl Companion {
    /// It as an artefact.
    fn packed(&self) -> PackedArtefact {
        PackedArtefact {
            artefact: Artefact::of(&self.value),
            usage: ArtefactUse::Internal,
            content: PackedContent::Inline(self.value.clone()),
        }
    }

    /// Takes it out of the artefacts.
    fn unpacked(row: &CompanionRow, artefacts: &mut Vec<PackedArtefact>) -> Option<Self> {
        let mut name = [0; 32];
        hex::decode_to_slice(&row.name, &mut name).ok()?;
        let at = artefacts
            .iter()
            .position(|one| one.artefact == row.record)?;
        match artefacts.remove(at).content {
            PackedContent::Inline(value) => Some(Self { name, value }),
            PackedContent::Blob(_) => None,
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = left;
    Some(taken)
}

/// A large artefact as it travels.
pub(super) struct Blob {
    /// The size and the digest of `bytes`.
    pub(super) name: Artefact,
    pub(super) bytes: Vec<u8>,
}

impl Blob {
    fn of(bytes: &[u8]) -> Option<Self> {
        let bytes = zstd::bulk::compress(bytes, LEVEL).ok()?;
        let name = Artefact::of(&bytes);
        Some(Self { name, bytes })
    }
}

/// The artefact that the value of a blob holds; `None` if it holds another.
pub(super) fn of_blob(bytes: &[u8], artefact: &Artefact) -> Option<Vec<u8>> {
    let content = unpacked(bytes, artefact.size)?;
    (Artefact::of(&content) == *artefact).then_some(content)
}

/// The content of a frame, of which no more than `most` bytes are written, whatever it says.
fn unpacked(frame: &[u8], most: u64) -> Option<Vec<u8>> {
    let decoder = zstd::stream::read::Decoder::with_buffer(frame).ok()?;
    let mut content = Vec::new();
    let most_read = most.saturating_add(1);
    decoder
        .single_frame()
        .take(most_read)
        .read_to_end(&mut content)
        .ok()?;
    (content.len() as u64 <= most).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::{
        ArtefactUse, Companion, LONGEST, MOST_INLINE, Pack, PackedContent, Worth, of_blob,
    };

    fn pack() -> Pack {
        Pack {
            worth: Worth::Result,
            value: b"{\"schema\":4}".to_vec(),
            companion: None,
            artefacts: Vec::new(),
        }
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut word = 1_u64;
        let words = std::iter::repeat_with(|| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word.to_le_bytes()
        });
        words.flatten().take(length).collect()
    }

    #[test]
    fn a_pack_is_read_back() {
        let mut pack = pack();
        assert!(pack.add(b"object".to_vec(), ArtefactUse::Result).is_none());
        assert!(pack.add(Vec::new(), ArtefactUse::Internal).is_none());
        // Long, but not once it is compressed.
        let text = vec![b'x'; 2 * MOST_INLINE];
        assert!(pack.add(text, ArtefactUse::Intermediate).is_none());
        let large = noise(2 * MOST_INLINE);
        let blob = pack
            .add(large.clone(), ArtefactUse::Result)
            .expect("a blob");
        let bytes = pack.bytes().expect("bytes");
        assert_eq!(Pack::read(&bytes).as_ref(), Some(&pack));
        let last = pack.artefacts.last().expect("it was added");
        assert_eq!(last.content, PackedContent::Blob(blob.name));
        assert_eq!(of_blob(&blob.bytes, &last.artefact), Some(large));
        assert_eq!(of_blob(&blob.bytes, &pack.artefacts[0].artefact), None);
        assert_eq!(of_blob(&blob.bytes[1..], &last.artefact), None);
    }

    #[test]
    fn a_companion_is_read_back_and_is_an_artefact_to_old_readers() {
        let mut pack = pack();
        pack.add(b"object".to_vec(), ArtefactUse::Result);
        let name = [7; 32];
        let value = b"{\"schema\":4,\"outputs\":[]}".to_vec();
        pack.companion = Some(Companion {
            name,
            value: value.clone(),
        });
        let bytes = pack.bytes().expect("bytes");
        assert_eq!(Pack::read(&bytes).as_ref(), Some(&pack));
        let plain = zstd::bulk::decompress(&bytes, 1 << 20).expect("a frame");
        let length = u32::from_le_bytes(plain[..4].try_into().expect("4 bytes")) as usize;
        let manifest: serde_json::Value =
            serde_json::from_slice(&plain[4..4 + length]).expect("JSON");
        let first = &manifest["artefacts"][0]["artefact"]["size"];
        assert_eq!(*first, value.len());
    }

    #[test]
    fn damage_is_noticed() {
        let mut pack = pack();
        pack.add(noise(1000), ArtefactUse::Result);
        let bytes = pack.bytes().expect("bytes");
        for end in 0..bytes.len() {
            assert_eq!(Pack::read(&bytes[..end]), None, "{end}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            if let Some(read) = Pack::read(&damaged) {
                assert_eq!(read, pack, "{at}");
            }
        }
    }

    #[test]
    fn no_more_is_unpacked_than_any_pack_has() {
        let bomb = zstd::bulk::compress(&vec![0; LONGEST as usize + 1], 3).expect("a frame");
        assert_eq!(Pack::read(&bomb), None);
        let artefact = crate::store::Artefact::of(b"abc");
        assert_eq!(of_blob(&bomb, &artefact), None);
    }
}
