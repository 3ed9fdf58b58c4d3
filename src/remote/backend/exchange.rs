//! What can go wrong with a request and its reply on a connection that takes one request after the other.

use super::error::visible_words;
use super::socket::{PhaseOver, ServerStream};
use super::{BackendError, ServerFault, TimeoutPhase, Timeouts};
use std::io::{self, BufRead as _, BufReader, ErrorKind};

/// Why a connection gave no reply.
pub(super) enum ExchangeFault {
    /// It ended before the first byte of the reply: if it had been idle, it may have been closed long ago.
    Closed(String),
    Over(TimeoutPhase),
    Garbled(String),
    TooLarge(u64),
    Tls(String),
}

impl ExchangeFault {
    /// The error that callers see.
    pub(super) fn name(self, server: &str, timeouts: &Timeouts) -> BackendError {
        let fault = |why: &str| ServerFault {
            server: server.to_owned(),
            why: visible_words(why),
        };
        match self {
            Self::Closed(why) => BackendError::Unreachable(fault(&why)),
            Self::Over(phase) => BackendError::Timeout {
                server: server.to_owned(),
                phase,
                limit: timeouts.of(phase),
            },
            Self::Garbled(why) => BackendError::Garbled(fault(&why)),
            Self::TooLarge(size) => {
                BackendError::TooLarge(fault(&format!("the value has {size} bytes")))
            }
            Self::Tls(why) => BackendError::Tls(fault(&why)),
        }
    }
}

/// Waits for the first byte.
pub(super) fn await_reply(connection: &mut BufReader<ServerStream>) -> io::Result<()> {
    match connection.fill_buf() {
        Ok([]) => Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the server closed the connection",
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Tells timeouts and errors of TLS from those that `other` names.
pub(super) fn fault_of(error: io::Error, other: impl Fn(String) -> ExchangeFault) -> ExchangeFault {
    let inner = error.get_ref();
    if let Some(PhaseOver(phase)) = inner.and_then(|inner| inner.downcast_ref()) {
        return ExchangeFault::Over(*phase);
    }
    if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return ExchangeFault::Tls(tls.to_string());
    }
    other(error.to_string())
}
