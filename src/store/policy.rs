//! Eviction policies: choose the entries to remove above the size limit or after expiry. Pure functions of the
//! entries' facts, the limits and the time. They read no clock and no file, and draw no random numbers of
//! their own. The caller removes the victims that have not changed meanwhile.

use super::{ContentKind, Worth};
use crate::config::{EvictionPolicy, Lifetime};
use std::collections::HashSet;

pub use crate::files::Nanos;

/// The facts of one entry that a policy looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Size in bytes.
    pub size: u64,
    /// What losing it costs.
    pub worth: Worth,
    /// Time of the last read, or of the last write if it was never read.
    pub read: Nanos,
    /// Time of the last write.
    pub written: Nanos,
    /// How often it was written or read; 1 if it was only written or its reads are not counted.
    pub uses: u64,
    /// Time of expiry, from [`Policy::expires`]; `None` = never.
    pub expires: Option<Nanos>,
}

/// The limits of a store, and to what an eviction shrinks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Up to this many bytes, nothing is evicted.
    pub max_bytes: u64,
    /// Above a limit, entries are evicted until at most this many bytes are left.
    pub target_bytes: u64,
    /// Up to this many files, nothing is evicted.
    pub max_files: u64,
    /// Above a limit, entries are evicted until at most this many files are left.
    pub target_files: u64,
}

/// Intermediates go first while they take more than this part of what is to be left. So results that take less than
/// the rest are never evicted, and a cache that is full of old results still keeps new intermediates.
const SHARE_OF_INTERMEDIATES: u128 = 4;

impl Limits {
    /// A limit with its low-water mark at 90 %, so that a full store does not evict at every put.
    pub fn below(max_bytes: u64) -> Self {
        Self {
            target_bytes: low_water(max_bytes),
            ..Self::exactly(max_bytes)
        }
    }

    /// A limit without a low-water mark: no more entries are evicted than necessary.
    pub fn exactly(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            target_bytes: max_bytes,
            max_files: u64::MAX,
            target_files: u64::MAX,
        }
    }

    /// The same limits, and at most `max_files` files, with a low-water mark too.
    #[must_use]
    pub fn with_files(self, max_files: u64) -> Self {
        Self {
            max_files,
            target_files: low_water(max_files),
            ..self
        }
    }

    /// The same limits, and at most `files` files, without a low-water mark.
    #[must_use]
    pub fn to_files(self, files: u64) -> Self {
        Self {
            max_files: files,
            target_files: files,
            ..self
        }
    }

    /// The largest file of this worth that a store takes: one that is not to be evicted in favour of results.
    pub fn most_of(self, worth: Worth) -> u64 {
        match worth {
            Worth::Result => self.max_bytes,
            Worth::Intermediate => self.target_bytes / SHARE_OF_INTERMEDIATES as u64,
        }
    }

    /// The limits for the entries if `files` files cannot be evicted.
    #[must_use]
    pub fn without_files(self, files: u64) -> Self {
        Self {
            max_files: self.max_files.saturating_sub(files),
            target_files: self.target_files.saturating_sub(files),
            ..self
        }
    }

    /// The limits for the entries if `bytes` are taken up by something that cannot be evicted.
    #[must_use]
    pub fn without(self, bytes: u64) -> Self {
        Self {
            max_bytes: self.max_bytes.saturating_sub(bytes),
            target_bytes: self.target_bytes.saturating_sub(bytes),
            ..self
        }
    }
}

/// 90 % of a limit.
fn low_water(limit: u64) -> u64 {
    limit - limit / 10
}

/// What is left during an eviction. A sum of u64 sizes always fits in u128.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    bytes: u128,
    files: u128,
}

impl Left {
    fn of<'c>(entries: impl Iterator<Item = &'c Candidate>) -> Self {
        entries.fold(Self::default(), |left, entry| Self {
            bytes: left.bytes + u128::from(entry.size),
            files: left.files + 1,
        })
    }

    fn lose(&mut self, entry: &Candidate) {
        self.bytes -= u128::from(entry.size);
        self.files -= 1;
    }

    /// Whether this many bytes and files are allowed.
    fn fits(self, bytes: u64, files: u64) -> bool {
        self.bytes <= u128::from(bytes) && self.files <= u128::from(files)
    }
}

/// What the usage log keeps for a policy that needs more than file times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageLog {
    /// Nothing.
    Nothing,
    /// The use count of each entry.
    Uses,
    /// The content kind of each entry.
    Kinds,
}

/// The order in which entries are evicted. Every order is total: ties are broken by the time of
/// writing, and then by the position in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Least recently used first, by the time of the last read or write.
    #[default]
    Lru,
    /// First written first, however often it was read. Rewriting an entry makes it the last.
    Fifo,
    /// Least often used first; of equals, the least recently used.
    Lfu,
    /// Random order. The same seed, time and number of entries give the same victims.
    Random {
        /// The choice is drawn from this and the time.
        seed: u64,
    },
    /// Entries older than the lifetime are removed whatever the size; then as [`Policy::Lru`].
    Ttl {
        /// From writing to expiry, in nanoseconds.
        lifetime: Nanos,
    },
    /// Each entry has a lifetime of its own; then as [`Policy::Lru`].
    Tlru {
        /// From writing to expiry of a [`ContentKind::Object`], in nanoseconds.
        objects: Nanos,
        /// From writing to expiry of a [`ContentKind::Device`], in nanoseconds.
        device: Nanos,
    },
}

