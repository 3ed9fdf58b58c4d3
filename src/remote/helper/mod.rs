//! The helper program `pcache-remote`: it talks to the servers of one user's cache for all compiles that use the cache.
//!
//! | part            | what it is for                                             |
//! |-----------------|------------------------------------------------------------|
//! | `commands`      | the command line                                           |
//! | `serve`         | the process: its lock, its socket, its end                 |
//! | `transfer`      | brings records from servers, and sends them there          |
//! | `last_lookups`  | whether servers had what compiles asked for lately         |
//! | `reach`         | which files a path set of a server may name                |
//! | `uploads`       | the queue of what is to be sent                            |
//! | `orphans`       | queues of helpers with former settings                     |
//! | `server`        | one server, and whether it is asked at all (`breaker`)     |
//! | `pack`, `signature`, `action_result` | the form of a value, from the inside out |

mod action_result;
mod breaker;
mod commands;
mod companions;
mod last_lookups;
mod orphans;
mod pack;
mod reach;
mod serve;
mod server;
mod signature;
mod transfer;
mod uploads;

pub use commands::main;
