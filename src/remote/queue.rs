//! The queue of what is to be sent: a directory with a file for each compile, which names the records that it made. A
//! file is in its place before the helper is told of it, so that nothing is lost when the helper or the machine stops.

use crate::files::make_private;
use crate::store::{QueuedRecord, UNFINISHED, read_queued};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

/// The queue in a directory.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    directory: PathBuf,
}

impl Queue {
    pub(super) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Adds what one compile has made. Names begin with the time, so that what was made first is sent first.
    pub(super) fn add(&self, records: &[QueuedRecord]) -> io::Result<()> {
        make_private(&self.directory)?;
        let bytes: Vec<u8> = records.iter().flat_map(QueuedRecord::bytes).collect();
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = time.map_or(0, |time| time.as_nanos());
        let name = format!("{time:020}-{}", process::id());
        let unfinished = self.directory.join(format!("{UNFINISHED}{name}"));
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(&bytes));
        let placed = written.and_then(|()| fs::rename(&unfinished, self.directory.join(name)));
        if placed.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        placed
    }

    /// The names of its files, oldest first.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let children = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            children => children?,
        };
        let mut names = Vec::new();
        for child in children {
            let name = child?.file_name().into_string().unwrap_or_default();
            if !name.is_empty() && !name.starts_with(UNFINISHED) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The records that a file names; none if it is not whole.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<QueuedRecord>> {
        read_queued(&self.directory.join(name))
    }

    /// Takes over all files of another queue, each at once. Their names say when they were made, and by which process.
    #[cfg(feature = "remote")]
    pub(super) fn take_over(&self, other: &Self) -> io::Result<()> {
        for name in other.names()? {
            make_private(&self.directory)?;
            fs::rename(other.directory.join(&name), self.directory.join(&name))?;
        }
        Ok(())
    }

    /// Ends a file whose records were sent, or given up.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Queue, QueuedRecord};
    use crate::store::{Name, Worth};

    #[test]
    fn what_is_added_is_read_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::at(dir.path().join("queue"));
        assert!(queue.names().unwrap().is_empty());
        let id = |byte| QueuedRecord::Stored(Worth::Result, Name([byte; 32]));
        queue.add(&[id(1), id(2)]).unwrap();
        queue.add(&[id(3)]).unwrap();
        let names = queue.names().unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(queue.read(&names[0]).unwrap(), [id(1), id(2)]);
        queue.remove(&names[0]).unwrap();
        queue.remove(&names[0]).unwrap();
        assert_eq!(queue.names().unwrap(), names[1..]);
    }

    #[test]
    fn a_file_that_is_cut_off_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::at(dir.path().to_owned());
        std::fs::write(dir.path().join("1"), b"rabc").unwrap();
        std::fs::write(dir.path().join("new-2"), b"r").unwrap();
        assert_eq!(queue.names().unwrap(), ["1"]);
        assert_eq!(queue.read("1").unwrap(), []);
    }
}
