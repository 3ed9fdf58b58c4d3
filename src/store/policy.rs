//! Which entries go when there are too many or when they are too old: pure functions of what is
//! known of each entry, the limits and the time. Reads no clock and no file, draws no random numbers
//! of its own; the caller removes what is named, if it still is what it was.

use super::ContentKind;
use crate::config::{EvictionPolicy, Lifetime};

pub use crate::files::Nanos;

/// What a policy knows of one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Bytes.
    pub size: u64,
    /// Last read, or written if it never was.
    pub read: Nanos,
    /// Last written.
    pub written: Nanos,
    /// How often it was written or read; 1 for one that was only written, or whose reads are not
    /// counted.
    pub uses: u64,
    /// From this moment on it is not there any more; `None` = never. [`Policy::expires`] gives it.
    pub expires: Option<Nanos>,
}

/// How much may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Up to this many bytes, nothing goes.
    pub max_bytes: u64,
    /// Beyond them, entries go until no more than this is left.
    pub target_bytes: u64,
}

impl Limits {
    /// A cap with its low-water mark at 90 %, so that a full store does not evict at every put.
    pub fn below(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            target_bytes: max_bytes - max_bytes / 10,
        }
    }

    /// A cap without a low-water mark: just so many entries go that the rest fits.
    pub fn exactly(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            target_bytes: max_bytes,
        }
    }

    /// What is left of the limits when `bytes` are taken by what cannot be evicted.
    pub fn without(self, bytes: u64) -> Self {
        Self {
            max_bytes: self.max_bytes.saturating_sub(bytes),
            target_bytes: self.target_bytes.saturating_sub(bytes),
        }
    }
}

/// What a policy must know of an entry besides its times, and the usage log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageLog {
    /// Nothing.
    Nothing,
    /// How often each was used.
    Uses,
    /// What kind of content each has.
    Kinds,
}

/// In which order entries go. Every order is total: what the named facts leave equal goes in the
/// order of writing, and then in that of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Least recently used first, by the time of the last read or write.
    #[default]
    Lru,
    /// First written first, however often it was read. Writing anew counts.
    Fifo,
    /// Least often used first; of equals, the least recently used.
    Lfu,
    /// Any. The same seed, moment and number of entries give the same victims.
    Random {
        /// What the choice is drawn from, together with the moment.
        seed: u64,
    },
    /// What is older than one lifetime goes whatever the size; then as [`Policy::Lru`].
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
    /// When a value that is written at `written` expires, unless its writer says otherwise; `None`
    /// for policies that know no expiry.
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

    /// What the usage log keeps for it.
    pub fn log(self) -> UsageLog {
        match self {
            Self::Lru | Self::Fifo | Self::Random { .. } | Self::Ttl { .. } => UsageLog::Nothing,
            Self::Lfu => UsageLog::Uses,
            Self::Tlru { .. } => UsageLog::Kinds,
        }
    }

    /// Whether it needs the usage log.
    pub fn needs_log(self) -> bool {
        self.log() != UsageLog::Nothing
    }

    /// Whether entries expire at all. What others say in [`Candidate::expires`] is not looked at.
    pub fn knows_expiry(self) -> bool {
        match self {
            Self::Lru | Self::Fifo | Self::Lfu | Self::Random { .. } => false,
            Self::Ttl { .. } | Self::Tlru { .. } => true,
        }
    }

    /// Whether an entry must not be served any more at `now`: its last moment is the one before
    /// `expires`.
    pub fn is_expired(self, entry: &Candidate, now: Nanos) -> bool {
        self.knows_expiry() && entry.expires.is_some_and(|expires| expires <= now)
    }

    /// Indices of what has expired, first expired first.
    pub fn expired(self, entries: &[Candidate], now: Nanos) -> Vec<usize> {
        let mut gone: Vec<usize> = (0..entries.len())
            .filter(|&at| self.is_expired(&entries[at], now))
            .collect();
        gone.sort_by_key(|&at| (entries[at].expires, entries[at].written, at));
        gone
    }

    /// Indices of the entries to remove, first victim first: what has expired, and then as many as
    /// reach the target, if what is left exceeds the cap. An entry that is about to be written is
    /// none of `entries`: the caller takes it off the limits, or else it may be its own victim.
    pub fn victims(self, entries: &[Candidate], limits: Limits, now: Nanos) -> Vec<usize> {
        let mut victims = self.expired(entries, now);
        // Wide enough for any number of sizes.
        let size = |at: usize| u128::from(entries[at].size);
        let gone: u128 = victims.iter().map(|&at| size(at)).sum();
        let mut left = (0..entries.len()).map(size).sum::<u128>() - gone;
        if left <= u128::from(limits.max_bytes) {
            return victims;
        }
        let target = limits.target_bytes.min(limits.max_bytes);
        for at in self.order(entries, now) {
            if left <= u128::from(target) {
                break;
            }
            left -= size(at);
            victims.push(at);
        }
        victims
    }

    /// Everything that has not expired, in the order in which it would go.
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

/// As the setting says. The choice at random needs no seed of its own, as it is drawn from the moment,
/// too.
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

/// The step of the generator SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves about
/// half of those of the output.
fn mix(state: u64) -> u64 {
    let mut word = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests;
