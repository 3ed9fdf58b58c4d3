//! Runs asynchronous clients for callers that block.

use std::sync::OnceLock;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Threads that move bytes. More than one, so that the TLS of one call does not hold up the others.
const THREADS: usize = 2;

/// Waits until a future has its value.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// The one runtime of the process.
///
/// # Panics
/// The process can start no threads.
#[expect(
    clippy::expect_used,
    reason = "without threads the helper cannot serve either"
)]
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("cloud");
        builder.enable_all().build().expect("threads")
    })
}

/// A future that may take a limited time.
pub(super) trait Limited: Future + Sized {
    /// `None` if it took longer. It is dropped then.
    async fn within(self, time: Duration) -> Option<Self::Output> {
        tokio::time::timeout(time, self).await.ok()
    }
}

impl<F: Future> Limited for F {}
