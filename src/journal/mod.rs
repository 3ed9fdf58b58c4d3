//! What one compile did, for the journal, the log, and their readers: an [`Account`] is kept while it runs, and
//! ends as a [`Compile`]. `docs/design/store.md#journal` describes the records.

mod account;
mod record;
mod removal;

pub use account::{Account, StageAccount, StageEnd, place, text};
pub use record::{Compile, CompileOutcome, FlightSpan, SCHEMA, StageRun, UnitOutcome};
pub use removal::Removal;
