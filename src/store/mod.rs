//! The artefact store: one directory that many processes read and write at once. Values are bytes
//! under keys of bytes; nothing here knows what a compile is.
//!
//! ```text
//! <root>/entries/ab/cdef…            artefacts, raw bytes; ab/cdef… = SHA-256 of the key in hex
//! <root>/manifests/results/ab/cdef…  result records, each below a line with its checksum
//! <root>/tmp/                        files being written
//! <root>/locks/flights               who is making what at this moment
//! <root>/counters                    how much there is (`crate::stats`)
//! ```
//! `docs/store.md` draws the formats and says what happens on damage and on crashes.

mod area;
mod artefact;
mod error;
mod file;
mod flight;
pub mod policy;
mod record;

pub use artefact::Artefact;
pub use error::StoreError;
pub use file::{Cleared, FileStore};
pub use flight::{Flight, Flights, Guard};
