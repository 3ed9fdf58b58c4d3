//! What every kind of server offers.

use super::{BackendError, ServerFault, TimeoutPhase};
use std::time::Duration;

/// A server that keeps values under names. Every call ends within its timeouts, and may be made from several threads
/// at once.
///
/// A name is a relative path such as `main/ac/0123…`: parts of `[A-Za-z0-9._-]` with `/` between them, none of them
/// `.` or `..`. Any other name is [`BackendError::Denied`], and no server is asked.
pub trait RemoteBackend: Send + Sync {
    /// The value under `name`; `None` if the server has none. A value of more than `most` bytes is refused before it
    /// is read into memory. For a name under `cas`, `most` is the exact size of the value: the names of some servers
    /// contain it.
    ///
    /// # Errors
    /// See [`BackendError`].
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError>;

    /// Keeps `value` under `name`, in place of what the server has there. Readers see the old value or the new one, and
    /// never a part, unless an HTTP server writes in place.
    ///
    /// # Errors
    /// See [`BackendError`]. After an error the server may have kept the value all the same.
    fn put(&self, name: &str, value: &[u8]) -> Result<(), BackendError>;

    /// Whether the server has a value under `name`.
    ///
    /// # Errors
    /// See [`BackendError`].
    fn has(&self, name: &str) -> Result<bool, BackendError>;

    /// Asks the cheapest question, to learn whether the server answers at all.
    ///
    /// # Errors
    /// See [`BackendError`].
    fn probe(&self) -> Result<(), BackendError>;
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is open: name lookup, TCP, TLS and login.
    pub connect: Duration,
    /// From the end of a request to the first byte of its answer.
    pub first_byte: Duration,
    /// The whole call, whatever the server does in it.
    pub whole: Duration,
}

impl Timeouts {
    /// How long a phase may take.
    pub(super) fn of(&self, phase: TimeoutPhase) -> Duration {
        match phase {
            TimeoutPhase::Connect => self.connect,
            TimeoutPhase::FirstByte => self.first_byte,
            TimeoutPhase::Whole => self.whole,
        }
    }
}

/// Checks that a name can be a path below a server's own place, whatever the server does with dots and escapes.
pub(super) fn check_name(server: &str, name: &str) -> Result<(), BackendError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_part = |part: &str| !part.trim_matches('.').is_empty() && part.bytes().all(is_plain);
    if name.split('/').all(is_part) {
        return Ok(());
    }
    let why = format!("{name:?} is not a name of a value");
    let server = server.to_owned();
    Err(BackendError::Denied(ServerFault { server, why }))
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_cannot_leave_their_place() {
        for name in ["main/ac/0123", "a", "a.b/c-d_e/..f"] {
            assert!(check_name("s", name).is_ok(), "{name}");
        }
        for name in [
            "", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a?b", "a%2fb", "a\0",
        ] {
            let code = check_name("s", name).unwrap_err().code();
            assert_eq!(code, "denied", "{name}");
        }
    }
}
