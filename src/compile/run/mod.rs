//! Runs the commands of a plan, in a private directory. Does not know why.

pub mod commands;
pub mod link;
pub mod mentions;
pub mod printed;
pub mod runner;
pub mod stage_names;
pub mod workspace;
