//! The form in which values lie on servers: an `ActionResult` of the Remote Execution API, so that caches which check
//! such results take them, and keep the blobs that one names as long as itself. Only the three members that we use are
//! written; others are skipped when one is read.

use crate::store::Artefact;

/// `ActionResult.output_files`, `ActionResult.stdout_raw`, and the members of `OutputFile` and `Digest`
/// (`build/bazel/remote/execution/v2/remote_execution.proto`).
const OUTPUT_FILES: u64 = 2;
const STDOUT_RAW: u64 = 5;
const FILE_PATH: u64 = 1;
const FILE_DIGEST: u64 = 2;
const DIGEST_HASH: u64 = 1;
const DIGEST_SIZE: u64 = 2;

/// The kinds of encoding (Protocol Buffers, "Message Structure").
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The message with the text `value`, which names the blobs.
pub(super) fn encode<'b>(value: &[u8], blobs: impl Iterator<Item = &'b Artefact>) -> Vec<u8> {
    let mut message = Vec::new();
    for blob in blobs {
        let mut digest = Vec::new();
        put_bytes(&mut digest, DIGEST_HASH, blob.hex().as_bytes());
        put_varint(&mut digest, DIGEST_SIZE << 3 | VARINT);
        put_varint(&mut digest, blob.size);
        let mut file = Vec::new();
        put_bytes(&mut file, FILE_PATH, blob.hex().as_bytes());
        put_bytes(&mut file, FILE_DIGEST, &digest);
        put_bytes(&mut message, OUTPUT_FILES, &file);
    }
    put_bytes(&mut message, STDOUT_RAW, value);
    message
}

/// The text that [`encode`] was given; `None` if there is none, or if this is no message.
pub(super) fn decode(mut message: &[u8]) -> Option<&[u8]> {
    let mut value = None;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match tag & 7 {
            VARINT => {
                take_varint(&mut message)?;
            }
            FIXED64 => message = message.get(8..)?,
            FIXED32 => message = message.get(4..)?,
            LENGTH => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                let (member, rest) = message.split_at_checked(length)?;
                if tag >> 3 == STDOUT_RAW {
                    value = Some(member);
                }
                message = rest;
            }
            _ => return None,
        }
    }
    value
}

fn put_bytes(to: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(to, number << 3 | LENGTH);
    put_varint(to, bytes.len() as u64);
    to.extend(bytes);
}

fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Artefact, decode, encode};

    #[test]
    fn texts_are_read_back() {
        let blobs = [Artefact::of(b"a"), Artefact::of(&[0; 300])];
        for text in [&b""[..], b"text", &[7; 20_000]] {
            assert_eq!(decode(&encode(text, blobs.iter())), Some(text));
        }
    }

    #[test]
    fn bytes_are_those_of_the_protocol() {
        // `protoc --encode` of: stdout_raw: "hi"
        assert_eq!(encode(b"hi", [].iter()), b"\x2a\x02hi");
        // Members that are not ours: exit_code: 1, and a length that is too long.
        assert_eq!(decode(b"\x20\x01\x2a\x02hi"), Some(&b"hi"[..]));
        for bytes in [
            &b"\x2a\x03hi"[..],
            b"\x2a",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x20\x01",
        ] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
