//! NVRTC's cache: the same store for kernels that programs compile at run time (`docs/design/nvrtc.md`).
//!
//! | module         | part                                                                 |
//! |----------------|----------------------------------------------------------------------|
//! | `program`      | what a client asks and gets: plain data                              |
//! | `options`      | the command line: the table of options. Pure                         |
//! | `key`          | the fields of the keys. Pure                                         |
//! | `keyed`        | what the keys of one request are made of                             |
//! | `environment`  | the variables that NVRTC reads                                       |
//! | `process`      | how the process computes, and what its earlier compiles left behind  |
//! | `words`        | the words of a text. Pure                                            |
//! | `locality`     | whether name and directory of the program count. Pure                |
//! | `pasted`       | which names macros may paste together. Pure                          |
//! | `relation`     | which names must stay names of one file, and which of different ones |
//! | `observed`     | from what NVRTC was seen to read to all that a result depends on     |
//! | `library`      | which libnvrtc it is, by content                                     |
//! | `log`          | where a log names the program. Pure                                  |
//! | `record`       | a result as it is stored                                             |
//! | `found`        | a result that is fetched from the store                              |
//! | `tiered_store` | the store, with the memory of this process before it                 |
//! | `recorder`     | counters, journal, log, and what is kept for explanations            |
//! | `cache`        | one compile: looked up, waited for, or remembered                    |

pub(crate) mod cache;
mod environment;
mod found;
mod key;
mod keyed;
mod library;
mod locality;
mod log;
mod observed;
mod options;
mod pasted;
mod process;
pub mod program;
#[doc(hidden)]
pub mod record;
mod recorder;
mod relation;
mod tiered_store;
mod words;

pub use cache::{Begin, Cache, Miss};

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod interpose;
