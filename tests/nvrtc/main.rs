//! NVRTC's cache with real libraries (`scripts/get-nvrtc`): in real programs that know nothing of it, which are a C
//! program, linked and opened in every way there is, and Python's clients (`scripts/get-nvrtc-clients`); and called
//! from here, with every answer held against the library's own.

mod answers;
mod cache;
mod clients;
mod limits;
mod scene;
mod ways;
