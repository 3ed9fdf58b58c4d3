//! Tidies the directory where toolchains are remembered. Does not know what a toolchain is.

use super::identify::is_current;
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file without its final name that is older was left by a process that died.
const STALE: Duration = Duration::from_secs(3600);

/// Which of the files are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memos {
    /// All.
    All,
    /// Those that no compile would believe, because of another version or changed tools, and what
    /// dead processes have left.
    Stale,
}

/// Removes files from `directory`, which need not exist; how many, and their bytes. A compile that
/// looks for one identifies its toolchain anew.
///
/// # Errors
/// The directory cannot be listed, or a file not removed.
pub fn forget(directory: &Path, which: Memos) -> io::Result<(u64, u64)> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok((0, 0));
        }
        Err(error) => return Err(error),
    };
    let (mut files, mut bytes) = (0, 0);
    for entry in entries {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_file() && (which == Memos::All || is_stale(&entry)) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            files += 1;
            bytes += found.len();
        }
    }
    Ok((files, bytes))
}

fn is_stale(entry: &DirEntry) -> bool {
    let path = entry.path();
    if path.extension() == Some("json".as_ref()) {
        return !is_current(&path);
    }
    let written = entry.metadata().and_then(|found| found.modified());
    let age = written.map(|written| SystemTime::now().duration_since(written));
    matches!(age, Ok(Ok(age)) if age > STALE)
}

#[cfg(test)]
mod tests {
    use super::{Memos, forget};
    use std::fs;

    #[test]
    fn unreadable_memos_are_stale_and_files_being_written_are_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            forget(&dir.path().join("absent"), Memos::All).unwrap(),
            (0, 0)
        );
        fs::write(dir.path().join("aa.json"), "{\"schema\":1}").unwrap();
        fs::write(dir.path().join(".tmp123"), "{").unwrap();
        assert_eq!(forget(dir.path(), Memos::Stale).unwrap(), (1, 12));
        assert!(dir.path().join(".tmp123").exists());
        assert_eq!(forget(dir.path(), Memos::All).unwrap(), (1, 1));
    }
}
