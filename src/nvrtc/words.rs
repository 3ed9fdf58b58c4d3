//! Splits a text into words as NVRTC does, by bytes alone, also in comments and strings. Pure.

use memchr::memmem;

/// The words of `text`, in order.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_word(*byte))
        .filter(|word| !word.is_empty())
}

/// The positions of `word` in `text` as a whole word, also next to `##`.
pub(super) fn word_places<'t>(text: &'t [u8], word: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    memmem::find_iter(text, word).filter(move |at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        let after = text.get(at + word.len());
        ![before, after]
            .into_iter()
            .flatten()
            .any(|byte| is_word(*byte))
    })
}

/// Whether `byte` may be part of a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}
