//! Retries operations on busy files. On Windows, a file that another process has open cannot be replaced or removed,
//! and sometimes not be opened. After 185 ms the result is that the file is busy, not an error.

use std::io;
use std::time::Duration;

/// The pauses before each attempt, in milliseconds: 185 in all.
const PAUSES: [u64; 6] = [0, 5, 10, 20, 50, 100];

/// ERROR_ACCESS_DENIED (also for a pending removal), ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION.
const CODES: [i32; 3] = [5, 32, 33];

/// The operating system whose rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    /// Open files can be renamed and removed, so there is no contention. The codes above mean
    /// something else.
    Unix,
    Windows,
}

impl System {
    /// The system for which this program was compiled.
    const fn own() -> Self {
        #[cfg(windows)]
        return Self::Windows;
        #[cfg(not(windows))]
        return Self::Unix;
    }

    /// Whether `error` goes away when others close the file. Any other error, such as a missing permission, must
    /// be reported.
    fn is_contention(self, error: &io::Error) -> bool {
        let is_code = |code| CODES.contains(&code);
        self == Self::Windows && error.raw_os_error().is_some_and(is_code)
    }
}

/// The operations that can find a file busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Open,
    Rename,
    Remove,
}

/// Runs `operation` until there is no contention by the rules of `system`, or all attempts are used up.
/// `None` = busy each time.
pub(super) fn retry<T>(
    system: System,
    mut operation: impl FnMut() -> io::Result<T>,
    mut sleep: impl FnMut(Duration),
) -> io::Result<Option<T>> {
    for pause in PAUSES {
        if pause > 0 {
            sleep(Duration::from_millis(pause));
        }
        match operation() {
            Err(error) if system.is_contention(&error) => {}
            done => return done.map(Some),
        }
    }
    Ok(None)
}

/// Calls [`retry`] with this system's rules and clock.
#[cfg(not(test))]
pub(crate) fn attempt<T>(
    _what: Operation,
    operation: impl FnMut() -> io::Result<T>,
) -> io::Result<Option<T>> {
    retry(System::own(), operation, std::thread::sleep)
}

/// Calls [`retry`] with the faults that a test has planted in its thread, if there are any.
#[cfg(test)]
pub(crate) fn attempt<T>(
    what: Operation,
    mut operation: impl FnMut() -> io::Result<T>,
) -> io::Result<Option<T>> {
    if !faults::are_planted() {
        return retry(System::own(), operation, std::thread::sleep);
    }
    let faulty = || match faults::next(what) {
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => operation(),
    };
    retry(System::Windows, faulty, faults::slept)
}

/// Errors that operations of this thread meet, by the rules of Windows.
#[cfg(test)]
pub(crate) mod faults {
    use super::Operation;
    use std::cell::RefCell;
    use std::time::Duration;

    struct Planted {
        what: Operation,
        code: i32,
        left: usize,
        slept: Duration,
    }

    thread_local! {
        static PLANTED: RefCell<Option<Planted>> = const { RefCell::new(None) };
    }

    /// The next `times` operations of this sort end with `code`. Gives what `run` gives, and how many
    /// milliseconds it would have slept.
    pub(crate) fn with<T>(
        what: Operation,
        code: i32,
        times: usize,
        run: impl FnOnce() -> T,
    ) -> (T, u128) {
        let slept = Duration::ZERO;
        let left = times;
        let planted = Planted {
            what,
            code,
            left,
            slept,
        };
        PLANTED.set(Some(planted));
        let done = run();
        let planted = PLANTED.take().expect("no other thread takes it");
        (done, planted.slept.as_millis())
    }

    pub(crate) fn are_planted() -> bool {
        PLANTED.with_borrow(Option::is_some)
    }

    pub(crate) fn next(what: Operation) -> Option<i32> {
        PLANTED.with_borrow_mut(|planted| {
            let planted = planted.as_mut().filter(|planted| planted.what == what)?;
            planted.left = planted.left.checked_sub(1)?;
            Some(planted.code)
        })
    }

    pub(crate) fn slept(pause: Duration) {
        PLANTED.with_borrow_mut(|planted| planted.as_mut().expect("planted").slept += pause);
    }
}

#[cfg(test)]
mod tests {
    use super::{CODES, System, retry};
    use std::io;
    use std::time::Duration;

    /// What becomes of an operation that fails with `code` so many times, and how long it slept.
    fn after(system: System, code: i32, times: u32) -> (io::Result<Option<u32>>, Duration) {
        let (mut tried, mut slept) = (0, Duration::ZERO);
        let operation = || {
            tried += 1;
            if tried <= times {
                Err(io::Error::from_raw_os_error(code))
            } else {
                Ok(tried)
            }
        };
        let done = retry(system, operation, |pause| slept += pause);
        (done, slept)
    }

    #[test]
    fn contention_is_tried_again_after_growing_pauses() {
        let milliseconds = [0, 5, 15, 35, 85, 185];
        for code in CODES {
            for (times, expected) in milliseconds.into_iter().enumerate() {
                let (done, slept) = after(System::Windows, code, times as u32);
                assert_eq!(done.unwrap(), Some(times as u32 + 1));
                assert_eq!(slept, Duration::from_millis(expected));
            }
        }
    }

    #[test]
    fn contention_without_end_is_busy_and_no_error() {
        let (done, slept) = after(System::Windows, 32, u32::MAX);
        assert_eq!(done.unwrap(), None);
        assert_eq!(slept, Duration::from_millis(185));
    }

    #[test]
    fn other_errors_are_reported_at_once() {
        // ERROR_FILE_NOT_FOUND, ERROR_WRITE_PROTECT, ERROR_DISK_FULL
        for code in [2, 19, 112] {
            let (done, slept) = after(System::Windows, code, u32::MAX);
            assert_eq!(done.unwrap_err().raw_os_error(), Some(code));
            assert_eq!(slept, Duration::ZERO);
        }
    }

    #[test]
    fn codes_of_windows_mean_nothing_elsewhere() {
        for code in CODES {
            let (done, _) = after(System::Unix, code, 1);
            assert_eq!(done.unwrap_err().raw_os_error(), Some(code));
        }
    }
}
