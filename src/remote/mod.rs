//! The shared level: results that other machines have made. A compile knows only [`Remote`], which asks a helper program
//! over a Unix socket; the helper, `pcache-remote`, talks to servers, and puts what they have into the local cache, where
//! the compile then finds it as ever. What a compile has made is named in a queue on disk, from which the helper sends it
//! later. `docs/design/remote.md` has the reasons and the formats.

#[cfg(feature = "remote")]
pub mod backend;
mod client;
mod connection;
mod control;
#[cfg(feature = "remote")]
pub mod helper;
mod place;
mod protocol;
mod queue;
pub(crate) mod record_list;

pub(crate) use client::PendingFetch;
pub use client::Remote;
pub use connection::helper_program;
pub use control::{Pulled, RemoteControl, keygen};
