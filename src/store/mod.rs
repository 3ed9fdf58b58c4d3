//! The artefact store: one directory that many processes read and write at once. Keys and values are
//! bytes; nothing here knows what a compile is.
//!
//! ```text
//! <root>/entries/ab/cdef…            artefacts, raw bytes; ab/cdef… = SHA-256 of the key in hex
//! <root>/manifests/results/ab/cdef…  result records, each below a line with its checksum
//! <root>/intermediates/              what is cheaper to lose: entries/ and records/, laid out likewise
//! <root>/tmp/                        files being written
//! <root>/locks/flights               one lock per key that a process is compiling (single flight)
//! <root>/locks/slots                 one lock per running stage (`crate::exec`)
//! <root>/locks/evict                 held by the process that evicts
//! <root>/journal/0…7                the newest compiles, a ring of files
//! <root>/uses/ab                     the usage log of a shard, for the policies that need one
//! <root>/counters, shards            counters, and the size of each shard (`crate::stats`)
//! ```
//! `docs/design/store.md` draws the formats and says what happens on damage and on crashes.

mod adopt;
mod apart;
mod artefact;
mod artefacts;
mod backend;
mod bounds;
mod change;
mod content_kind;
mod contract;
mod error;
mod evict;
mod file;
mod flight;
mod gc;
mod journal;
mod key;
mod key_locks;
mod kind;
mod memory;
mod named;
mod open;
mod own;
mod packed;
pub mod policy;
mod queued;
mod record;
mod root;
mod scan;
mod sharded_directory;
mod spare;
mod survey;
mod tmp;
mod trust;
mod turn;
mod unchanged;
mod usage_log;

pub use adopt::{AdoptError, Adoption, OfferedFile};
pub use artefact::Artefact;
pub use artefacts::{ArtefactUse, OpenArtefact};
pub use backend::{Backend, Cleared, Entry, Info, Name};
pub use bounds::Bounds;
pub use content_kind::{CLASS_HEAD, Content, ContentKind};
pub use error::StoreError;
pub use file::FileStore;
pub use flight::{Flight, Flights, LeadGuard};
pub use gc::{Collected, Phase};
pub use key::{KEY_DIRECTORY, KEY_FILE, KeyRefusal, SigningKey};
pub use kind::{EntryKind, Tree, Worth};
pub use memory::MemoryStore;
pub use own::Privacy;
pub use policy::Policy;
pub(crate) use queued::{
    QUEUE, QUEUES, QueuedRecord, RECORD_LENGTH, RecordId, UNFINISHED, read_queued,
};
pub use survey::{Proof, Reading, SurveyedFile, VisitAction};
pub use tmp::STRANGE_PREFIX;
pub use trust::Standing;
pub use turn::{Turn, take_turn};

#[cfg(test)]
mod tests;
