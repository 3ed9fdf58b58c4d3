//! Plans: recorded dry runs, real stages alone, and depfiles.

mod depfile;
mod dryruns;
mod nvcc;
mod runs;
mod split;
