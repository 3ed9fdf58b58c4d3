//! nvcc's command line: what it asks for, whether the cache may answer it, and its form in a key. Pure: no
//! I/O (option files are read through a callback), no clock, no environment, no processes.
//!
//! ```text
//! CommandLine ─ expand, parse ─► spellings ─ classify ─► Job ─ canonical ─► fields of the key
//!                                    │           │           └────────────► arguments of the dryrun
//!                                    └───────────┴─► Bypass(reason)
//! ```
//!
//! [`OPTIONS`] is nvcc's own `--help` as data; `tests/unit/cmdline/help.rs` compares it with the real
//! one. A command line of which any part is not understood is a [`Bypass`](crate::outcome::Bypass),
//! never a guess.

mod canonical;
mod classify;
mod effects;
mod expand;
mod host;
mod host_command;
mod inputs;
mod job;
mod lines;
mod mode;
mod observed;
mod options;
mod parse;
mod unquoted;

pub use classify::read;
pub use host_command::{check_command, takes_value};
pub use job::{Arg, CommandLine, Dependencies, Job};
pub use mode::Mode;
pub use observed::{Observed, Observes};
pub use options::{Arity, Effect, JOINED, Judge, OPTIONS, OptionRow};
