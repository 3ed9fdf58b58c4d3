//! The library behind `pcache-nvcc` and `pcache`: a compile cache for NVIDIA's CUDA compilers.
//!
//! Import downwards only (a test holds it):
//! `cli → compile → {exec, store, includes, toolchain} → key → {plan, cmdline} → {config, stats}`.
//! `cmdline`, `plan` and `key` do no I/O and read neither clock nor environment.
//! `docs/architecture.md` follows one compile through these rooms.

pub mod cmdline;
pub mod outcome;
