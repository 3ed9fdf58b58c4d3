//! NVRTC's cache with real libraries (`scripts/get-nvrtc`) in real programs that know nothing of it: a C program,
//! linked and opened in every way there is, and Python's clients (`scripts/get-nvrtc-clients`).

mod answers;
mod clients;
mod limits;
mod scene;
mod ways;
