//! End-to-end tests: the real binaries in front of the real nvcc, held against nvcc itself.
//! Every test has its own workspace; none needs a GPU, and none passes without a toolkit.

#[path = "../support/mod.rs"]
mod support;

mod archive;
mod binaries;
mod build_directories;
mod build_systems;
mod bypass;
mod clang;
mod control;
mod debug;
mod depfiles;
mod diagnostics;
mod direct;
mod direct_races;
mod direct_units;
mod directives;
mod explain;
mod failures;
mod finding;
mod flight;
mod host_compilers;
mod host_parts;
mod host_scripts;
mod host_texts;
mod identifying;
mod journal;
mod keyed_settings;
mod links;
mod loader;
mod modes;
mod modules;
mod mounts;
mod neighbours;
mod observed;
mod one_step;
mod other_compilers;
mod outputs;
mod pcache;
mod places;
#[cfg(feature = "remote")]
mod remote;
mod report;
mod secrets;
mod semantic;
mod semantic_lines;
mod semantic_messages;
mod set_up;
mod shown_commands;
mod signals;
mod slots_torture;
mod stages;
mod stages_sharing;
mod stub_walks;
mod tidying;
mod toolchain_mounts;
mod top;
mod traps_environment;
mod traps_headers;
mod traps_macros;
mod traps_source;
mod two_places;
mod worth;
