//! One compile from end to end: request, toolchain, plan, passes, key, then a hit, or the stages
//! and a new entry. Anything unexpected is a [`Detour`], on which the caller runs the real nvcc with
//! the original arguments. `docs/architecture.md` follows the whole way.

mod additions;
mod assembly;
mod audit;
mod cache;
mod commands;
mod context;
mod deliver;
mod dependencies;
mod detour;
mod direct;
mod directives;
mod dryrun;
mod environment;
mod evidence;
mod extra_passes;
mod facts;
mod file_digest;
mod flight;
#[doc(hidden)]
pub mod formats;
mod host;
mod invocation;
mod known_files;
mod link;
mod messages;
mod orders;
mod outputs;
mod place;
mod places;
mod predefined;
mod preprocess;
mod printed;
mod product;
mod record;
mod recording;
mod request;
mod runner;
mod semantic;
mod stage_names;
mod stages;
mod stored;
mod symbols;
mod tie;
mod token_set;
mod unit;
mod unit_key;
mod unit_result;
mod units;
mod why;
mod workspace;

pub use cache::Cache;
pub use detour::Detour;
pub use environment::{PLANNING, is_keyed};
pub use invocation::compile;
pub use workspace::sweep as sweep_work_directories;
