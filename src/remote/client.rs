//! The shared level as one compile sees it. It waits for the helper at most `PCACHE_REMOTE_WAIT` in all, and asks it
//! nothing more once it has failed.

use super::place::{HelperPlace, LONGEST_ADDRESS, program_for};
use super::protocol::{FetchAnswer, GREETING, Request};
use crate::config::Config;
use crate::key::Digest;
use crate::outcome::RemoteFailure;
use crate::stats::{Counter, Stats};
use crate::store::{QueuedRecord, RecordId, Worth};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long `pcache remote` waits for a helper that it has started, and how often a connection is tried.
const START: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);

/// How long no compile tries again after a helper could not be started, or did not answer.
const PAUSE: Duration = Duration::from_secs(30);

/// What one compile asks of other machines, and has for them.
pub struct Remote<'a> {
    config: &'a Config,
    own: &'a Path,
    stats: &'a Stats,
    start: HelperStart,
    /// How many records servers had that this compile asked for, lists of path sets included.
    brought: AtomicU64,
    state: Mutex<State>,
}

/// Whether a process may start the helper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HelperStart {
    WhenNeeded,
    /// The process is a program that knows nothing of us: it may wait for its children, any of them.
    Never,
}

#[derive(Default)]
struct State {
    /// Those that no stage uses now. Stages that run side by side ask side by side.
    connections: Vec<UnixStream>,
    /// What is left of `PCACHE_REMOTE_WAIT`.
    left: Duration,
    /// How long it has waited.
    waited: Duration,
    has_failed: bool,
    asked: HashSet<RecordId>,
    made: Vec<QueuedRecord>,
}

impl<'a> Remote<'a> {
    /// `None` if no server is configured. `own` is the directory of this user's own files for the cache.
    pub fn new(config: &'a Config, own: &'a Path, stats: &'a Stats) -> Option<Self> {
        let is_wanted = !config.remote.value.0.is_empty() && !config.disable.value;
        is_wanted.then(|| Self {
            config,
            own,
            stats,
            start: HelperStart::WhenNeeded,
            brought: AtomicU64::new(0),
            state: Mutex::new(State {
                left: config.remote_wait.value.into(),
                ..State::default()
            }),
        })
    }

    /// As [`Remote::new`], in a program that is not ours. It starts no process: without a running helper it asks for
    /// nothing, and what it queues waits for the next one.
    pub(crate) fn in_program(config: &'a Config, own: &'a Path, stats: &'a Stats) -> Option<Self> {
        let start = HelperStart::Never;
        Self::new(config, own, stats).map(|remote| Self { start, ..remote })
    }

    /// Has a helper run, for programs that start none. Best effort.
    pub(crate) fn start_helper(&self) {
        let left = self.lock().left;
        let _ = self.connect(left);
    }

    /// Closes the connections, since the process goes on with other things, and may fork.
    pub(crate) fn hang_up(&self) {
        self.lock().connections.clear();
    }

    /// Whether the record under `key` is in the local cache now, where it was not before. Asks for each record once.
    pub(crate) fn fetch(&self, worth: Worth, key: &Digest) -> bool {
        let id = RecordId { worth, key: *key };
        self.request(id, || Request::Fetch(vec![id]))
    }

    /// The same for a list of path sets, of which only those are taken that lead to what this compile searches: `named`
    /// are its working directory, and other paths.
    pub(crate) fn fetch_list(&self, key: &Digest, named: impl FnOnce() -> Vec<Vec<u8>>) -> bool {
        let worth = Worth::Result;
        let id = RecordId { worth, key: *key };
        self.request(id, || Request::FetchList(id, named()))
    }

    fn request(&self, id: RecordId, request: impl FnOnce() -> Request) -> bool {
        let (free, left) = {
            let mut state = self.lock();
            if state.has_failed || !state.asked.insert(id) {
                return false;
            }
            (state.connections.pop(), state.left)
        };
        let began = Instant::now();
        let asked = self.ask(free, &request(), left);
        let mut state = self.lock();
        let waited = began.elapsed();
        state.left = state.left.saturating_sub(waited);
        state.waited += waited;
        match asked {
            Ok((connection, answer)) => {
                state.connections.push(connection);
                let is_here = answer == FetchAnswer::Imported;
                self.brought
                    .fetch_add(u64::from(is_here), Ordering::Relaxed);
                is_here
            }
            Err(failure) => {
                // Of stages that asked side by side, one counts it.
                let is_first = !std::mem::replace(&mut state.has_failed, true);
                if let Some(failure) = failure.filter(|_| is_first) {
                    self.stats.add(Counter::RemoteFailed(failure), 1);
                }
                false
            }
        }
    }

