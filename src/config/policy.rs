//! The eviction policy in the form in which users write it: `lru`, `ttl:7d`.

use super::lifetime::{BadLifetime, Lifetime};
use std::fmt;
use std::str::FromStr;

/// Which entries of a full cache are evicted first, and after what time entries expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Least recently used first.
    #[default]
    Lru,
    /// First written first.
    Fifo,
    /// Least often used first.
    Lfu,
    /// In random order.
    Random,
    /// Entries expire after the lifetime; otherwise least recently used first.
    Ttl(Lifetime),
    /// Entries expire after a lifetime that depends on their kind; otherwise least recently used first.
    Tlru {
        /// The lifetime of host objects, and of everything that is not device code.
        objects: Lifetime,
        /// The lifetime of device code: cubins, PTX and the like.
        device: Lifetime,
    },
}

/// Text that is not a policy. The error texts give examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// No policy of this name, or a lifetime where none belongs.
    #[error("no such policy; write lru, fifo, lfu, random, ttl:7d, tlru or tlru:30d,90d")]
    Name,
    /// `ttl` alone.
    #[error("no lifetime; write one, such as ttl:7d")]
    NoLifetime,
    /// A lifetime that cannot be used.
    #[error("{0}; write numbers with s, m, h or d, such as ttl:7d or tlru:30d,90d")]
    Lifetime(#[from] BadLifetime),
}

/// The meaning of `tlru` alone. An object is useless after the next edit of any of its headers; device
/// code outlives edits of host code, and takes longest to compile.
const TLRU: EvictionPolicy = EvictionPolicy::Tlru {
    objects: Lifetime::days(30),
    device: Lifetime::days(90),
};

impl FromStr for EvictionPolicy {
    type Err = BadPolicy;

    /// A name in lower case, followed by a colon and lifetimes if the policy has them.
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        match text.split_once(':') {
            Some(("ttl", lifetime)) => Ok(Self::Ttl(lifetime.parse()?)),
            Some(("tlru", lifetimes)) => {
                let (objects, device) = lifetimes.split_once(',').ok_or(BadLifetime::Shape)?;
                Ok(Self::Tlru {
                    objects: objects.parse()?,
                    device: device.parse()?,
                })
            }
            Some(_) => Err(BadPolicy::Name),
            None => match text {
                "lru" => Ok(Self::Lru),
                "fifo" => Ok(Self::Fifo),
                "lfu" => Ok(Self::Lfu),
                "random" => Ok(Self::Random),
                "tlru" => Ok(TLRU),
                "ttl" => Err(BadPolicy::NoLifetime),
                _ => Err(BadPolicy::Name),
            },
        }
    }
}

/// The form that [`FromStr`] reads back, with all lifetimes.
impl fmt::Display for EvictionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lru => f.write_str("lru"),
            Self::Fifo => f.write_str("fifo"),
            Self::Lfu => f.write_str("lfu"),
            Self::Random => f.write_str("random"),
            Self::Ttl(lifetime) => write!(f, "ttl:{lifetime}"),
            Self::Tlru { objects, device } => write!(f, "tlru:{objects},{device}"),
        }
    }
}
