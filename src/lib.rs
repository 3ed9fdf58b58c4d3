//! The library behind `pcache-nvcc` and `pcache`: a compile cache for NVIDIA's CUDA compilers.
//!
//! Import downwards only (a test holds it):
//! `cli → compile → {exec, store, includes, toolchain, why} → key → {plan, cmdline} → {config, stats, journal, stat, text, secret, visible, lock, files}`.
//! `cmdline`, `plan`, `key` and `why` do no I/O and read neither clock nor environment.
//! `docs/architecture.md` follows one compile through these rooms.

pub mod cli;
pub mod cmdline;
pub mod compile;
pub mod config;
pub mod exec;
mod files;
pub mod includes;
pub mod journal;
pub mod key;
pub mod lock;
pub mod log;
pub mod nvrtc;
pub mod outcome;
pub mod plan;
mod secret;
pub mod stat;
pub mod stats;
pub mod store;
mod text;
pub mod toolchain;
pub mod visible;
pub mod why;
