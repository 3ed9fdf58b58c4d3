//! What can go wrong with a server, in the few kinds that callers and counters distinguish.

use std::fmt;
use std::time::Duration;

/// The part of a call that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// Until the connection was open: name lookup, TCP, TLS and login.
    Connect,
    /// From the end of the request to the first byte of the answer.
    FirstByte,
    /// The whole call.
    Whole,
}

impl fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::FirstByte => "no answer",
            Self::Whole => "no complete answer",
        })
    }
}

/// Which server failed, and how. Shown as `server: why`. Never contains a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFault {
    /// Host and port, or the path of a socket or directory.
    pub server: String,
    /// What happened, in the words of the system or of the server, made visible and short.
    pub why: String,
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.why)
    }
}

/// Why a server did not do what it was asked for. That it has no value of a name is not an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No connection, or the server closed it before it answered.
    #[error("cannot reach {0}")]
    Unreachable(ServerFault),
    /// A timeout passed.
    #[error("{server}: {phase} within {} ms", .limit.as_millis())]
    Timeout {
        /// The server.
        server: String,
        /// Which of the timeouts.
        phase: TimeoutPhase,
        /// Its value.
        limit: Duration,
    },
    /// The server does not let this client in, or does not let it do this.
    #[error("access denied by {0}")]
    Denied(ServerFault),
    /// The server asks to be left alone for a while.
    #[error("busy: {fault}")]
    Busy {
        /// The server and its words.
        fault: ServerFault,
        /// How long to wait, if the server says so.
        retry_after: Option<Duration>,
    },
    /// The server has no room for the value.
    #[error("no space left on {0}")]
    Full(ServerFault),
    /// Any other error that the server reports.
    #[error("error from {0}")]
    Server(ServerFault),
    /// The answer breaks the protocol or its own length.
    #[error("unusable answer from {0}")]
    Garbled(ServerFault),
    /// The value is longer than the caller allows, or than the server takes.
    #[error("value too large: {0}")]
    TooLarge(ServerFault),
    /// TLS found the server's certificate or its messages invalid.
    #[error("TLS with {0}")]
    Tls(ServerFault),
}

impl BackendError {
    /// A short name of the kind, which stays the same in all versions. For counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Denied(_) => "denied",
            Self::Busy { .. } => "busy",
            Self::Full(_) => "full",
            Self::Server(_) => "server",
            Self::Garbled(_) => "garbled",
            Self::TooLarge(_) => "too_large",
            Self::Tls(_) => "tls",
        }
    }

    /// How long the server asks to be left alone, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Why a URL names no server. Never contains the password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{why}; a remote cache is one of redis://HOST[:PORT][/DB], rediss://…, redis+unix:///SOCKET[?db=N], memcached://HOST[:PORT], http://HOST[:PORT][/PATH], https://…, file:///DIRECTORY and, with pcache-remote-cloud, s3://BUCKET, gcs://BUCKET, azblob://CONTAINER and grpc://HOST:PORT"
)]
pub struct BadUrl {
    /// What is wrong with it.
    pub why: String,
}

impl BadUrl {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

/// The longest text of a server that is repeated.
const MOST_WORDS: usize = 200;

/// A server's words on one line, without what could steer a terminal.
pub(super) fn visible_words(text: &str) -> String {
    let words = text.chars().take(MOST_WORDS);
    words
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
