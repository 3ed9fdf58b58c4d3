//! nvcc's plan for an invocation, from `nvcc --dryrun` or remembered.

pub(crate) mod dryrun;
pub(crate) mod predefined;
