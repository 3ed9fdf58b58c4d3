//! nvcc's plan for an invocation, asked of nvcc or remembered.

pub mod dryrun;
pub mod predefined;
