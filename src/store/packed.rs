//! Compressed values: a zstd frame that says how long its content is. `zstd -d` reads it.

use super::artefact::Artefact;
use crate::config::CompressionLevel;
use std::io::Read;

/// How every frame begins (RFC 8878, section 3.1.1).
pub(super) const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The longest header of a frame (RFC 8878, section 3.1.1): magic number and 14 bytes.
const LONGEST_HEAD: u64 = 18;

/// Shorter values stay as they are: a file takes a block of the file system in any case.
const WORTHWHILE: usize = 256;

/// Shorter records stay readable.
const LONG_RECORD: usize = 1024;

/// The frame with the content `bytes`; `None` if that would save less than an eighth.
pub(super) fn pack(bytes: &[u8], level: CompressionLevel) -> Option<Vec<u8>> {
    if bytes.len() < WORTHWHILE {
        return None;
    }
    let frame = frame(bytes, level)?;
    (frame.len() < bytes.len() - bytes.len() / 8).then_some(frame)
}

/// What is stored in place of the value of a record; `None` for the value itself.
pub(super) fn record(value: &[u8], level: Option<CompressionLevel>) -> Option<Vec<u8>> {
    if value.starts_with(MAGIC) {
        // As it is, it would be taken for a frame.
        return frame(value, CompressionLevel::USUAL);
    }
    let level = level.filter(|_| value.len() >= LONG_RECORD)?;
    pack(value, level)
}

/// The frame with the content `bytes`, however long it is.
fn frame(bytes: &[u8], level: CompressionLevel) -> Option<Vec<u8>> {
    zstd::bulk::compress(bytes, level.number()).ok()
}

/// The content of a frame. `None` if it is damaged or longer than `most`.
pub(super) fn unpack(frame: &[u8], most: u64) -> Option<Vec<u8>> {
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok()??;
    if size > most {
        return None;
    }
    zstd::bulk::decompress(frame, usize::try_from(size).ok()?).ok()
}

/// The artefact with the content of the frame that `from` yields; `None` if it is no whole frame.
pub(super) fn artefact(from: impl Read) -> Option<Artefact> {
    Artefact::read(zstd::stream::read::Decoder::new(from).ok()?).ok()
}

/// As [`artefact`], for a frame that may be hostile: it must say how long its content is, at most `most` bytes, and no
/// more of the content is read than that.
pub(super) fn bounded_artefact(mut from: impl Read, most: u64) -> Option<Artefact> {
    let mut head = Vec::new();
    (&mut from).take(LONGEST_HEAD).read_to_end(&mut head).ok()?;
    if !head.starts_with(MAGIC) {
        return None;
    }
    let size = zstd::zstd_safe::get_frame_content_size(&head).ok()??;
    if size > most {
        return None;
    }
    let content = zstd::stream::read::Decoder::new((&head[..]).chain(from)).ok()?;
    // One more byte, so that the frame is read to its end.
    let found = Artefact::read(content.take(size.saturating_add(1))).ok()?;
    (found.size == size).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, artefact, bounded_artefact, pack, unpack};
    use crate::config::Compression;
    use crate::store::Artefact;

    fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
        let level = Compression::DEFAULT.internal().expect("it compresses");
        pack(bytes, level)
    }

    #[test]
    fn a_frame_has_its_content_and_no_more() {
        let text = b"template< class T> ".repeat(1000);
        let frame = packed(&text).expect("it is long");
        assert!(frame.starts_with(MAGIC) && frame.len() < text.len() / 10);
        let size = text.len() as u64;
        assert_eq!(
            bounded_artefact(&frame[..], size),
            Some(Artefact::of(&text))
        );
        assert_eq!(bounded_artefact(&frame[..], size - 1), None);
        assert_eq!(unpack(&frame, size).as_ref(), Some(&text));
        assert_eq!(unpack(&frame, size - 1), None);
        assert_eq!(artefact(&frame[..]), Some(Artefact::of(&text)));
        for end in 0..frame.len() {
            assert_eq!(unpack(&frame[..end], size), None);
            assert_eq!(artefact(&frame[..end]), None, "{end}");
            assert_eq!(bounded_artefact(&frame[..end], size), None, "{end}");
        }
    }

    #[test]
    fn frame_that_holds_more_than_it_says_is_refused() {
        let text = b"template< class T> ".repeat(1000);
        let frame = packed(&text).expect("it is long");
        let twice = [&frame[..], &frame[..]].concat();
        assert_eq!(bounded_artefact(&twice[..], u64::MAX), None);
        // As a stream is compressed whose length is not known before.
        let silent = zstd::stream::encode_all(&text[..], 1).expect("it is memory");
        assert!(artefact(&silent[..]).is_some());
        assert_eq!(bounded_artefact(&silent[..], u64::MAX), None);
        assert_eq!(bounded_artefact(&text[..], u64::MAX), None);
    }

    #[test]
    fn values_that_are_short_or_random_stay_as_they_are() {
        assert_eq!(packed(&[b'a'; 255]), None);
        let mut word = 1u32;
        let noise = std::iter::repeat_with(|| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            word.to_be_bytes()[0]
        });
        assert_eq!(packed(&noise.take(5000).collect::<Vec<_>>()), None);
    }
}
