//! Result records: bytes under one line of text that holds their checksum, so that people can read
//! what follows and damage is noticed. Does not know what a result is.

use super::Name;
use sha2::{Digest, Sha256};

const TITLE: &str = "pcache-nvcc record v2 ";

/// Title, 64 digits, end of line.
const HEADER: usize = TITLE.len() + 64 + 1;

/// The header for `value` in the file called `name`. The name is in the checksum, so that a record
/// that was moved to another one counts as damaged; the key is not, so that whoever goes through
/// the directory can check it.
pub(super) fn header(name: Name, value: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(name.0);
    digest.update(value);
    format!("{TITLE}{}\n", hex::encode(digest.finalize())).into_bytes()
}

/// The value in `bytes`, or `None` where one bit is not as [`header`] had it.
pub(super) fn unseal(name: Name, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (found, value) = bytes.split_at_checked(HEADER)?;
    if found != header(name, value) {
        return None;
    }
    bytes.drain(..HEADER);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{HEADER, Name, header, unseal as unseal_named};

    fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
        [header(Name::of(key), value), value.to_vec()].concat()
    }

    fn unseal(key: &[u8], bytes: Vec<u8>) -> Option<Vec<u8>> {
        unseal_named(Name::of(key), bytes)
    }

    #[test]
    fn record_begins_with_a_line_of_text() {
        let text = String::from_utf8(sealed(b"key", b"{}")).unwrap();
        insta::assert_snapshot!(text, @r"
        pcache-nvcc record v2 ed593e5e0fba78affb5bc52340845a3516a3415328f4a71a79d48333f6fe04cd
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
