//! Appends one block of text per compile to a log file. Each block is a single write, so that blocks
//! of parallel compiles do not mix. Writes only what it is given, with secret values hidden: no environment, and
//! nothing to stdout or stderr.

use crate::{secret, visible};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A log, or the absence of one. Holds no file open.
#[derive(Clone, Debug)]
pub struct Log {
    path: Option<PathBuf>,
}

impl Log {
    /// A log that appends to `path`. The file is not opened before the first block is written.
    pub fn open(path: Option<&Path>) -> Self {
        Self {
            path: path.map(Path::to_owned),
        }
    }

    /// Begins a block about the command `argv`. Without a log it stays empty and costs nothing.
    pub fn block<A: AsRef<OsStr>>(&self, argv: &[A]) -> Block {
        let mut text = None;
        if self.path.is_some() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let millis = now.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
            text = Some(heading(millis, std::process::id(), argv));
        }
        Block { text }
    }

    /// Writes a finished block.
    ///
    /// # Errors
    /// The file cannot be written; the caller counts the error and goes on.
    pub fn append(&self, block: Block) -> io::Result<()> {
        let (Some(path), Some(mut text)) = (&self.path, block.text) else {
            return Ok(());
        };
        text.push('\n');
        // Without O_NONBLOCK a named pipe without a reader would block the compile.
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
        // Only the user may read a new log, since command lines can be private. An existing log keeps its mode.
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::open(path, flags | OFlags::NONBLOCK, mode)?;
        File::from(file).write_all(text.as_bytes())
    }
}

/// The text of one compile in the log.
#[derive(Clone, Debug)]
pub struct Block {
    text: Option<String>,
}

impl Block {
    /// Whether a log is kept; lets callers skip the formatting of notes.
    pub fn is_kept(&self) -> bool {
        self.text.is_some()
    }

    /// Adds a line `name: value`. Control characters in `value` are escaped, so that it can neither look
    /// like another line nor control a terminal; secrets in it are hidden.
    pub fn note(&mut self, name: &str, value: impl fmt::Display) {
        if let Some(text) = &mut self.text {
            let value = value.to_string();
            let value = secret::hide_text(&value);
            let value = visible::line(&value);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    {name}: {value}");
        }
    }
}

/// The first line: time, version, process, command line.
fn heading<A: AsRef<OsStr>>(millis: u64, pid: u32, argv: &[A]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut line = format!("{} v{version} pid {pid}", timestamp(millis));
    for argument in argv {
        line.push(' ');
        let argument = secret::hide(argument.as_ref().as_bytes());
        line.push_str(&quote(OsStr::from_bytes(&argument)));
    }
    line.push('\n');
    line
}

/// `argument` quoted for a shell; bytes that are not UTF-8 are shown as U+FFFD.
fn quote(argument: &OsStr) -> String {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./=,:+@%".contains(b);
    let text = argument.to_string_lossy();
    let text = visible::line(&text);
    if !argument.is_empty() && argument.as_bytes().iter().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Milliseconds since 1970 as `2025-11-22T01:05:09.123Z`.
pub fn timestamp(millis: u64) -> String {
    let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day, from days since 1970-01-01. Counts years from March, so that a leap day is
/// the last of its year; the calendar then repeats every 400 years, which are 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    // Takes out the leap days: one in 1,461 days, none in 36,524, one in 146,097.
    let in_era_years = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * in_era_years + in_era_years / 4 - in_era_years / 100);
    // Five months from March, and again from August, have 153 days: 31, 30, 31, 30, 31.
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + in_era_years + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{Log, civil, heading, timestamp};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// The next day, by the usual rule for leap years.
    fn next(year: u64, month: u64, day: u64) -> (u64, u64, u64) {
        let by = |n: u64| year.is_multiple_of(n);
        let leap = by(4) && (!by(100) || by(400));
        let last = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        match (month, day == last) {
            (12, true) => (year + 1, 1, 1),
            (_, true) => (year, month + 1, 1),
            _ => (year, month, day + 1),
        }
    }

    #[test]
    fn every_day_of_five_centuries_follows_the_one_before() {
        let mut date = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(civil(days), date);
            date = next(date.0, date.1, date.2);
        }
    }

    #[test]
    fn timestamps_are_utc_with_milliseconds() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400_042), "2000-02-29T00:00:00.042Z");
        assert_eq!(timestamp(1_763_773_509_123), "2025-11-22T01:05:09.123Z");
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        let line = heading(0, 7, &["nvcc", "-DA=1", "a b.cu", "it's", "", "x\ny"]);
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            r"1970-01-01T00:00:00.000Z v{version} pid 7 nvcc -DA=1 'a b.cu' 'it'\''s' '' 'x\ny'"
        );
        assert_eq!(line, format!("{expected}\n"));
    }

    #[test]
    fn secrets_are_hidden_in_arguments_and_notes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(Some(&path));
        let mut block = log.block(&[
            "nvcc",
            "-DAPI_TOKEN=hunter2",
            "-D",
            "KEY=hunter2 two",
            "a.cu",
        ]);
        block.note("bypass", "shell_expansion -DKEY=hunter2 two");
        log.append(block).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("two"), "{text}");
        assert!(
            text.contains(" -D 'KEY=<hidden:") && text.contains(" a.cu\n"),
            "{text}"
        );
    }

    #[test]
    fn blocks_follow_each_other_and_stay_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for outcome in ["miss", "hit\nfaked: line"] {
            let log = Log::open(Some(&path));
            let mut block = log.block(&["nvcc"]);
            assert!(block.is_kept());
            block.note("outcome", outcome);
            log.append(block).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert_eq!(lines[1..3], ["    outcome: miss", ""]);
        assert_eq!(lines[4], r"    outcome: hit\nfaked: line");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn without_a_log_nothing_is_written() {
        let log = Log::open(None);
        let mut block = log.block(&["nvcc"]);
        assert!(!block.is_kept());
        block.note("outcome", "miss");
        log.append(block).unwrap();
    }

    #[test]
    fn log_that_cannot_be_written_is_an_error_for_the_caller() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for path in [Path::new("/nonexistent/log"), dir.path(), &fifo] {
            let log = Log::open(Some(path));
            assert!(log.append(log.block(&["nvcc"])).is_err(), "{path:?}");
        }
    }
}
