//! One compile from end to end: request, toolchain, plan, passes, key, then a hit, or the stages
//! and a new entry. Anything unexpected is a [`Detour`], on which the caller runs the real nvcc with
//! the original arguments. `docs/design/architecture.md` follows one compile through all of them.
//!
//! The modules from top to bottom; each imports only from modules below it:
//!
//! | module                                | part                                                           |
//! |---------------------------------------|----------------------------------------------------------------|
//! | `invocation`                          | prepares a compile, runs its units, links, delivers            |
//! | `identify_once`                       | identifies a toolchain once for compiles side by side          |
//! | `recheck`                             | compiles a hit again, to compare                               |
//! | `units`                               | the units of an invocation, one after the other                |
//! | `plan_memo`                           | nvcc's plan, from `nvcc --dryrun` or remembered                |
//! | `direct`                              | direct mode: hits without a process, and the records for them  |
//! | `deliver`                             | writes outputs, depfiles and kept files                        |
//! | `unit`                                | one unit: its key, its result, its compile                     |
//! | `stages`                              | the result of each stage                                       |
//! | `inputs`                              | a unit's passes, the files they read, host compiler queries    |
//! | `request`                             | command line, environment, and direct mode's key               |
//! | `run`                                 | commands, the private directory, and the runner of stages      |
//! | `store_view`, `file_digest`, `detour` | shared by all of the above                                     |

mod deliver;
mod detour;
mod direct;
mod file_digest;
#[doc(hidden)]
pub mod formats;
mod identify_once;
mod inputs;
mod invocation;
mod plan_memo;
pub mod recheck;
mod request;
mod run;
mod stages;
mod store_view;
mod unit;
mod units;

pub(crate) use crate::key::pointer::POINTER;
pub use detour::Detour;
pub(crate) use direct::token_set::TITLE as TOKEN_SETS;
pub use invocation::compile;
pub use request::environment::{PLANNING, is_keyed};
pub use run::workspace::sweep as sweep_work_directories;
pub use store_view::StoreView;
