//! Finds in `/proc` which locks of a file belong to processes that are stopped (Ctrl-Z, SIGSTOP, a debugger). Only
//! this user's processes are visible, and only they have locks in this user's files. Examines every process of the
//! machine, so a waiter does it only after a while.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The bytes of every lock on `file` that a stopped process holds.
pub(super) fn locked(file: &File) -> io::Result<BTreeSet<i64>> {
    let own = file.metadata()?;
    let mut bytes = BTreeSet::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let process = entry.path();
        let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
        if entry.file_name().to_str().is_some_and(is_number) && is_stopped(&process) {
            bytes.extend(locks_of(&process, (own.dev(), own.ino())));
        }
    }
    Ok(bytes)
}

/// Whether a process is stopped, by the letter after its name in `stat`. The name is in parentheses and may itself
/// contain any letter.
fn is_stopped(process: &Path) -> bool {
    let stat = fs::read(process.join("stat")).unwrap_or_default();
    let end = stat.iter().rposition(|byte| *byte == b')');
    let state = end.and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'T' | b't'))
}

/// The bytes that a process has locked in the file with this device and inode; none if the process ends meanwhile.
fn locks_of(process: &Path, (dev, ino): (u64, u64)) -> Vec<i64> {
    let descriptors = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    let is_ours = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (dev, ino))
    };
    let ours = descriptors.filter(|entry| is_ours(&entry.path()));
    let texts = ours.filter_map(|entry| {
        let place = process.join("fdinfo").join(entry.file_name());
        fs::read_to_string(place).ok()
    });
    texts.flat_map(|text| bytes(&text)).collect()
}

/// Limit on the length of one lock in bytes; a longer one is not from this program.
const MOST: i64 = 4096;

/// Parses lines such as `lock: 1: OFDLCK  ADVISORY  WRITE -1 fd:00:1234 17 18`: the bytes from the last but one word to
/// the last. The kernel merges adjacent locks into one.
fn bytes(text: &str) -> Vec<i64> {
    let locks = text.lines().filter_map(|line| line.strip_prefix("lock:"));
    let ranges = locks.filter_map(|line| {
        let mut words = line.split_whitespace().rev();
        let (last, first) = (words.next()?, words.next()?.parse::<i64>().ok()?);
        // A lock up to `EOF`, or one that is too long, is taken as one byte.
        let last = last
            .parse()
            .ok()
            .filter(|last| (first..first.saturating_add(MOST)).contains(last));
        Some(first..=last.unwrap_or(first))
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn locks_are_told_by_their_bytes() {
        let text = "pos:\t0\nflags:\t02\nlock:\t1: OFDLCK  ADVISORY  WRITE -1 fe:00:77 4611 4611\n\
                    lock:\t2: OFDLCK  ADVISORY  WRITE -1 fe:00:77 0 EOF\n\
                    lock:\t3: OFDLCK  ADVISORY  WRITE -1 fe:00:77 7 9\n";
        assert_eq!(bytes(text), [4611, 0, 7, 8, 9]);
        assert!(bytes("lock:\t1: ->\nlock:\n").is_empty());
    }
}
