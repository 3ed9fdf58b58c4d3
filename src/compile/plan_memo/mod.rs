//! nvcc's plan for an invocation, asked of nvcc or remembered.

pub(crate) mod dryrun;
pub(crate) mod predefined;
