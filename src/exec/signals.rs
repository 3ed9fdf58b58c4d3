//! Handles SIGINT, SIGTERM and SIGHUP while children run: notes the signal, and wakes the thread that waits.

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A signal that asks the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// SIGINT: Ctrl-C.
    Int,
    /// SIGTERM: `kill` without a signal.
    Term,
    /// SIGHUP: the terminal was closed.
    Hup,
}

impl Interrupted {
    const ALL: [Self; 3] = [Self::Int, Self::Term, Self::Hup];

    /// The number for `signal-hook`.
    pub fn number(self) -> i32 {
        match self {
            Self::Int => SIGINT,
            Self::Term => SIGTERM,
            Self::Hup => SIGHUP,
        }
    }

    /// The signal as rustix sends it.
    pub fn signal(self) -> Signal {
        match self {
            Self::Int => Signal::INT,
            Self::Term => Signal::TERM,
            Self::Hup => Signal::HUP,
        }
    }
}

/// The signal handlers, which stay installed until the process ends or executes another program.
pub struct Signals {
    seen: Arc<AtomicUsize>,
    wake: UnixStream,
}

impl Signals {
    /// Installs the handlers. From here on the three signals no longer end the process by
    /// themselves: the caller asks [`Signals::pending`]. A signal that was ignored when the process
    /// started (`nohup`, a shell's background job) stays ignored, by the children too.
    pub fn install() -> io::Result<Self> {
        let (wake, writer) = UnixStream::pair()?;
        let seen = Arc::new(AtomicUsize::new(0));
        let ignored = ignored();
        for signal in Interrupted::ALL {
            let number = signal.number();
            if ignored & (1 << (number - 1)) != 0 {
                continue;
            }
            let value = usize::try_from(number).map_err(io::Error::other)?;
            // The value first, since the wake-up may be read at once.
            signal_hook::flag::register_usize(number, Arc::clone(&seen), value)?;
            signal_hook::low_level::pipe::register(number, writer.try_clone()?)?;
        }
        Ok(Self { seen, wake })
    }

    /// The signal that arrived last, if any.
    pub fn pending(&self) -> Option<Interrupted> {
        let seen = self.seen.load(Ordering::SeqCst);
        Interrupted::ALL
            .into_iter()
            .find(|signal| usize::try_from(signal.number()) == Ok(seen))
    }

    /// A descriptor that becomes readable when a signal has arrived, and stays so.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// The signals that this process ignores, as the kernel's bit mask; 0 if it cannot be read.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
