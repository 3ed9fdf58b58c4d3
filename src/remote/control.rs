//! The helper as `pcache remote` sees it.

use super::connection::{connect, is_silence, run_helper, start_and_connect};
use super::place::{HELPER, HelperPlace};
use super::protocol::{MOST_WANTED, Request};
use crate::config::Config;
use crate::store::{Name, QueuedRecord, Worth};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

/// How long the helper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the queue is looked at.
const STEP: Duration = Duration::from_millis(50);

/// The helper for the present settings.
pub struct RemoteControl {
    place: HelperPlace,
    settings: Vec<u8>,
}

impl RemoteControl {
    /// `own` is the directory of this user's own files for the cache.
    pub fn new(config: &Config, own: &Path) -> Self {
        let (place, settings) = HelperPlace::of(config, own);
        Self { place, settings }
    }

    /// The directory with the helper's socket, settings and queue.
    pub fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// What the helper says of itself, as JSON; `None` if none runs.
    ///
    /// # Errors
    /// It runs and does not answer.
    pub fn status(&self) -> io::Result<Option<String>> {
        let Some(mut connection) = self.connected()? else {
            return Ok(None);
        };
        connection.set_read_timeout(Some(PATIENCE))?;
        Request::Status.write(&mut connection)?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// How many compiles have results that wait to be sent.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn waiting(&self) -> io::Result<usize> {
        Ok(self.place.queue().names()?.len())
    }

    /// Queues records of the local cache by their names. Returns how many.
    ///
    /// # Errors
    /// The queue cannot be written.
    pub fn push(&self, records: &[(Worth, Name)]) -> io::Result<usize> {
        self.place.prepare(&self.settings)?;
        let records = records
            .iter()
            .map(|(worth, name)| QueuedRecord::Stored(*worth, *name));
        let records: Vec<_> = records.collect();
        for some in records.chunks(MOST_WANTED) {
            self.place.queue().add(some)?;
        }
        Ok(records.len())
    }

    /// Has the queue sent, and returns how much of it is left when it is empty or `timeout` has passed.
    ///
    /// # Errors
    /// The helper cannot be started, or the queue cannot be read.
    pub fn flush(&self, timeout: Duration) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            let left = self.waiting()?;
            if left == 0 || began.elapsed() >= timeout {
                return Ok(left);
            }
            if self.connected()?.is_none() {
                let mut connection = start_and_connect(&self.place, &self.settings)?;
                Request::Queued.write(&mut connection)?;
            }
            thread::sleep(STEP);
        }
    }

    /// Ends the helper. Returns whether one ran.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn stop(&self) -> io::Result<bool> {
        let Some(mut connection) = self.connected()? else {
            return Ok(false);
        };
        Request::Stop.write(&mut connection)?;
        // It closes the connection when it ends.
        connection.set_read_timeout(Some(PATIENCE))?;
        let _ = connection.read(&mut [0]);
        Ok(true)
    }

    /// A connection to the helper; `None` if none runs.
    fn connected(&self) -> io::Result<Option<UnixStream>> {
        match connect(&self.place, PATIENCE) {
            Ok((connection, _)) => Ok(Some(connection)),
            Err(error) if is_silence(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Has a helper of its own ask every server, and print what each answers.
    ///
    /// # Errors
    /// The helper cannot be started.
    pub fn test(&self) -> io::Result<ExitStatus> {
        self.place.prepare(&self.settings)?;
        let arguments = ["test".as_ref(), self.place.directory.as_os_str()];
        run_helper(self.place.program, &arguments)
    }
}

/// Makes a signing key called `name` in a new file, and prints the public key.
///
/// # Errors
/// The helper cannot be started.
pub fn keygen(name: &str, file: &Path) -> io::Result<ExitStatus> {
    run_helper(
        HELPER,
        &["keygen".as_ref(), name.as_ref(), file.as_os_str()],
    )
}
