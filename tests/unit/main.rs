//! Rooms of the library held against properties, recorded fixtures, real preprocessors, and what the real nvcc says
//! of command lines and plans.

#[path = "../support/random.rs"]
mod random;

mod cmdline;
mod formats;
mod includes;
mod plan;
