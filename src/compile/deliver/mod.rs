//! Writes the results of an invocation where nvcc would have written them.

pub(crate) mod delivery;
pub(crate) mod outputs;
pub(crate) mod places;
pub(crate) mod shown_commands;
pub(crate) mod write_output;
