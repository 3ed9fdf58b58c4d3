//! Records: bytes below one line of text with their checksum, so that people can read the content and damage is
//! noticed. With a signing key, the checksum is an HMAC, which only a holder of the key can make.

use super::Name;
use super::key::SigningKey;
use super::packed;
use sha2::{Digest, Sha256};

/// Size limit of a record in bytes; longer ones are neither written nor read. Records of real units have a few MB
/// at most.
pub(super) const LONGEST_RECORD: u64 = 16 << 20;

const TITLE: &str = "pcache-nvcc record v2 ";
const SIGNED: &str = "pcache-nvcc signed v2 ";
const _: () = assert!(TITLE.len() == SIGNED.len());

/// Length of the header in bytes: title, 64 digits, end of line.
const HEADER: usize = TITLE.len() + 64 + 1;

/// The header for `value` in the file called `name`. The name is in the checksum, so a record that was
/// moved to another name counts as damaged. The record's key is not, so that a listing of the directory
/// can check the record.
pub(super) fn header(name: Name, value: &[u8], key: Option<&SigningKey>) -> Vec<u8> {
    let (title, digest) = match key {
        Some(key) => (SIGNED, key.authenticate(&[&name.0, value])),
        None => {
            let mut digest = Sha256::new();
            digest.update(name.0);
            digest.update(value);
            (TITLE, digest.finalize().into())
        }
    };
    format!("{title}{}\n", hex::encode(digest)).into_bytes()
}

/// The content of a record's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// The value, as it was sealed.
    Whole(Vec<u8>),
    /// A signed record where an unsigned one is expected, or the reverse, or one that another key has signed.
    Foreign,
    /// Not what [`header`] was made for: at least one bit differs.
    Damaged,
}

/// Verifies the record in `bytes` and returns its value. If there is a `key`, it must have signed the record.
pub(super) fn unseal(name: Name, mut bytes: Vec<u8>, key: Option<&SigningKey>) -> Unsealed {
    let is_signed = bytes.starts_with(SIGNED.as_bytes());
    let Some((stored_header, value)) = bytes.split_at_checked(HEADER) else {
        return Unsealed::Damaged;
    };
    let is_whole = match key {
        // In constant time, so that a forger cannot learn how many digits are right.
        Some(key) => {
            let digits = &stored_header[SIGNED.len()..HEADER - 1];
            stored_header.ends_with(b"\n") && key.matches(digits, &[&name.0, value])
        }
        None => stored_header == header(name, value, None),
    };
    match (is_signed == key.is_some(), is_whole) {
        (true, true) => {
            bytes.drain(..HEADER);
            if bytes.starts_with(packed::MAGIC) {
                let value = packed::unpack(&bytes, LONGEST_RECORD);
                return value.map_or(Unsealed::Damaged, Unsealed::Whole);
            }
            Unsealed::Whole(bytes)
        }
        (true, false) if key.is_none() => Unsealed::Damaged,
        _ => Unsealed::Foreign,
    }
}

/// Whether a record is signed. Only a holder of its key can then check whether it is damaged.
pub(super) fn is_signed(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNED.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{HEADER, Name, SigningKey, Unsealed, header, unseal as unseal_named};

    fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
        [header(Name::of(key), value, None), value.to_vec()].concat()
    }

    fn unseal(key: &[u8], bytes: Vec<u8>) -> Option<Vec<u8>> {
        match unseal_named(Name::of(key), bytes, None) {
            Unsealed::Whole(value) => Some(value),
            Unsealed::Damaged | Unsealed::Foreign => None,
        }
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

    #[test]
    fn only_what_the_key_has_signed_is_whole() {
        let (key, other) = (
            SigningKey::from_bytes([7; 32]),
            SigningKey::from_bytes([8; 32]),
        );
        let name = Name::of(b"key");
        let signed = [header(name, b"value", Some(&key)), b"value".to_vec()].concat();
        let opened = |name, bytes: &[u8], key| unseal_named(name, bytes.to_vec(), key);
        assert_eq!(
            opened(name, &signed, Some(&key)),
            Unsealed::Whole(b"value".to_vec())
        );
        assert_eq!(opened(name, &signed, Some(&other)), Unsealed::Foreign);
        assert_eq!(opened(name, &signed, None), Unsealed::Foreign);
        assert_eq!(
            opened(Name::of(b"yek"), &signed, Some(&key)),
            Unsealed::Foreign
        );
        let plain = sealed(b"key", b"value");
        assert_eq!(opened(name, &plain, Some(&key)), Unsealed::Foreign);
        for bit in 0..signed.len() * 8 {
            let mut bad = signed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(
                opened(name, &bad, Some(&key)),
                Unsealed::Whole(_)
            ));
        }
    }
}
