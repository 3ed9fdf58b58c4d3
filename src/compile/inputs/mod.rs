//! What one translation unit is made of: what its passes read, what the host compiler answers to its flags, and what
//! tools read besides.

pub mod additions;
pub mod assembly;
pub mod context;
pub mod directives;
pub mod evidence;
pub mod extra_passes;
pub mod host;
pub mod host_questions;
pub mod known_files;
pub mod line_free;
pub mod preprocess;
pub mod quoted_sources;
pub mod steering;
