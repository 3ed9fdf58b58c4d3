//! Path sets in fewer bytes: of each path only what differs from the path before it. A hit reads a list of path sets, so
//! this must cost less than it saves in reading and hashing, which no general compressor does for so few bytes.

/// The most bytes that a piece may have in common with the one before.
const MOST: usize = u8::MAX as usize;

/// The bytes, which are taken for pieces that end with a zero byte: each as the number of bytes that it has in common
/// with the piece before (u8), and the rest of it with its end. A last piece without an end follows as it is, after the
/// number.
pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(bytes.len() / 2);
    let mut before: &[u8] = &[];
    for piece in bytes.split_inclusive(|&byte| byte == 0) {
        let pairs = piece.iter().zip(before).take(MOST);
        // The end is written in any case.
        let common = pairs
            .take_while(|(one, other)| one == other && **one != 0)
            .count();
        encoded.push(common as u8);
        encoded.extend_from_slice(&piece[common..]);
        before = piece;
    }
    encoded
}

/// The bytes that were encoded; `None` if `encoded` is not what [`encode`] writes, or stands for more than `most` bytes.
pub(super) fn decode(mut encoded: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len().saturating_mul(3).min(most));
    let mut before = 0;
    while let Some((&common, rest)) = encoded.split_first() {
        let start = bytes.len();
        let end = before + usize::from(common);
        if end > start {
            return None;
        }
        bytes.extend_from_within(before..end);
        let length = rest.iter().position(|&byte| byte == 0);
        let length = length.map_or(rest.len(), |end| end + 1);
        bytes.extend_from_slice(&rest[..length]);
        if bytes.len() > most {
            return None;
        }
        before = start;
        encoded = &rest[length..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    #[test]
    fn paths_share_their_beginnings() {
        let bytes = b"\x02\0\0\0{host}/include/a.h\0{host}/include/b.h\0";
        let encoded = encode(bytes);
        assert_eq!(encoded, b"\0\x02\0\0\0\0\0\0{host}/include/a.h\0\x0fb.h\0");
        assert_eq!(decode(&encoded, bytes.len()).unwrap(), bytes);
        assert_eq!(decode(&encoded, bytes.len() - 1), None);
    }

    #[test]
    fn what_refers_to_bytes_that_do_not_exist_is_refused() {
        assert_eq!(decode(b"\x01a\0", 100), None);
        assert_eq!(decode(b"\0ab\0\x04c\0", 100), None);
        // A long chain of copies, which would grow with every piece.
        let hostile = [&[0][..], &[b'a'; 250], &[0], &b"\xfa\0".repeat(1000)].concat();
        assert_eq!(decode(&hostile, 10_000), None);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(prop::sample::select(vec![0, 1, b'a', b'b']), 0..600)) {
            prop_assert_eq!(decode(&encode(&bytes), bytes.len()), Some(bytes));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(decoded) = decode(&bytes, 1000) {
                prop_assert_eq!(decode(&encode(&decoded), 1000), Some(decoded));
            }
        }
    }
}
