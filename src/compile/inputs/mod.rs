//! The inputs of one translation unit: the files that its passes read, the host compiler's answers about its flags,
//! and other files that tools read.

pub(crate) mod additions;
pub(crate) mod assembly;
pub(crate) mod context;
pub(crate) mod directives;
pub(crate) mod evidence;
pub(crate) mod extra_passes;
pub(crate) mod host;
pub(crate) mod host_questions;
pub(crate) mod known_files;
pub(crate) mod line_insensitive;
pub(crate) mod lookup_race;
pub(crate) mod preprocess;
pub(crate) mod quoted_sources;
pub(crate) mod shown_roots;
pub(crate) mod steering;
