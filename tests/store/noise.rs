//! Contents of files that no compression makes smaller.

/// Bytes that nothing compresses, different for each `seed`.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut word = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    });
    words.flatten().take(length).collect()
}
