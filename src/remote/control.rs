//! The helper as `pcache remote` sees it.

use super::connection::{connect, is_silence, run_helper, start_and_connect};
use super::place::{HELPER, HelperPlace};
use super::protocol::{Asker, FetchAnswer, MOST_WANTED, Request};
use super::record_list;
use crate::config::Config;
use crate::key::Digest;
use crate::store::{FileStore, Name, QueuedRecord, RecordId, Tree, Worth};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

/// How long the helper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many records are asked for at once.
const SIDE_BY_SIDE: usize = 16;

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

    /// Brings the list of records under `key` into the local cache, `store`, and then what it names and is not there. Path
    /// sets may name files of the system, of roots, and below `directory`.
    ///
    /// # Errors
    /// The helper cannot be started, or does not answer; no server has the list, or none could be asked.
    pub fn pull(&self, key: &Digest, store: &FileStore, directory: &Path) -> io::Result<Pulled> {
        let mut connection = match self.connected()? {
            Some(connection) => connection,
            None => start_and_connect(&self.place, &self.settings)?,
        };
        let list = RecordId {
            worth: Worth::Result,
            key: *key,
        };
        Request::Fetch(Asker::Waits, vec![list]).write(&mut connection)?;
        match answers(&mut connection, 1)?[..] {
            [FetchAnswer::Imported] => {}
            [FetchAnswer::Failed] => return Err(io::Error::other("no server answers")),
            _ => return Err(ErrorKind::NotFound.into()),
        }
        let list = store.get_record(key).map_err(io::Error::other)?;
        let listed = list.and_then(|list| record_list::decode(&list));
        let listed = listed.ok_or_else(|| io::Error::other("the list is of another version"))?;
        let mut pulled = Pulled {
            listed: listed.len(),
            ..Pulled::default()
        };
        let is_missing = |(worth, name): &(Worth, Name)| {
            let found = store.look_at((Tree::records(*worth), *name), |_| ());
            !matches!(found, Ok(Some(())))
        };
        let missing: Vec<_> = listed.into_iter().filter(is_missing).collect();
        pulled.here = pulled.listed - missing.len();
        for some in missing.chunks(SIDE_BY_SIDE) {
            let directory = directory.as_os_str().as_bytes().to_vec();
            Request::FetchNamed(some.to_vec(), directory).write(&mut connection)?;
            for answer in answers(&mut connection, some.len())? {
                match answer {
                    FetchAnswer::Imported => pulled.brought += 1,
                    FetchAnswer::Known => pulled.here += 1,
                    FetchAnswer::Absent => pulled.absent += 1,
                    FetchAnswer::Failed => pulled.failed += 1,
                }
            }
        }
        Ok(pulled)
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

/// Reads the answers for so many records.
fn answers(connection: &mut UnixStream, count: usize) -> io::Result<Vec<FetchAnswer>> {
    let mut bytes = vec![0; count];
    // Servers have their own deadlines, and the helper passes on what comes of them.
    connection.set_read_timeout(None)?;
    connection.read_exact(&mut bytes)?;
    let answers = bytes.into_iter().map(FetchAnswer::of);
    let answers: Option<_> = answers.collect();
    answers.ok_or_else(|| ErrorKind::InvalidData.into())
}

/// What came of the records of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// How many there are.
    pub listed: usize,
    /// In the local cache before, or of no use here.
    pub here: usize,
    /// Brought now.
    pub brought: usize,
    /// On no server.
    pub absent: usize,
    /// Not brought, since servers failed or sent what is not believed.
    pub failed: usize,
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
