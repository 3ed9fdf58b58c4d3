//! The cache for NVRTC: serves kernels that programs compile at run time from the same store
//! (`docs/design/nvrtc.md`).
//!
//! | module         | part                                                                 |
//! |----------------|----------------------------------------------------------------------|
//! | `program`      | requests and outputs of a client: plain data                         |
//! | `options`      | the command line: the table of options. Pure                         |
//! | `key`          | the fields of the keys. Pure                                         |
//! | `keyed`        | the data of one request's keys                                       |
//! | `environment`  | the variables that NVRTC reads                                       |
//! | `process`      | floating-point mode, and side effects of earlier compiles            |
//! | `words`        | the words of a text. Pure                                            |
//! | `locality`     | whether a result depends on the program's name and directory. Pure   |
//! | `pasted`       | which names macros may paste together. Pure                          |
//! | `relation`     | which paths must stay one file, and which different files            |
//! | `observed`     | from NVRTC's file accesses to the dependencies of a result           |
//! | `library`      | identifies libnvrtc by content                                       |
//! | `log`          | where a log names the program. Pure                                  |
//! | `record`       | a result as it is stored                                             |
//! | `found`        | a result that is fetched from the store                              |
//! | `tiered_store` | the store behind a cache in the memory of this process               |
//! | `recorder`     | counters, journal, log, and facts for explanations                   |
//! | `cache`        | one compile: looks up its result, waits for it, or stores it         |

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
