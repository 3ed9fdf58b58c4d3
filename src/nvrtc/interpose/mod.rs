//! Intercepts a program's calls of libnvrtc (`docs/design/nvrtc.md`). ld.so loads this library
//! twice, as auditor and preloaded. The auditor redirects the functions of each libnvrtc to hooks in the
//! preloaded copy; the hooks ask the cache, and pass calls that it does not answer on to the real functions.
//!
//! ```text
//! audit ──► elf, slots            for each object that ld.so maps; in a namespace of its own
//! hooks ──► programs, session ──► loaded, file_trace ──► cache       for each call of a client
//! ```
//!
//! C passes these functions no context, and ld.so none that would be enough. So this module has mutable statics, as
//! the only one (slots, programs, the open cache).

mod audit;
mod elf;
mod file_trace;
mod functions;
mod hooks;
mod loaded;
mod programs;
mod session;
mod slots;
