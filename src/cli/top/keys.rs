//! The terminal whose keys end `pcache top`.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::read;
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Lines of a terminal that does not say how many it has.
const ROWS: usize = 24;

/// `q`, Ctrl-C and Ctrl-D.
const ENDS: [u8; 3] = [b'q', 3, 4];

/// A terminal that gives each key at once and shows none, until it is dropped. Ctrl-C is a key, too, so that the
/// terminal is set back before the program ends.
pub(super) struct RawTerminal {
    before: Termios,
    ended: Arc<AtomicBool>,
    signals: Vec<SigId>,
}

impl RawTerminal {
    /// `None` if standard input is no terminal.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        if !isatty(stdin()) {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let ended = Arc::new(AtomicBool::new(false));
        let mut signals = Vec::new();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signals.push(flag::register(signal, Arc::clone(&ended))?);
        }
        let mut raw = before.clone();
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self {
            before,
            ended,
            signals,
        }))
    }

    /// How many lines it has.
    pub(super) fn rows(&self) -> usize {
        let size = tcgetwinsize(stdin());
        let rows = size.map_or(0, |size| usize::from(size.ws_row));
        if rows == 0 { ROWS } else { rows }
    }

    /// Waits for a key; whether it, or a signal, ends the view.
    pub(super) fn is_ended_within(&self, time: Duration) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        // A time of seconds always fits. A signal interrupts the wait.
        let wait = Timespec::try_from(time).ok();
        let ready = poll(&mut polled, wait.as_ref());
        if self.ended.load(Ordering::Relaxed) {
            return true;
        }
        if !matches!(ready, Ok(1..)) {
            return false;
        }
        let mut keys = [0; 64];
        // Nothing to read: the terminal is gone.
        match read(stdin(), &mut keys[..]) {
            Ok(0) | Err(_) => true,
            Ok(count) => keys[..count].iter().any(|key| ENDS.contains(key)),
        }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
        for signal in self.signals.drain(..) {
            low_level::unregister(signal);
        }
    }
}
