//! The servers that keep the values of a shared cache: real ones, and broken ones.

#[path = "../support/again.rs"]
#[allow(dead_code)] // It can also start writers, which no test here needs.
mod again;
#[path = "../support/canned_http.rs"]
mod canned_http;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/poll.rs"]
mod poll;
#[path = "../support/servers.rs"]
mod servers;

#[cfg(feature = "cloud")]
mod cloud;
mod contract;
mod faults;
mod file;
mod http;
mod memcached;
mod redis;
mod tls;

use pcache_nvcc::remote::backend::{BackendError, RemoteBackend, Timeouts, open};
use std::time::{Duration, Instant};

/// Timeouts that only a hang can reach.
const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(60),
    first_byte: Duration::from_secs(60),
    whole: Duration::from_secs(60),
};

/// Timeouts of a call that must end soon.
const HASTY: Timeouts = Timeouts {
    connect: Duration::from_millis(300),
    first_byte: Duration::from_millis(300),
    whole: Duration::from_millis(300),
};

/// A limit that no value here reaches.
const LARGE: u64 = 64 * 1024 * 1024;

#[track_caller]
fn connect(url: &str) -> Box<dyn RemoteBackend> {
    open(url, PATIENT).unwrap()
}

/// Makes a call with [`HASTY`] timeouts, and checks that it has not waited for the server.
#[track_caller]
fn in_time<T>(call: impl FnOnce() -> Result<T, BackendError>) -> Result<T, BackendError> {
    let start = Instant::now();
    let done = call();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "a call took {took:?}");
    done
}

/// The code of a call's error, or `ok`.
fn code<T>(done: &Result<T, BackendError>) -> &'static str {
    done.as_ref().map_or_else(BackendError::code, |_| "ok")
}

/// Bytes that do not repeat soon.
fn bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}
