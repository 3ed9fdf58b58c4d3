//! nvcc's plan for an invocation, from `nvcc --dryrun` or remembered.

pub(crate) mod dryrun;
mod path_line;
pub(crate) mod predefined;
