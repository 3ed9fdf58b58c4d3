//! What one compile did, for the journal, the log, and their readers: an [`Recorder`] is kept while it runs, and
//! ends as a [`Compile`]. `docs/design/store.md#journal` describes the records.

mod record;
mod recorder;
mod removal;

pub use record::{Compile, CompileOutcome, FlightSpan, SCHEMA, StageRun, UnitOutcome};
pub use recorder::{Recorder, StageEnd, StageHandle, place, text};
pub use removal::Removal;
