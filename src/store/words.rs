//! Hexadecimal numbers in text, stored as the bytes that they mean: device code reaches the host compiler as text, and
//! no compressor finds the bytes behind its digits.

/// Stands for the digits of a number. Text that holds this byte is left as it is.
const PLACE: u8 = 0;
const PREFIX: &[u8] = b"0x";
const DIGITS: usize = 16;
const WORD: usize = 8;

/// Longer texts are left as they are, so that a reader who does not know the length may allocate this.
pub(super) const LONGEST: usize = 64 << 20;

/// The text with a byte in place of the digits of each number of 64 bits, and those numbers as they lie in memory
/// (little endian). `None` if numbers make up less than half of the text.
pub(super) fn split(text: &[u8]) -> Option<[Vec<u8>; 2]> {
    if text.len() > LONGEST || text.contains(&PLACE) {
        return None;
    }
    let (mut rest, mut words) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let after = &text[at..];
        if let Some(word) = after.strip_prefix(PREFIX).and_then(word) {
            rest.extend([PREFIX, &[PLACE]].concat());
            words.extend(word);
            at += PREFIX.len() + DIGITS;
        } else {
            rest.push(after[0]);
            at += 1;
        }
        if rest.len() > text.len() / 2 {
            return None;
        }
    }
    Some([rest, words])
}

/// The number whose digits `text` begins with.
fn word(text: &[u8]) -> Option<[u8; WORD]> {
    let (digits, after) = text.split_first_chunk::<DIGITS>()?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !digits.iter().all(is_digit) || after.first().is_some_and(is_digit) {
        return None;
    }
    let number = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(number.to_le_bytes())
}

/// The text that was split at `length` bytes; `None` if that is not what [`split`] gives.
pub(super) fn join(split: &[u8], length: usize) -> Option<Vec<u8>> {
    let (rest, words) = split.split_at_checked(length)?;
    let mut words = words.chunks_exact(WORD);
    let mut text = Vec::with_capacity(rest.len() + words.len() * DIGITS);
    for &byte in rest {
        if byte == PLACE {
            let word: [u8; WORD] = words.next()?.try_into().ok()?;
            text.extend(hex::encode(u64::from_le_bytes(word).to_be_bytes()).as_bytes());
        } else {
            text.push(byte);
        }
    }
    (words.next().is_none() && words.remainder().is_empty() && text.len() <= LONGEST)
        .then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{join, split};

    fn quads(count: u64) -> Vec<u8> {
        let mut text = b"asm(\".quad ".to_vec();
        for number in 0..count {
            text.extend(
                format!("0x{:016x},", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).as_bytes(),
            );
        }
        text
    }

    #[test]
    fn text_comes_back_as_it_was() {
        for tail in [
            "",
            "\\n\");",
            "0x",
            "0x0123",
            "0x0123456789abcdef",
            "0x0123456789abcdef0",
            "0x0123456789ABCDEF",
        ] {
            let text = [quads(40), tail.as_bytes().to_vec()].concat();
            let [rest, words] = split(&text).unwrap();
            assert!(words.len() >= 40 * 8 && rest.len() < text.len() / 2);
            assert_eq!(
                join(&[rest.clone(), words].concat(), rest.len()),
                Some(text)
            );
        }
    }

    #[test]
    fn numbers_are_stored_as_they_lie_in_memory() {
        let [rest, words] = split(b"0x00100001ba55ed50").unwrap();
        assert_eq!(
            (&rest[..], &words[..]),
            (&b"0x\0"[..], &b"\x50\xed\x55\xba\x01\0\x10\0"[..])
        );
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in [
            &b""[..4 - 4],
            b"int a = 0x1;",
            b"0x0123456789abcdef\0",
            &[b'a'; 1000],
        ] {
            assert!(text.is_empty() || split(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn too_few_and_too_many_words_are_no_text() {
        let [rest, words] = split(&quads(9)).unwrap();
        let whole = [rest.clone(), words.clone()].concat();
        for end in rest.len()..whole.len() {
            assert_eq!(join(&whole[..end], rest.len()), None);
        }
        assert_eq!(join(&[whole.clone(), vec![1]].concat(), rest.len()), None);
        assert_eq!(join(&whole, whole.len() + 1), None);
    }
}
