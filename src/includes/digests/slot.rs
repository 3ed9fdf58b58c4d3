//! One slot of the digest table: 16 words, the first of which is a checksum of the others. Pure: computes
//! in which slots a digest may lie and what its slot holds.

use super::aspect::Aspect;
use crate::key::Digest;
use crate::stat::Stat;

/// Words of 8 bytes in a slot: two cache lines.
pub(super) const SLOT_WORDS: usize = 16;
/// Slots in a group: 64 KiB, as much as the kernel maps at one page fault.
const GROUP_SLOTS: usize = 512;
/// Number of groups. A CUDA toolkit has some 2,000 headers, and a machine a handful of toolkits.
const GROUPS: usize = 128;
/// Number of slots.
pub(super) const SLOTS: usize = GROUPS * GROUP_SLOTS;

/// Number of consecutive inodes that share a group: half the number of its slots, so that two such rows
/// fit side by side.
const ROW: u64 = GROUP_SLOTS as u64 / 2;
/// Number of slots that are examined in each of the two groups where a digest may lie.
const WINDOW: usize = 8;

/// The word that identifies most foreign slots without a look at the rest.
pub(super) const INODE: usize = 4;
/// The word of the mount.
const MOUNT: usize = 13;

/// A slot's words, checksum first.
pub(super) type SlotWords = [u64; SLOT_WORDS];

/// The boot of the machine, as the kernel names it.
pub type Boot = [u64; 2];

/// The period in which a stat is believed: a boot of the machine, or the life of one mount in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) boot: Boot,
    /// The mount's unique id; 0 = the whole boot.
    pub(super) mount: u64,
}

/// What a digest belongs to: an aspect of a file in one state, in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    epoch: Epoch,
    stat: [u64; 5],
    aspect: u64,
}

impl Subject {
    pub(super) fn new(epoch: Epoch, stat: &Stat, aspect: Aspect) -> Self {
        Self {
            epoch,
            stat: stat.words(),
            aspect: aspect.0,
        }
    }

    pub(super) fn inode(&self) -> u64 {
        self.stat[1]
    }

    /// The slots where the digest may lie, best first: a window in each of two groups. Neighbouring
    /// inodes get neighbouring slots; files that were installed together have such inodes, so a
    /// thousand headers touch few pages. Rows that share one group rarely share both.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let [dev, ino, ..] = self.stat;
        let row = mix(mix(mix(0, dev), ino / ROW), self.aspect);
        let home = (ino % ROW) as usize * 2;
        let groups = [row as usize % GROUPS, (row >> 32) as usize % GROUPS];
        groups.into_iter().flat_map(move |group| {
            (0..WINDOW).map(move |step| group * GROUP_SLOTS + (home + step) % GROUP_SLOTS)
        })
    }

    /// The slot that holds `digest` for this subject.
    pub(super) fn slot(&self, digest: &Digest) -> SlotWords {
        let mut words = [0; SLOT_WORDS];
        words[1..3].copy_from_slice(&self.epoch.boot);
        words[3..8].copy_from_slice(&self.stat);
        words[8] = self.aspect;
        for (word, bytes) in words[9..13].iter_mut().zip(digest.chunks_exact(8)) {
            *word = u64::from_ne_bytes(std::array::from_fn(|i| bytes[i]));
        }
        words[MOUNT] = self.epoch.mount;
        words[0] = checksum(&words);
        words
    }

    /// The digest in `words`, if they are whole and belong to this subject.
    pub(super) fn digest_in(&self, words: &SlotWords) -> Option<Digest> {
        let is_mine = words[1..3] == self.epoch.boot
            && words[3..8] == self.stat
            && words[8] == self.aspect
            && words[MOUNT] == self.epoch.mount
            && words[0] == checksum(words);
        is_mine.then(|| {
            let mut digest = Digest::default();
            for (bytes, word) in digest.chunks_exact_mut(8).zip(&words[9..13]) {
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
            digest
        })
    }

    /// Whether `words` have no value once the digest of this subject is stored: they are empty, damaged, of
    /// an earlier boot, or of the same file in an earlier state or through another mount, which is most often
    /// an earlier one. If two mounts of one file system are used alternately, that costs time.
    pub(super) fn supersedes(&self, words: &SlotWords) -> bool {
        let same_file = words[3..5] == self.stat[..2] && words[8] == self.aspect;
        same_file || words[1..3] != self.epoch.boot || words[0] != checksum(words)
    }
}

