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
//! | `exchange` | what can go wrong with a request and its reply on such a connection    |
//! | `redis`    | Redis, Valkey and what speaks their protocol                           |
//! | `memcached` | memcached                                                             |
//! | `http`     | WebDAV servers, and caches with the paths of Bazel                     |
//! | `file`     | a directory that machines mount                                        |
//! | `cloud`    | object stores of clouds; only with the feature `cloud`                 |
//! | `reapi`    | caches of the Remote Execution API, by gRPC; likewise                  |
//! | `naming`   | names what asynchronous clients report; likewise                       |
//! | `runtime`  | waits for asynchronous clients; likewise                               |
//!
//! # URLs
//!
//! | URL | server |
//! |---|---|
//! | `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB][?ttl=SECONDS]` | Redis by TCP; port 6379 and database 0 unless given |
//! | `rediss://…[?ca=FILE]` | Redis by TLS |
//! | `redis+unix:///SOCKET[?db=N&ttl=SECONDS]`, `unix:///…` | Redis by a Unix socket |
//! | `memcached://HOST[:PORT][?ttl=SECONDS]` | memcached; port 11211 unless given |
//! | `http://[USER:PASSWORD@]HOST[:PORT][/PATH]` | `GET`, `PUT` and `HEAD` of `PATH/NAME` |
//! | `https://…[?ca=FILE]` | the same by TLS |
//! | `s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME]` | S3 and servers with its protocol |
//! | `gcs://BUCKET[/PREFIX][?endpoint=URL]` | Google Cloud Storage |
//! | `azblob://CONTAINER[/PREFIX]?account_name=NAME` | Azure Blob Storage |
//! | `grpc://HOST:PORT[/INSTANCE][?header=NAME:VALUE]` | caches of the Remote Execution API |
//! | `grpcs://…[?ca=FILE]` | the same by TLS |
//! | `file:///DIRECTORY` | files `DIRECTORY/NAME` |
//!
//! User, password, paths and values of the query are percent-decoded. `ttl` makes Redis and memcached forget a
//! value that many seconds after it was put. `ca` names a PEM file with the only authorities that are believed, in place of those
//! of the public web; `SSL_CERT_FILE` and proxies of the environment are not used.

#[cfg(feature = "cloud")]
mod cloud;
mod cluster;
mod contract;
mod deadline;
mod error;
mod exchange;
mod file;
mod http;
mod memcached;
#[cfg(feature = "cloud")]
mod naming;
mod open;
#[cfg(feature = "cloud")]
mod reapi;
mod redis;
mod resp;
#[cfg(feature = "cloud")]
mod runtime;
mod socket;
mod url;

pub use contract::{RemoteBackend, Timeouts};
pub use error::{BackendError, BadUrl, ServerFault, TimeoutPhase};
pub use open::open;
