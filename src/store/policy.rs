//! Eviction policies: choose the entries to remove above the size limit or after expiry. Pure functions of the
//! entries' facts, the limits and the time. They read no clock and no file, and draw no random numbers of
//! their own. The caller removes the victims that have not changed meanwhile.

use super::ContentKind;
use crate::config::{EvictionPolicy, Lifetime};

pub use crate::files::Nanos;

/// The facts of one entry that a policy looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last read, or of the last write if it was never read.
    pub read: Nanos,
    /// Time of the last write.
    pub written: Nanos,
    /// How often it was written or read; 1 if it was only written or its reads are not counted.
    pub uses: u64,
    /// Time of expiry, from [`Policy::expires`]; `None` = never.
    pub expires: Option<Nanos>,
}

/// The size limit, and the size to which an eviction shrinks the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Up to this many bytes, nothing is evicted.
    pub max_bytes: u64,
    /// Above `max_bytes`, entries are evicted until at most this many bytes are left.
    pub target_bytes: u64,
}

impl Limits {
    /// A limit with its low-water mark at 90 %, so that a full store does not evict at every put.
    pub fn below(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            target_bytes: max_bytes - max_bytes / 10,
        }
    }

    /// A limit without a low-water mark: no more entries are evicted than necessary.
    pub fn exactly(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            target_bytes: max_bytes,
        }
    }

    /// The limits for the entries if `bytes` are taken up by something that cannot be evicted.
    pub fn without(self, bytes: u64) -> Self {
        Self {
            max_bytes: self.max_bytes.saturating_sub(bytes),
            target_bytes: self.target_bytes.saturating_sub(bytes),
        }
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
    /// the limit, as many more as reach the target. `entries` must not include one that is about to be
    /// written, or it could become its own victim; the caller subtracts it from the limits.
    pub fn victims(self, entries: &[Candidate], limits: Limits, now: Nanos) -> Vec<usize> {
        let mut victims = self.expired(entries, now);
        // A sum of u64 sizes always fits in u128.
        let size = |at: usize| u128::from(entries[at].size);
        let expired_bytes: u128 = victims.iter().map(|&at| size(at)).sum();
        let mut remaining = (0..entries.len()).map(size).sum::<u128>() - expired_bytes;
        if remaining <= u128::from(limits.max_bytes) {
            return victims;
        }
        let target = limits.target_bytes.min(limits.max_bytes);
        for at in self.order(entries, now) {
            if remaining <= u128::from(target) {
                break;
            }
            remaining -= size(at);
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
        let nanos = |lifetime: Lifetime| Nanos::from(lifetime.seconds()) * 1_000_000_000;
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