/// The checksum of all words but the first. Each step is a bijection of the previous state, so slots that
/// differ in a single word never have equal checksums. A mixture of words from several slots, or from
/// before and after a power cut, passes once in 2^64 times.
fn checksum(words: &SlotWords) -> u64 {
    let step = |sum: u64, word: &u64| {
        let product = (sum ^ word).wrapping_mul(GOLDEN);
        product ^ (product >> 32)
    };
    mix(words[1..].iter().fold(CHECK_SEED, step), 0)
}

/// The initial state of the checksum. Not zero, so that a slot of zeros is invalid.
const CHECK_SEED: u64 = u64::from_be_bytes(*b"PCACHEDG");

/// 2^64 divided by the golden ratio, made odd: carries every bit upwards.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Mixes `word` into `state`; a bijection of each. The shifts bring the well-mixed upper bits of a product
/// down.
fn mix(state: u64, word: u64) -> u64 {
    let mixed = (state ^ word).wrapping_mul(GOLDEN);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(GOLDEN);
    (mixed ^ (mixed >> 29)).rotate_left(17)
}

#[cfg(test)]
mod tests {
    use super::{Epoch, GROUP_SLOTS, SLOTS, Subject};
    use crate::includes::digests::Aspect;
    use crate::stat::Stat;
    use proptest::prelude::{any, proptest};
    use std::collections::HashSet;

    fn subject(dev: u64, ino: u64) -> Subject {
        Subject::new(
            Epoch {
                boot: [5, 6],
                mount: 0,
            },
            &Stat::from_words([dev, ino, 7, 8, 9]),
            Aspect::CONTENT,
        )
    }

    #[test]
    fn neighbouring_inodes_have_neighbouring_slots() {
        let homes: Vec<_> = (1_000_000..1_001_400)
            .map(|ino| subject(2049, ino).places().next().unwrap())
            .collect();
        let close = homes.windows(2).filter(|pair| pair[1] == pair[0] + 2);
        assert!(close.count() >= 1400 - 7);
        let groups: HashSet<_> = homes.iter().map(|home| home / GROUP_SLOTS).collect();
        assert!(groups.len() <= 7, "{}", groups.len());
    }

    #[test]
    fn empty_slot_belongs_to_no_subject() {
        let never = Epoch {
            boot: [0; 2],
            mount: 0,
        };
        let empty = Subject::new(never, &Stat::from_words([0; 5]), Aspect::CONTENT);
        assert_eq!(empty.digest_in(&[0; 16]), None);
        assert!(empty.supersedes(&[0; 16]));
    }

    proptest! {
        #[test]
        fn any_single_changed_word_is_noticed(
            digest in any::<[u8; 32]>(), at in 0..16_usize, other in any::<u64>(),
        ) {
            let subject = subject(3, 4);
            let mut words = subject.slot(&digest);
            assert_eq!(subject.digest_in(&words), Some(digest));
            let changed = words[at] != other;
            words[at] = other;
            assert_eq!(subject.digest_in(&words).is_none(), changed);
        }

        #[test]
        fn mixtures_of_two_slots_are_noticed(
            first in any::<[u8; 32]>(), second in any::<[u8; 32]>(), taken in any::<u16>(),
        ) {
            // Two states of knowledge about one subject differ in checksum and digest only.
            let subject = subject(3, 4);
            let (a, b) = (subject.slot(&first), subject.slot(&second));
            let pick = |at: usize| if taken >> at & 1 == 1 { a[at] } else { b[at] };
            let words = std::array::from_fn(pick);
            let read = subject.digest_in(&words);
            assert!(read.is_none_or(|read| (words == a && read == first) || (words == b && read == second)));
        }

        #[test]
        fn places_lie_in_the_table(dev in any::<u64>(), ino in any::<u64>()) {
            assert!(subject(dev, ino).places().all(|place| place < SLOTS));
            assert_eq!(subject(dev, ino).places().count(), 16);
        }
    }
}
