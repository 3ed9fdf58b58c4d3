//! Names what asynchronous clients report in the kinds of [`BackendError`].

use super::error::visible_words;
use super::{BackendError, ServerFault, TimeoutPhase, Timeouts};
use std::error::Error;
use std::io;

/// Names the errors of one server.
pub(super) struct Naming {
    pub(super) server: String,
    pub(super) timeouts: Timeouts,
}

impl Naming {
    pub(super) fn fault(&self, why: impl AsRef<str>) -> ServerFault {
        ServerFault {
            server: self.server.clone(),
            why: visible_words(why.as_ref()),
        }
    }

    pub(super) fn too_large(&self, size: u64) -> BackendError {
        BackendError::TooLarge(self.fault(format!("the value has at least {size} bytes")))
    }

    pub(super) fn timeout(&self, phase: TimeoutPhase) -> BackendError {
        BackendError::Timeout {
            server: self.server.clone(),
            phase,
            limit: self.timeouts.of(phase),
        }
    }

    /// The error of TLS that is behind another one, if there is one.
    pub(super) fn tls(&self, error: &(dyn Error + 'static)) -> Option<BackendError> {
        let mut causes = causes(error);
        let tls = causes.find_map(|cause| cause.downcast_ref::<rustls::Error>())?;
        Some(BackendError::Tls(self.fault(tls.to_string())))
    }
}

/// An error, its cause, the cause of that, and so on.
pub(super) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        // What is in an error of input and output is not its source.
        next = match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
        Some(error)
    })
}

/// The words of the first cause of all.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let last = causes(error).last();
    last.map(ToString::to_string).unwrap_or_default()
}
