//! How the cache comes between a program and libnvrtc (`docs/design/nvrtc.md`): ld.so loads this library
//! twice, as auditor and preloaded. The auditor lets the functions of each libnvrtc lead to hooks in the
//! preloaded copy; these ask the cache, and pass on to the real functions whatever it does not answer.
//!
//! ```text
//! audit ──► elf, slots            at each object that ld.so maps; in a namespace of its own
//! hooks ──► programs, compiles ──► loaded, watch ──► cache       at each call of a client
//! ```
//!
//! C gives these functions no context, and ld.so none that would do: here alone there are statics that
//! change (slots, programs, the open cache).

mod audit;
mod elf;
mod file_trace;
mod functions;
mod hooks;
mod loaded;
mod programs;
mod session;
mod slots;
