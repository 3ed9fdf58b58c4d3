//! A line that shows how far a long command has come.

use super::env::Env;
use super::screen::Screen;
use std::time::{Duration, Instant};

/// A request that is done sooner shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two drawings.
const PAUSE: Duration = Duration::from_millis(100);
/// Places of the bar.
const WIDTH: u64 = 30;

/// A line on a terminal's stderr that is drawn again and again, and removed at the end.
pub(super) struct Progress<'a> {
    err: Option<Screen<'a>>,
    what: &'static str,
    began: Instant,
    patience: Duration,
    drawn: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// Progress of `what`, an "-ing" word; only drawn on a terminal that can remove a line.
    pub(super) fn new(what: &'static str, env: &Env<'_>, err: &'a mut Screen<'_>) -> Self {
        let is_dumb = (env.var)("TERM").is_some_and(|term| term == "dumb");
        let is_drawn = env.err_is_terminal && !is_dumb;
        Self {
            err: is_drawn.then(|| err.lend()),
            what,
            began: Instant::now(),
            patience: PATIENCE,
            drawn: None,
        }
    }

    /// Another part of the same request.
    pub(super) fn call(&mut self, what: &'static str) {
        self.what = what;
    }

    /// `done` of `most`; more than `most` counts as all.
    pub(super) fn show(&mut self, done: u64, most: u64) {
        let Some(err) = &mut self.err else { return };
        let is_time = match self.drawn {
            None => self.began.elapsed() >= self.patience,
            Some(drawn) => drawn.elapsed() >= PAUSE,
        };
        if !is_time {
            return;
        }
        self.drawn = Some(Instant::now());
        let (done, most) = (u128::from(done.min(most)), u128::from(most.max(1)));
        let full = (u128::from(WIDTH) * done / most) as usize;
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(WIDTH as usize - full));
        let percent = 100 * done / most;
        // Best effort: the terminal may be gone.
        let _ = err.redraw(format_args!("{:<10} [{bar}] {percent:>3} %", self.what));
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let (Some(err), Some(_)) = (&mut self.err, self.drawn) {
            let _ = err.redraw(format_args!(""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, Screen};
    use crate::cli::env::{Colours, Env, on_terminal};
    use std::ffi::OsString;
    use std::time::Duration;

    /// What three steps draw.
    fn drawn(env: &Env<'_>, patience: Duration) -> String {
        let mut err = Vec::new();
        let mut screen = Screen::new(&mut err, Colours::None);
        let mut progress = Progress::new("checking", env, &mut screen);
        progress.patience = patience;
        for done in [5, 6, 20] {
            progress.show(done, 10);
        }
        drop(progress);
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn progress_is_drawn_when_patience_is_over_and_removed_at_the_end() {
        let none = |_: &str| None;
        let terminal = on_terminal(&none);
        let bar = "\rchecking   [###############---------------]  50 %\x1b[K\r\x1b[K";
        assert_eq!(
            drawn(&terminal, Duration::ZERO),
            bar,
            "the rest comes too soon"
        );
        assert_eq!(drawn(&terminal, Duration::from_secs(3600)), "");
    }

    #[test]
    fn progress_needs_a_terminal_that_is_not_dumb() {
        let none = |_: &str| None;
        let file = Env {
            err_is_terminal: false,
            ..on_terminal(&none)
        };
        assert_eq!(drawn(&file, Duration::ZERO), "");
        let dumb = |name: &str| (name == "TERM").then(|| OsString::from("dumb"));
        assert_eq!(drawn(&on_terminal(&dumb), Duration::ZERO), "");
    }
}
