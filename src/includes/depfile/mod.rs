//! Dependency files: reads those that GCC and GNU as write, and writes nvcc's own.

mod parse;
mod render;

pub(crate) use parse::prerequisites;
pub use render::{
    CorruptMarker, Dependency, ListedHeaders, Phony, TargetOptions, dependencies, render, target,
};
