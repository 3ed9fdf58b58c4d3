//! The store and all else that processes share in a cache: locks, slots, digests of headers, the journal. Many threads
//! and processes, killed ones too; full disks, other users, mounts; models and other implementations beside it.

#[path = "../support/again.rs"]
mod again;
#[path = "../support/poll.rs"]
mod poll;

mod backends;
mod cuda_core;
mod digests;
mod evict;
mod faults;
mod flight;
mod journal;
mod memory;
mod model;
mod mounts;
mod noise;
mod oracles;
mod packed;
mod policies;
mod processes;
mod queued;
mod shared;
mod slots;
mod torture;
mod worth;
