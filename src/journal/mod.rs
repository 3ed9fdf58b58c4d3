//! Records what one compile did, for the journal, the log, and their readers. A [`Recorder`] collects it while the
//! compile runs, and yields a [`Compile`] at the end. `docs/design/store.md#journal` describes the records.

mod record;
mod recorder;
mod removal;

pub use record::{Compile, CompileOutcome, FlightSpan, SCHEMA, StageRun, UnitOutcome};
pub use recorder::{Recorder, StageEnd, StageHandle, place, text};
pub use removal::Removal;
