//! The library behind `pcache-nvcc` and `pcache`: a compile cache for NVIDIA's CUDA compilers.
//!
//! Rooms from top to bottom. A room imports those below it and, without a circle, those beside it; `tests/house`
//! holds that.
//!
//! | rooms                                                                                                         | what they are for |
//! |---------------------------------------------------------------------------------------------------------------|---|
//! | `cli`                                                                                                         | the program `pcache` |
//! | `compile`, `nvrtc`                                                                                            | one compile, ahead of time or at run time |
//! | `remote`                                                                                                      | what other machines have made, over a helper program |
//! | `archive`                                                                                                     | a cache in one file, for `pcache export` and `pcache import` |
//! | `exec`, `store`, `includes`, `toolchain`, `explain`                                                           | what a compile is put together from |
//! | `key`                                                                                                         | what names a result |
//! | `plan`, `cmdline`                                                                                             | what nvcc would do, and was asked for |
//! | `config`, `stats`, `journal`, `stat`, `outcome`, `log`, `notice`, `lock`, `text`, `files`, `secret`, `shell`, `visible` | what all of them use |
//!
//! `cmdline`, `plan`, `key` and `explain` do no I/O and read neither clock nor environment.
//! `docs/design/architecture.md` follows one compile through these rooms.
//!
//! What only this crate uses is `pub(crate)`, so that the compiler points at dead code; what tests and programs use is
//! `pub` and documented.

#![deny(unreachable_pub)]

mod archive;
pub mod cli;
pub mod cmdline;
pub mod compile;
pub mod config;
pub mod exec;
pub mod explain;
mod files;
pub mod includes;
pub mod journal;
pub mod key;
mod lock;
pub mod log;
pub mod notice;
pub mod nvrtc;
pub mod outcome;
pub mod plan;
pub mod remote;
mod secret;
pub mod shell;
pub mod stat;
pub mod stats;
pub mod store;
mod text;
pub mod toolchain;
pub mod visible;
