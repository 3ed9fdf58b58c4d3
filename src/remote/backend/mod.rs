//! Servers that keep the values of a shared cache under names. Blocking calls with timeouts; no threads of their own,
//! except for name lookups that take too long. They know nothing of what the values mean, and do not check them:
//! a value may come back with other bytes than were put.
//!
//! | module     | part                                                                   |
//! |------------|------------------------------------------------------------------------|
//! | `open`     | finds the kind of server for a URL                                     |
//! | `contract` | [`RemoteBackend`], [`Timeouts`]                                        |
//! | `error`    | [`BackendError`], [`BadUrl`]                                           |
//! | `url`      | takes a URL apart                                                      |
//! | `deadline` | the time that is left of a call                                        |
//! | `socket`   | a TCP, TLS or Unix connection that keeps to a deadline                 |
//! | `resp`     | requests and replies of Redis on such a connection                     |
//! | `cluster`  | where the keys of a cluster of Redis are                               |
//! | `redis`    | Redis, Valkey and what speaks their protocol                           |
//! | `http`     | WebDAV servers, and caches with the paths of Bazel                     |
//! | `file`     | a directory that machines mount                                        |
//!
//! # URLs
//!
//! | URL | server |
//! |---|---|
//! | `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB][?ttl=SECONDS]` | Redis by TCP; port 6379 and database 0 unless given |
//! | `rediss://…[?ca=FILE]` | Redis by TLS |
//! | `redis+unix:///SOCKET[?db=N&ttl=SECONDS]`, `unix:///…` | Redis by a Unix socket |
//! | `http://[USER:PASSWORD@]HOST[:PORT][/PATH]` | `GET`, `PUT` and `HEAD` of `PATH/NAME` |
//! | `https://…[?ca=FILE]` | the same by TLS |
//! | `file:///DIRECTORY` | files `DIRECTORY/NAME` |
//!
//! User, password, paths and values of the query are percent-decoded. `ttl` makes Redis forget a value that many
//! seconds after it was put. `ca` names a PEM file with the only authorities that are believed, in place of those
//! of the public web; `SSL_CERT_FILE` and proxies of the environment are not used.

mod cluster;
mod contract;
mod deadline;
mod error;
mod file;
mod http;
mod open;
mod redis;
mod resp;
mod socket;
mod url;

pub use contract::{RemoteBackend, Timeouts};
pub use error::{BackendError, BadUrl, ServerFault, TimeoutPhase};
pub use open::open;