    /// How many records servers have brought for this compile so far.
    pub(crate) fn brought(&self) -> u64 {
        self.brought.load(Ordering::Relaxed)
    }

    /// Microseconds that this compile has waited for servers so far.
    pub fn waited(&self) -> u64 {
        u64::try_from(self.lock().waited.as_micros()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error is `None` if no helper runs, and none may be started.
    fn ask(
        &self,
        free: Option<UnixStream>,
        request: &Request,
        left: Duration,
    ) -> Result<(UnixStream, FetchAnswer), Option<RemoteFailure>> {
        if left.is_zero() {
            return Err(Some(RemoteFailure::Wait));
        }
        let mut connection = free.map_or_else(|| self.connect(left), Ok)?;
        let exchanged = exchange(&mut connection, request, left);
        let answer = exchanged.map_err(|error| match error.kind() {
            // The helper goes on, and the next compile finds what it brings.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => RemoteFailure::Wait,
            _ => RemoteFailure::Helper,
        });
        Ok((connection, answer?))
    }

    /// Connects to the helper. Starts it if it does not run. Does neither if that failed a short while ago.
    fn connect(&self, patience: Duration) -> Result<UnixStream, Option<RemoteFailure>> {
        let (place, settings) = HelperPlace::of(self.config, self.own);
        let silent = place.silent();
        let was_silent = silent.exists();
        if was_silent && is_recent(&silent, PAUSE) {
            return Err(Some(RemoteFailure::Helper));
        }
        if was_silent {
            // Of compiles that run side by side, one tries again.
            let _ = fs::write(&silent, "");
        }
        let connected = self.connect_or_start(&place, &settings, patience);
        match &connected {
            Ok(_) if was_silent => drop(fs::remove_file(&silent)),
            Ok(_) => {}
            // That of a helper which was not even tried says nothing.
            Err(error) if self.start == HelperStart::Never && !is_silence(error) => {
                return Err(None);
            }
            Err(_) => drop(fs::write(&silent, "")),
        }
        connected.map_err(|_| Some(RemoteFailure::Helper))
    }

    fn connect_or_start(
        &self,
        place: &HelperPlace,
        settings: &[u8],
        patience: Duration,
    ) -> io::Result<UnixStream> {
        match connect(place, patience) {
            Err(error) if !is_silence(&error) => {}
            connected => return connected,
        }
        if is_recent(&place.attempt(), self.config.remote_wait.value.into()) {
            // Another compile has just started it.
            return wait(place, patience);
        }
        if self.start == HelperStart::Never {
            return Err(ErrorKind::NotConnected.into());
        }
        place.prepare(settings)?;
        start(place)?;
        wait(place, patience)
    }

    /// Notes that the record under `key` was made, for other machines.
    pub(crate) fn made(&self, worth: Worth, key: &Digest) {
        let mut state = self.lock();
        let id = RecordId { worth, key: *key };
        state.made.push(QueuedRecord::Made(id));
    }

    /// Queues what was made, and tells the helper. Best effort: what cannot be queued is not sent.
    pub fn finish(&self) {
        let mut state = self.lock();
        if state.made.is_empty() || !self.may_send() {
            return;
        }
        let (place, settings) = HelperPlace::of(self.config, self.own);
        let queued = place.prepare(&settings);
        if queued
            .and_then(|()| place.queue().add(&state.made))
            .is_err()
        {
            let failure = Counter::RemoteFailed(RemoteFailure::Queue);
            self.stats.add(failure, 1);
            return;
        }
        // A helper that is in trouble looks into the queue when it is well again.
        if state.has_failed || is_recent(&place.silent(), PAUSE) {
            return;
        }
        match state.connections.pop().map_or_else(|| open(&place), Ok) {
            Ok(connection) => drop(Request::Queued.write(&mut Quiet(&connection))),
            Err(_) if self.start == HelperStart::Never => {}
            Err(error) if is_silence(&error) || is_recent(&place.attempt(), PAUSE) => {}
            // Nothing waits for it: it sends what it finds when it has started.
            Err(_) => drop(start(&place)),
        }
    }

    /// Whether anything is sent. A machine that would not believe its own results sends none.
    fn may_send(&self) -> bool {
        let servers = &self.config.remote.value.0;
        let is_reader =
            self.config.sign_key.value.is_none() && !self.config.trusted_keys.value.0.is_empty();
        !is_reader && servers.iter().any(|server| !server.read_only)
    }
}

/// Connects to the helper, and starts it if it does not run, whatever was tried before.
pub(super) fn start_and_connect(place: &HelperPlace, settings: &[u8]) -> io::Result<UnixStream> {
    place.prepare(settings)?;
    start(place)?;
    wait(place, START)
}

/// Connects to a helper that is starting.
fn wait(place: &HelperPlace, patience: Duration) -> io::Result<UnixStream> {
    let began = Instant::now();
    loop {
        let left = patience.saturating_sub(began.elapsed());
        match connect(place, left.max(STEP)) {
            Ok(connection) => return Ok(connection),
            Err(error) if left.is_zero() => return Err(error),
            Err(_) => thread::sleep(STEP),
        }
    }
}

fn exchange(
    connection: &mut UnixStream,
    request: &Request,
    left: Duration,
) -> io::Result<FetchAnswer> {
    connection.set_write_timeout(Some(left))?;
    request.write(&mut Quiet(connection))?;
    let answer = read_byte(connection, left)?;
    FetchAnswer::of(answer).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// Reads a byte for at most this time, however many signals the process gets.
fn read_byte(connection: &mut UnixStream, patience: Duration) -> io::Result<u8> {
    let began = Instant::now();
    let mut byte = [0];
    loop {
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(&mut byte) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes to a connection without SIGPIPE, which a program that is not ours may not ignore.
struct Quiet<'a>(&'a UnixStream);

impl Write for Quiet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to the helper of a place, and waits until it greets, as one that was stopped does not.
pub(super) fn connect(place: &HelperPlace, patience: Duration) -> io::Result<UnixStream> {
    let mut connection = open(place)?;
    match read_byte(&mut connection, patience)? {
        byte if [byte] == *GREETING => Ok(connection),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Whether an error is that of a helper that runs and does not answer.
pub(super) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Connects to the socket of a place without waiting: a helper that was stopped accepts nothing, and once its queue of
/// connections is full, waiting would have no end. A socket whose path is too long for an address is reached through the
/// descriptor of its directory.
fn open(place: &HelperPlace) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect};
    let mut path = place.socket();
    let directory = if path.as_os_str().len() < LONGEST_ADDRESS {
        None
    } else {
        Some(File::open(&place.directory)?)
    };
    if let Some(directory) = &directory {
        path = format!("/proc/self/fd/{}/socket", directory.as_raw_fd()).into();
    }
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let connection = UnixStream::from(socket);
    connection.set_nonblocking(false)?;
    Ok(connection)
}

/// Starts the helper, which goes on as a process of its own when `start` has ended.
fn start(place: &HelperPlace) -> io::Result<()> {
    fs::write(place.attempt(), "")?;
    let status = Command::new(find(place.program)?)
        .arg("start")
        .arg(&place.directory)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("the helper did not start"))
    }
}

/// Runs the helper in the foreground.
pub(super) fn run_helper(program: &str, arguments: &[&OsStr]) -> io::Result<ExitStatus> {
    Command::new(find(program)?).args(arguments).status()
}

/// The helper for the configured servers, beside this program or on PATH.
///
/// # Errors
/// There is none.
pub fn helper_program(config: &Config) -> io::Result<PathBuf> {
    find(program_for(config))
}

fn find(program: &str) -> io::Result<PathBuf> {
    let own = fs::read_link("/proc/self/exe")?;
    let beside = own.with_file_name(program);
    if beside.is_file() {
        return Ok(beside);
    }
    let found = which::which(program);
    found.map_err(|error| io::Error::other(format!("{program}: {error}")))
}

/// Whether the file was written within `time`.
fn is_recent(path: &Path, time: Duration) -> bool {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.map(|written| SystemTime::now().duration_since(written));
    // A time to come is that of a clock that was set back.
    age.is_ok_and(|age| age.is_ok_and(|age| age < time))
}
