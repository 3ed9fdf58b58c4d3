//! Why a compile is not answered here, but handed to the real nvcc, or ended.

use crate::exec::Interrupted;
use crate::outcome::{Bypass, Fallback, FallbackReason};

/// Why a compile is handed to the real nvcc, or ends.
#[derive(Debug)]
pub enum Detour {
    /// Not for a cache.
    Bypass(Bypass),
    /// Begun, and not finished.
    Fallback(Fallback),
    /// A signal came.
    Interrupted(Interrupted),
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

/// A fallback because of trouble with the work directory.
pub(super) fn work_directory(error: &dyn std::fmt::Display) -> Fallback {
    Fallback::new(FallbackReason::WorkDirectory, error.to_string())
}
