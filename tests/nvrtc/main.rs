//! NVRTC's cache with real libraries (`scripts/get-nvrtc`): in real programs that know nothing of it, which are a C
//! program, linked and opened in every way there is, and Python's clients (`scripts/get-nvrtc-clients`); and called
//! from here, with every answer held against the library's own.

#[cfg(feature = "remote")]
#[path = "../support/poll.rs"]
mod poll;
#[cfg(feature = "remote")]
#[path = "../support/servers.rs"]
#[allow(dead_code)]
// One kind of server is enough here; tests/remote and tests/e2e have the others.
mod servers;

mod answers;
mod cache;
mod clients;
mod limits;
mod scene;
#[cfg(feature = "remote")]
mod shared;
mod ways;
