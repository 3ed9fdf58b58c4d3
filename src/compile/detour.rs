//! Why a compile is not finished here, but handed to the real nvcc or aborted.

use crate::exec::Interrupted;
use crate::outcome::{Bypass, Fallback, FallbackReason};

/// Why a compile is handed to the real nvcc or aborted.
#[derive(Debug)]
pub enum Detour {
    /// The request is not cacheable.
    Bypass(Bypass),
    /// The compile was begun and could not be finished.
    Fallback(Fallback),
    /// A server has brought a result while tools ran that are not needed any more. What asked for it looks it up again.
    Overtaken(Brought),
    /// A signal arrived.
    Interrupted(Interrupted),
}

/// What a server has brought while tools ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// The result of the whole invocation.
    Invocation,
    /// The product of one unit.
    Unit,
}

impl From<Bypass> for Detour {
    fn from(bypass: Bypass) -> Self {
        Self::Bypass(bypass)
    }
}

impl From<Fallback> for Detour {
    fn from(fallback: Fallback) -> Self {
        Self::Fallback(fallback)
    }
}

/// The fallback for an I/O error in the work directory.
pub(super) fn work_directory(error: &dyn std::fmt::Display) -> Fallback {
    Fallback::new(FallbackReason::WorkDirectory, error.to_string())
}
