//! NVRTC's cache: the same store for kernels that programs compile at run time (`docs/nvrtc.md`).

pub mod program;
