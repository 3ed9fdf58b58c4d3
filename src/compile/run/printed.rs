//! What nvcc and its stages print, and how it is passed on: completely, even to a non-blocking pipe.

use crate::compile::store_view::StoreView;
use crate::store::Artefact;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdout};
use std::io;
use std::os::fd::BorrowedFd;

/// A stream that a stage prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

impl OutputStream {
    pub(crate) const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];
}

/// What nvcc or a stage printed on each stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Printed {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Printed {
    pub(crate) fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty()
    }

    /// The text of each stream.
    pub(crate) fn texts(&self) -> [&[u8]; 2] {
        [&self.stdout, &self.stderr]
    }

    /// Fetches what was stored by [`Printed::keep`]. `None` if it is not all there.
    pub(crate) fn fetch(cache: &StoreView<'_>, streams: [&Option<Artefact>; 2]) -> Option<Self> {
        let [stdout, stderr] = streams.map(|artefact| match artefact {
            Some(artefact) => cache.artefact(artefact),
            None => Some(Vec::new()),
        });
        Some(Self {
            stdout: stdout?,
            stderr: stderr?,
        })
    }

    /// Stores each stream that has a text. `None` if one could not be stored.
    pub(crate) fn keep(&self, cache: &StoreView<'_>) -> Option<[Option<Artefact>; 2]> {
        let keep = |text: &[u8]| match text {
            [] => Some(None),
            text => cache.keep_internal(text).map(Some),
        };
        Some([keep(&self.stdout)?, keep(&self.stderr)?])
    }

    /// Adds what was printed next.
    pub(crate) fn append(&mut self, next: Self) {
        self.stdout.extend(next.stdout);
        self.stderr.extend(next.stderr);
    }

    /// Writes `text` and then each stream to the streams of this process.
    pub(crate) fn show_after(&self, text: &[u8]) {
        // A reader that has closed its end does not make the compile fail.
        let _ = write_patiently(stdout(), text);
        let _ = write_patiently(stdout(), &self.stdout);
        let _ = write_patiently(stderr(), &self.stderr);
    }
}

/// Writes all of `bytes`, also to a pipe that a build tool has made non-blocking.
fn write_patiently(stream: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stream, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut writable = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
                match poll(&mut writable, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
