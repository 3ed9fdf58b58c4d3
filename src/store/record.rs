//! Result records: bytes under one line of text that holds their checksum, so that people can read
//! what follows and damage is noticed. Does not know what a result is.

use sha2::{Digest, Sha256};

const TITLE: &str = "pcache-nvcc record v1 ";

/// Title, 64 digits, end of line.
const HEADER: usize = TITLE.len() + 64 + 1;

/// The header for `value` under `key`. The key is in the checksum, so that a record that was moved
/// to another key's name counts as damaged.
pub(super) fn header(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update((key.len() as u64).to_le_bytes());
    digest.update(key);
    digest.update(value);
    format!("{TITLE}{}\n", hex::encode(digest.finalize())).into_bytes()
}

/// The value in `bytes`, or `None` where one bit is not as [`header`] had it.
pub(super) fn unseal(key: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (found, value) = bytes.split_at_checked(HEADER)?;
    if found != header(key, value) {
        return None;
    }
    bytes.drain(..HEADER);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{HEADER, header, unseal};

    fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
        [header(key, value), value.to_vec()].concat()
    }

    #[test]
    fn record_begins_with_a_line_of_text() {
        let text = String::from_utf8(sealed(b"key", b"{}")).unwrap();
        insta::assert_snapshot!(text, @r"
        pcache-nvcc record v1 d023f2d4924630e36b8ab6b58865b732a1fab14b8987e8a3f88aece54eb7d900
        {}
        ");
        assert_eq!(text.len(), HEADER + 2);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = sealed(b"key", b"value");
        assert_eq!(unseal(b"key", good.clone()), Some(b"value".to_vec()));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(b"key", bad), None, "bit {bit}");
        }
    }

    #[test]
    fn shortened_prolonged_and_moved_records_are_noticed() {
        let good = sealed(b"key", b"value");
        for length in 0..good.len() {
            assert_eq!(unseal(b"key", good[..length].to_vec()), None);
        }
        assert_eq!(unseal(b"key", [&good[..], b"s"].concat()), None);
        assert_eq!(unseal(b"yek", good), None);
        assert_eq!(unseal(b"keyv", sealed(b"key", b"value")), None);
    }
}