impl Policy {
    /// Time at which a value that is written at `written` expires, unless its writer gives another; `None`
    /// for policies without expiry.
    pub fn expires(self, class: ContentKind, written: Nanos) -> Option<Nanos> {
        let lifetime = match self {
            Self::Lru | Self::Fifo | Self::Lfu | Self::Random { .. } => return None,
            Self::Ttl { lifetime } => lifetime,
            Self::Tlru { objects, device } => match class {
                ContentKind::Object => objects,
                ContentKind::Device => device,
            },
        };
        Some(written.saturating_add(lifetime))
    }

    /// What the usage log keeps for this policy.
    pub fn log(self) -> UsageLog {
        match self {
            Self::Lru | Self::Fifo | Self::Random { .. } | Self::Ttl { .. } => UsageLog::Nothing,
            Self::Lfu => UsageLog::Uses,
            Self::Tlru { .. } => UsageLog::Kinds,
        }
    }

    /// Whether this policy needs the usage log.
    pub fn needs_log(self) -> bool {
        self.log() != UsageLog::Nothing
    }

    /// Whether entries expire under this policy. If not, it ignores [`Candidate::expires`].
    pub fn knows_expiry(self) -> bool {
        match self {
            Self::Lru | Self::Fifo | Self::Lfu | Self::Random { .. } => false,
            Self::Ttl { .. } | Self::Tlru { .. } => true,
        }
    }

    /// Whether this policy treats entries by what they are.
    pub fn knows_kinds(self) -> bool {
        self.log() == UsageLog::Kinds
    }

    /// Whether an entry must not be served at `now`: it is valid until just before `expires`.
    pub fn is_expired(self, entry: &Candidate, now: Nanos) -> bool {
        self.knows_expiry() && entry.expires.is_some_and(|expires| expires <= now)
    }

    /// Indices of the expired entries, first expired first.
    pub fn expired(self, entries: &[Candidate], now: Nanos) -> Vec<usize> {
        let mut expired: Vec<usize> = (0..entries.len())
            .filter(|&at| self.is_expired(&entries[at], now))
            .collect();
        expired.sort_by_key(|&at| (entries[at].expires, entries[at].written, at));
        expired
    }

    /// Indices of the entries to remove, first victim first: the expired ones and, if the rest exceeds
    /// a limit, as many more as reach the target, intermediates before results. `entries` must not include one that is
    /// about to be written, or it could become its own victim; the caller subtracts it from the limits.
    pub fn victims(self, entries: &[Candidate], limits: Limits, now: Nanos) -> Vec<usize> {
        let mut victims = self.expired(entries, now);
        let valid = entries.iter().filter(|entry| !self.is_expired(entry, now));
        let mut left = Left::of(valid);
        if left.fits(limits.max_bytes, limits.max_files) {
            return victims;
        }
        let order = self.order(entries, now);
        let bytes = limits.target_bytes.min(limits.max_bytes);
        let files = limits.target_files.min(limits.max_files);
        let is_intermediate = |at: &usize| entries[*at].worth == Worth::Intermediate;
        let intermediates = order.iter().copied().filter(is_intermediate);
        let mut intermediates_left = Left::of(intermediates.clone().map(|at| &entries[at]));
        for at in intermediates {
            let exceeds = |left: u128, part: u128, target: u64| {
                left > u128::from(target) && part > u128::from(target) / SHARE_OF_INTERMEDIATES
            };
            if !exceeds(left.bytes, intermediates_left.bytes, bytes)
                && !exceeds(left.files, intermediates_left.files, files)
            {
                break;
            }
            left.lose(&entries[at]);
            intermediates_left.lose(&entries[at]);
            victims.push(at);
        }
        let gone: HashSet<usize> = victims.iter().copied().collect();
        for at in order.into_iter().filter(|at| !gone.contains(at)) {
            if left.fits(bytes, files) {
                break;
            }
            left.lose(&entries[at]);
            victims.push(at);
        }
        victims
    }

    /// Indices of all entries that have not expired, in the order in which they would be evicted.
    fn order(self, entries: &[Candidate], now: Nanos) -> Vec<usize> {
        let mut order: Vec<usize> = (0..entries.len())
            .filter(|&at| !self.is_expired(&entries[at], now))
            .collect();
        match self {
            Self::Lru | Self::Ttl { .. } | Self::Tlru { .. } => {
                order.sort_by_key(|&at| (entries[at].read, entries[at].written, at));
            }
            Self::Fifo => order.sort_by_key(|&at| (entries[at].written, at)),
            Self::Lfu => order.sort_by_key(|&at| {
                let entry = &entries[at];
                (entry.uses, entry.read, entry.written, at)
            }),
            Self::Random { seed } => {
                let start = mix(seed ^ mix(now as u64));
                order.sort_by_key(|&at| (mix(start.wrapping_add(at as u64)), at));
            }
        }
        order
    }
}

/// The policy of the setting. A random choice needs no seed from the setting, because it also depends on
/// the time.
impl From<EvictionPolicy> for Policy {
    fn from(setting: EvictionPolicy) -> Self {
        let nanos = |lifetime: Lifetime| {
            let seconds = Nanos::try_from(lifetime.seconds()).unwrap_or(Nanos::MAX);
            seconds.saturating_mul(1_000_000_000)
        };
        match setting {
            EvictionPolicy::Lru => Self::Lru,
            EvictionPolicy::Fifo => Self::Fifo,
            EvictionPolicy::Lfu => Self::Lfu,
            EvictionPolicy::Random => Self::Random { seed: 0 },
            EvictionPolicy::Ttl(lifetime) => Self::Ttl {
                lifetime: nanos(lifetime),
            },
            EvictionPolicy::Tlru { objects, device } => Self::Tlru {
                objects: nanos(objects),
                device: nanos(device),
            },
        }
    }
}

/// One step of the generator SplitMix64 (Steele, Lea, Flood 2014): every bit of the input flips about
/// half of the bits of the output.
fn mix(state: u64) -> u64 {
    let mut word = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests;
