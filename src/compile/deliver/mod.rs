//! Puts what an invocation made where nvcc would have put it.

pub(crate) mod delivery;
pub(crate) mod outputs;
pub(crate) mod places;
pub(crate) mod write_output;
