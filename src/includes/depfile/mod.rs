//! Dependency files: those that GCC and GNU as write are read, and nvcc's own is written.

mod parse;
mod render;

pub(crate) use parse::prerequisites;
pub use render::{
    CorruptMarker, Dependency, ListedHeaders, Phony, TargetOptions, dependencies, render, target,
};
