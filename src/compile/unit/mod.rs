//! One translation unit: its key, its result in the store, and how it is compiled if there is none.

pub(crate) mod audit;
mod consumed;
mod elf;
pub(crate) mod key;
pub(crate) mod module;
pub(crate) mod needs;
pub(crate) mod product;
pub(crate) mod record;
pub(crate) mod result;
pub(crate) mod run;
pub(crate) mod single_flight;
pub(crate) mod stored;
