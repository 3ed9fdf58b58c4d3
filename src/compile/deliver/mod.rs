//! Puts what an invocation made where nvcc would have put it.

pub mod delivery;
pub mod outputs;
pub mod places;
pub mod write_output;
