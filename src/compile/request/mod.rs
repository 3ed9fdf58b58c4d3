//! What an invocation asks for: its command line, its environment, and the key of both.

pub(crate) mod direct_key;
pub(crate) mod environment;
pub(crate) mod facts;
pub(crate) mod machine;
pub(crate) mod messages;
pub(crate) mod roots;
