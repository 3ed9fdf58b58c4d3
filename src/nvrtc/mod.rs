//! NVRTC's cache: the same store for kernels that programs compile at run time (`docs/nvrtc.md`).
//!
//! | module    | part                                                             |
//! |-----------|------------------------------------------------------------------|
//! | `program` | what a client asks and gets: plain data                          |
//! | `options` | the command line: the table of options. Pure                     |
//! | `key`     | the fields of the keys. Pure                                     |
//! | `library` | which libnvrtc it is, by content                                 |
//! | `record`  | a result as it is stored                                         |
//! | `level`   | the store, with the memory of this process before it             |
//! | `cache`   | one compile: looked up, waited for, or remembered                |

pub mod cache;
mod key;
mod level;
mod library;
mod options;
pub mod program;
mod record;

pub use cache::{Begin, Cache, Miss};

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod way;
