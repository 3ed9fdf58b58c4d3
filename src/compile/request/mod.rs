//! What an invocation asks for: its command line, its environment, and the key of both.

pub mod direct_key;
pub mod environment;
pub mod facts;
