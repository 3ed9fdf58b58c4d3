//! Reaches the helper: connects to its socket, and starts the program.

use super::place::{HelperPlace, LONGEST_ADDRESS, program_for};
use super::protocol::Greeting;
use crate::config::Config;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long `pcache remote` waits for a helper that it has started, and how often a connection is tried.
const START: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);

/// Connects to the helper, and starts it if it does not run, whatever was tried before.
pub(super) fn start_and_connect(place: &HelperPlace, settings: &[u8]) -> io::Result<UnixStream> {
    place.prepare(settings)?;
    start(place)?;
    wait(place, START).map(|(connection, _)| connection)
}

/// Connects to a helper that is starting.
pub(super) fn wait(place: &HelperPlace, patience: Duration) -> io::Result<(UnixStream, Greeting)> {
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

/// Reads as many bytes as `into` has room for, in at most this time, however many signals the process gets.
pub(super) fn read_all(
    mut connection: &UnixStream,
    mut into: &mut [u8],
    patience: Duration,
) -> io::Result<()> {
    let began = Instant::now();
    while !into.is_empty() {
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(into) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(size) => into = &mut into[size..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes to a connection without SIGPIPE, which a program that is not ours may not ignore.
pub(super) struct Quiet<'a>(pub(super) &'a UnixStream);

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
pub(super) fn connect(
    place: &HelperPlace,
    patience: Duration,
) -> io::Result<(UnixStream, Greeting)> {
    let connection = open(place)?;
    let mut greeting = [0];
    read_all(&connection, &mut greeting, patience)?;
    match Greeting::of(greeting[0]).ok_or(ErrorKind::InvalidData)? {
        Greeting::Busy => Err(ErrorKind::ResourceBusy.into()),
        greeting => Ok((connection, greeting)),
    }
}

/// Whether an error is that of a helper that runs and does not answer.
pub(super) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) || is_busy(error)
}

/// Whether it runs, and talks to as many compiles as it can.
pub(super) fn is_busy(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ResourceBusy
}

/// Connects to the socket of a place without waiting: a helper that was stopped accepts nothing, and once its queue of
/// connections is full, waiting would have no end. A socket whose path is too long for an address is reached through the
/// descriptor of its directory.
pub(super) fn open(place: &HelperPlace) -> io::Result<UnixStream> {
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
pub(super) fn start(place: &HelperPlace) -> io::Result<()> {
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
pub(super) fn is_recent(path: &Path, time: Duration) -> bool {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.map(|written| SystemTime::now().duration_since(written));
    // A time to come is that of a clock that was set back.
    age.is_ok_and(|age| age.is_ok_and(|age| age < time))
}
