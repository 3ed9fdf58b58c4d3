//! One compile from end to end: request, toolchain, plan, passes, key, then a hit, or the stages
//! and a new entry. Anything unexpected is a [`Detour`], on which the caller runs the real nvcc with
//! the original arguments. `docs/design/architecture.md` follows the whole way.
//!
//! From top to bottom, in the order of the way; each imports only what is below it:
//!
//! | module                                | part                                                           |
//! |---------------------------------------|----------------------------------------------------------------|
//! | `invocation`                          | prepares a compile, runs its units, links, delivers            |
//! | `units`                               | the units of an invocation, one after the other                |
//! | `plan_memo`                           | nvcc's plan, asked of nvcc or remembered                       |
//! | `direct`                              | the answer without a process, and what it depends on           |
//! | `deliver`                             | outputs, depfiles and kept files in their places               |
//! | `unit`                                | one unit: its key, its result, its compile                     |
//! | `stages`                              | the result of each stage                                       |
//! | `inputs`                              | what a unit's passes read, and what the host compiler is asked |
//! | `request`                             | command line, environment, and direct mode's key               |
//! | `run`                                 | commands, the private directory, and what runs them            |
//! | `store_view`, `file_digest`, `detour` | what all of them use                                           |

mod deliver;
mod detour;
mod direct;
mod file_digest;
#[doc(hidden)]
pub mod formats;
mod inputs;
mod invocation;
mod plan_memo;
mod request;
mod run;
mod stages;
mod store_view;
mod unit;
mod units;

pub use detour::Detour;
pub use invocation::compile;
pub use request::environment::{PLANNING, is_keyed};
pub use run::workspace::sweep as sweep_work_directories;
pub use store_view::StoreView;
