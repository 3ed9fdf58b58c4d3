//! SIGINT, SIGTERM and SIGHUP while children run: noted, and a wake-up for the thread that waits.

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
    /// Ctrl-C.
    Int,
    /// A polite kill.
    Term,
    /// The terminal is gone.
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

/// Handlers that stay installed until the process ends or becomes another one.
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
            // The value first: the wake-up may be read at once.
            signal_hook::flag::register_usize(number, Arc::clone(&seen), value)?;
            signal_hook::low_level::pipe::register(number, writer.try_clone()?)?;
        }
        Ok(Self { seen, wake })
    }

    /// The signal that came last, if any came.
    pub fn pending(&self) -> Option<Interrupted> {
        let seen = self.seen.load(Ordering::SeqCst);
        Interrupted::ALL
            .into_iter()
            .find(|signal| usize::try_from(signal.number()) == Ok(seen))
    }

    /// Becomes readable when a signal has come, and stays so.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// The signals that this process ignores, as the system's bit mask; none if it does not say.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
