//! Identifies a toolchain once for all compiles that a build starts at the same time: hundreds of megabytes of tools are
//! read for that.

use crate::compile::detour::Detour;
use crate::compile::store_view::StoreView;
use crate::exec::Signals;
use crate::journal::Recorder;
use crate::key::{Digester, Sink};
use crate::outcome::{Fallback, FallbackReason};
use crate::stats::Counter;
use crate::store::{self, Turn};
use crate::toolchain::{Toolchain, identify, recall};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

/// A toolchain that is not remembered.
pub(super) struct IdentifyOnce<'a> {
    pub nvcc: &'a Path,
    pub ccbin: Option<&'a OsStr>,
    pub cache: &'a StoreView<'a>,
    pub signals: &'a Signals,
    pub recorder: &'a Recorder,
}

impl IdentifyOnce<'_> {
    /// Identifies it, or waits for another compile that does so.
    pub(super) fn identify(&self, scratch: &Path) -> Result<Toolchain, Detour> {
        let _lead = match self.take_turn()? {
            Turn::Found { value, .. } => return Ok(value),
            // Others wait until the memo is written.
            Turn::Make(lead) => lead,
        };
        self.recorder.note("toolchain", "identified");
        let toolchain = identify(self.nvcc, self.ccbin, self.cache.memos.as_ref(), scratch);
        let failed = |error| Fallback::new(FallbackReason::Toolchain, format!("{error}"));
        Ok(toolchain.map_err(failed)?)
    }

    fn take_turn(&self) -> Result<Turn<Toolchain>, Detour> {
        let Some(flights) = self.cache.shared_flights() else {
            return Ok(Turn::Make(None));
        };
        let mut sink = Digester::default();
        sink.one("identification", self.nvcc.as_os_str().as_bytes());
        sink.one("ccbin", self.ccbin.unwrap_or_default().as_bytes());
        let key = sink.finish();
        let deadline = Instant::now() + self.cache.wait;
        let mut join = || flights.join(&key, deadline, &mut || self.signals.pending());
        let memos = self.cache.memos.as_ref();
        let mut look_up = || recall(self.nvcc, self.ccbin, memos, None);
        let mut failed = || self.cache.stats.add(Counter::Error, 1);
        store::take_turn(&mut join, &mut look_up, &mut failed).map_err(Detour::Interrupted)
    }
}
