//! A cache that machines share: the servers that keep its values.

#[cfg(feature = "remote")]
pub mod backend;
