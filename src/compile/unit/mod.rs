//! One translation unit: its key, its result in the store, and how it is compiled if there is none.

pub mod audit;
pub mod key;
pub mod product;
pub mod record;
pub mod result;
pub mod run;
pub mod single_flight;
pub mod stored;
mod symbols;
pub mod tie;
