//! How many of something are asked for: one at least.

use std::num::NonZeroU64;
use std::str::FromStr;

/// A number from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct PositiveCount(NonZeroU64);

impl PositiveCount {
    pub(super) fn get(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for PositiveCount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let count = text.parse().map(Self);
        count.map_err(|_| "expected a number from 1")
    }
}
