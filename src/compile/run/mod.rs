//! Runs the commands of a plan, in a private directory.

pub(crate) mod commands;
pub(crate) mod link;
pub(crate) mod mentions;
pub(crate) mod printed;
pub(crate) mod runner;
pub(crate) mod stage_names;
pub(crate) mod workspace;
