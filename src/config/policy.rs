//! The eviction policy as people write it: `lru`, `ttl:7d`.

use super::lifetime::{BadLifetime, Lifetime};
use std::fmt;
use std::str::FromStr;

/// Which entries of a full cache go first, and after what time any goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Least recently used first.
    #[default]
    Lru,
    /// First written first.
    Fifo,
    /// Least often used first.
    Lfu,
    /// Any.
    Random,
    /// What is older goes; then least recently used first.
    Ttl(Lifetime),
    /// What is older goes, by what it is; then least recently used first.
    Tlru {
        /// Of host objects, and of whatever is not device code.
        objects: Lifetime,
        /// Of device code: cubins, PTX and the like.
        device: Lifetime,
    },
}

/// Text that is not a policy; says what would be.
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

/// What `tlru` alone means. An object is out of use with the next edit of any header; device
/// code outlives edits of host code, and takes longest to make.
const TLRU: EvictionPolicy = EvictionPolicy::Tlru {
    objects: Lifetime::days(30),
    device: Lifetime::days(90),
};

impl FromStr for EvictionPolicy {
    type Err = BadPolicy;

    /// A name in lower case, with lifetimes behind a colon where the policy has them.
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
