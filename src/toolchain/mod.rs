//! Finds the real nvcc, and identifies the toolchain that a compile would use: the contents of every tool, nvcc's
//! release, the driver's version.

mod driver;
mod error;
mod find;
mod host;
mod identify;
mod identity;
mod keyed_settings;
mod launched;
mod loaded;
mod memos;
mod names;
mod parts;
mod places;
mod profile;
mod record;
mod search;
mod told;
mod tools;

pub use crate::stat::Stat;
pub use driver::driver_version;
pub use error::ToolchainError;
pub use find::{
    NotFound, REAL_NVCC, Search, find_nvcc, is_program, is_recursive, nvcc_command, recursion_guard,
};
pub use host::{
    HostCommands, HostDriver, HostFamily, Inquiry, SearchPlaces, is_compiler_of_gcc,
    split_assignment,
};
pub(crate) use identify::PLACES_OF_TOOLS;
pub use identify::{forget, identify, recall};
pub use identity::{HOST_LIBRARY, ToolForms, Toolchain};
pub use keyed_settings::KeyedSettings;
pub use launched::{LaunchedProgram, find_launched};
pub use memos::{MemoAccess, MemoSelection, Memos};
pub use names::look_up;
pub use search::PathUse;
pub use told::{Part, Variable};
