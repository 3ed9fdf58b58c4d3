//! What every end-to-end test stands on: the real toolkit, a workspace of its own, and judges
//! that say whether a build through pcache-nvcc is what nvcc itself gives.

#[cfg(feature = "remote")]
pub mod canned_http;
pub mod counters;
#[cfg(feature = "remote")]
pub mod fault_proxy;
pub mod jobserver;
pub mod judge;
pub mod outcome;
pub mod page;
pub mod poll;
pub mod random;
pub mod reference;
#[cfg(feature = "remote")]
#[allow(dead_code)] // tests/remote needs the rest.
pub mod servers;
pub mod stages;
pub mod toolkit;
pub mod tools;
pub mod trace;
pub mod trap;
pub mod tree;
pub mod warm;
pub mod workspace;
