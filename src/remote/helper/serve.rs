//! The process: started by a compile that finds none, it serves all compiles of one cache until it has been idle for a
//! while. Its settings come from a file beside its socket.

use super::companions::Companions;
use super::last_lookups::LastLookups;
use super::orphans::adopt_orphans;
use super::reach::SearchReach;
use super::server::Server;
use super::signature::SendingKey;
use super::transfer::{Transfer, UselessValues, WantedRecord};
use super::uploads::Uploads;
use crate::config::Config;
use crate::remote::place::{HelperPlace, LONGEST_ADDRESS};
use crate::remote::protocol::{Asker, FetchAnswer, Greeting, Request};
use crate::stats::Stats;
use crate::store::{FileStore, Name, RecordId, Worth};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the helper stays without a connection and with an empty queue.
const IDLE: Duration = Duration::from_secs(600);

/// How long it stays without a connection while no server takes what waits. The next compile starts it again; if there are
/// other settings by then, their helper takes over what waits.
const STUCK: Duration = Duration::from_secs(3600);

/// How often it looks for queues that other helpers have left.
const ADOPTION: Duration = Duration::from_secs(600);

/// How often it looks whether a server is to be probed.
const PROBE: Duration = Duration::from_millis(500);

/// How often it looks whether it is still wanted.
const ROUND: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};

/// More compiles of one user do not run at once on one machine; the others are not answered.
const MOST_CONNECTIONS: usize = 512;

/// How long it waits for open files to be closed.
const CROWDED: Duration = Duration::from_millis(50);

const UPLOADERS: usize = 2;

/// Starts the helper of a place as a process that belongs to no terminal, no job and no compile.
///
/// # Errors
/// The program cannot be started.
pub(super) fn start(directory: &Path) -> io::Result<()> {
    close_inherited()?;
    let own = fs::read_link("/proc/self/exe")?;
    Command::new(own)
        .arg("serve")
        .arg(directory)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(())
}

/// Closes what the compile has inherited from its build, such as the pipe of make's job slots: make would wait until the
/// helper ends.
fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|number| *number > 2) {
        // SAFETY: no object of this process owns a descriptor now: the listing above is closed, and nothing else has
        // been opened.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Serves the compiles that use this place. Returns when another process does so, or when there is nothing left to do.
///
/// # Errors
/// The settings cannot be read, the cache cannot be opened, or there can be no socket.
pub(super) fn serve(directory: &Path) -> io::Result<()> {
    let place = HelperPlace::at(directory.to_owned());
    let Some(_lock) = place.locked()? else {
        return Ok(());
    };
    let (config, _) = Config::from_variables(&place.settings()?);
    let transfer = transfer(&config)?;
    if transfer.is_sender() {
        adopt_orphans(&place, &config);
    }
    let helper = Arc::new(Helper {
        transfer,
        uploads: Uploads::of(place.queue()),
        lookups: LastLookups::default(),
        connections: AtomicUsize::new(0),
        began: Instant::now(),
    });
    let listener = bind(&place)?;
    // It answers now, so that it may be started again as soon as it has ended.
    for mark in [place.attempt(), place.silent()] {
        let _ = fs::remove_file(mark);
    }
    for _ in 0..UPLOADERS {
        let helper = Arc::clone(&helper);
        thread::spawn(move || helper.uploads.run(&helper.transfer));
    }
    let probing = Arc::clone(&helper);
    let own = place.clone();
    thread::spawn(move || probing.look_around_forever(&own, &config));
    helper.accept(&listener, &place)
}

/// The servers and the local cache that the settings name.
///
/// # Errors
/// One of them cannot be used.
pub(super) fn transfer(config: &Config) -> io::Result<Transfer> {
    let store = FileStore::from_config(config).map_err(io::Error::other)?;
    let stats = Arc::new(Stats::open(&config.dir.value));
    let wait = config.remote_wait.value.into();
    let servers = config.remote.value.0.iter();
    let servers = servers.map(|server| Server::new(server, wait, Arc::clone(&stats)));
    let servers: Vec<Server> = servers
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    let key = config.sign_key.value.as_deref().map(SendingKey::read);
    Ok(Transfer {
        store,
        servers,
        key: key.transpose()?,
        trusted: config.trusted_keys.value.clone(),
        useless: UselessValues::default(),
        companions: Companions::default(),
    })
}

/// The socket, in the place of that of a helper that has ended.
fn bind(place: &HelperPlace) -> io::Result<UnixListener> {
    let socket = place.socket();
    let _ = fs::remove_file(&socket);
    let listener = if socket.as_os_str().len() < LONGEST_ADDRESS {
        UnixListener::bind(&socket)?
    } else {
        let directory = File::open(&place.directory)?;
        UnixListener::bind(format!("/proc/self/fd/{}/socket", directory.as_raw_fd()))?
    };
    fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
    Ok(listener)
}

struct Helper {
    transfer: Transfer,
    uploads: Uploads,
    lookups: LastLookups,
    connections: AtomicUsize,
    began: Instant,
}

impl Helper {
    fn accept(self: &Arc<Self>, listener: &UnixListener, place: &HelperPlace) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let mut last_used = Instant::now();
        let own = identity(&place.socket());
        loop {
            let mut ready = [PollFd::new(listener, PollFlags::IN)];
            match poll(&mut ready, Some(&ROUND)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match listener.accept() {
                Ok((connection, _)) => {
                    last_used = Instant::now();
                    self.answer(connection);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Such as too many open files: the connection still waits, so `poll` would return at once.
                Err(_) => thread::sleep(CROWDED),
            }
            let is_connected = self.connections.load(Ordering::Relaxed) > 0;
            if is_connected || (self.uploads.waiting() > 0 && self.transfer.may_send()) {
                last_used = Instant::now();
            }
            let is_stuck = last_used.elapsed() > STUCK;
            if is_stuck
                || (last_used.elapsed() > IDLE && self.uploads.waiting() == 0)
                || identity(&place.socket()) != own
            {
                return Ok(());
            }
        }
    }

    /// Answers one compile in a thread of its own.
    fn answer(self: &Arc<Self>, connection: UnixStream) {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            let mut connection = connection;
            let _ = connection.write_all(&[Greeting::Busy.byte()]);
            return;
        }
        let helper = Arc::clone(self);
        let converse = move || {
            // A compile that has gone needs no answer.
            let _ = helper.converse(connection);
            helper.connections.fetch_sub(1, Ordering::Relaxed);
        };
        // The system may allow no more threads.
        if thread::Builder::new().spawn(converse).is_err() {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn converse(&self, mut connection: UnixStream) -> io::Result<()> {
        connection.set_nonblocking(false)?;
        // The write fails if the compile has sent its request and closed the connection; the request can still be read.
        let _ = connection.write_all(&[self.lookups.greeting().byte()]);
        while let Some(request) = Request::read(&mut connection)? {
            match request {
                Request::Fetch(asker, wanted) => {
                    let began = Instant::now();
                    let nowhere = SearchReach::default();
                    let of = |id| WantedRecord::of(id, &nowhere);
                    let answers = self.fetch_all(wanted.iter().map(of));
                    self.say(&mut connection, &answers, asker, began)?;
                }
                Request::FetchDirect(asker, id) => {
                    let reach = SearchReach::default();
                    self.answer_direct(&mut connection, asker, &id, &reach)?;
                }
                Request::FetchList(asker, id, named) => {
                    let reach = SearchReach::of(&named);
                    self.answer_direct(&mut connection, asker, &id, &reach)?;
                }
                Request::FetchNamed(wanted, directory) => {
                    let reach = SearchReach::of(&[directory]);
                    let named =
                        |(worth, name): &(Worth, Name)| WantedRecord::named(*worth, *name, &reach);
                    let answers = self.fetch_all(wanted.iter().map(named));
                    connection.write_all(&answers)?;
                }
                Request::Queued => self.uploads.tell(),
                Request::Status => {
                    connection.write_all(&serde_json::to_vec(&self.status())?)?;
                    return Ok(());
                }
                Request::Stop => process::exit(0),
            }
        }
        Ok(())
    }

    fn answer_direct(
        &self,
        connection: &mut UnixStream,
        asker: Asker,
        id: &RecordId,
        reach: &SearchReach,
    ) -> io::Result<()> {
        let began = Instant::now();
        let answer = self.transfer.fetch(WantedRecord::of(id, reach));
        self.lookups.note(answer);
        self.say(connection, &[answer.byte()], asker, began)
    }

    /// Asks for records side by side. Returns the bytes of the answers.
    fn fetch_all<'w>(&self, wanted: impl Iterator<Item = WantedRecord<'w>>) -> Vec<u8> {
        let fetch = |wanted| self.transfer.fetch(wanted).byte();
        let mut wanted: Vec<_> = wanted.collect();
        let Some(last) = wanted.pop() else {
            return Vec::new();
        };
        thread::scope(|scope| {
            let fetch = &fetch;
            let others = wanted.into_iter().map(|one| {
                let started = thread::Builder::new().spawn_scoped(scope, move || fetch(one));
                (one, started)
            });
            // Started before the last one is asked for here.
            let others: Vec<_> = others.collect();
            let last = fetch(last);
            let others = others.into_iter().map(|(one, started)| match started {
                Ok(started) => started.join().unwrap_or(FetchAnswer::Failed.byte()),
                // The system may allow no more threads.
                Err(_) => fetch(one),
            });
            others.chain([last]).collect()
        })
    }

    /// Tells a compile what came of its request. If it has given up waiting, the servers hear of it: each of their answers
    /// may have come in time, and yet all of them too late.
    fn say(
        &self,
        connection: &mut UnixStream,
        answers: &[u8],
        asker: Asker,
        began: Instant,
    ) -> io::Result<()> {
        let said = connection.write_all(answers);
        if said.is_err() && asker == Asker::Waits {
            let (waited, servers) = (began.elapsed(), &self.transfer.servers);
            let is_alone = servers.len() == 1;
            servers
                .iter()
                .for_each(|server| server.note_given_up(waited, is_alone));
        }
        said
    }

    fn status(&self) -> HelperStatus {
        let servers = self.transfer.servers.iter().map(|server| ServerStatus {
            url: server.settings.shown(),
            read_only: server.settings.read_only,
            is_asked: server.fetch_breaker.is_closed(),
            is_sent_to: !server.settings.read_only && server.send_breaker.is_closed(),
            last_error: server
                .fetch_breaker
                .last_error()
                .or_else(|| server.send_breaker.last_error()),
        });
        HelperStatus {
            pid: process::id(),
            seconds: self.began.elapsed().as_secs(),
            queued: self.uploads.waiting() as u64,
            signs_as: self.transfer.key.as_ref().map(SendingKey::public),
            servers: servers.collect(),
        }
    }

    /// Probes servers that were left alone, and looks for queues that other helpers have left.
    fn look_around_forever(&self, place: &HelperPlace, config: &Config) {
        let mut last_look = Instant::now();
        loop {
            thread::sleep(PROBE);
            self.transfer.servers.iter().for_each(Server::probe);
            if last_look.elapsed() > ADOPTION && self.transfer.is_sender() {
                last_look = Instant::now();
                adopt_orphans(place, config);
            }
        }
    }
}

/// Which file the socket at this path is: a user may have removed the cache, and another helper may have made a new one.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The shape of `pcache remote status --json`.
#[derive(Debug, Serialize)]
struct HelperStatus {
    pid: u32,
    /// How long it has run.
    seconds: u64,
    /// Compiles whose results wait to be sent.
    queued: u64,
    /// The public key of its signatures.
    signs_as: Option<String>,
    servers: Vec<ServerStatus>,
}

#[derive(Debug, Serialize)]
struct ServerStatus {
    url: String,
    read_only: bool,
    /// Not while it is left alone after failures.
    is_asked: bool,
    is_sent_to: bool,
    last_error: Option<String>,
}

/// Asks every server of a place, writes and reads a small value where that is allowed, and says what came of it.
///
/// # Errors
/// The settings cannot be read, or a server cannot be used.
pub(super) fn test(directory: &Path) -> io::Result<()> {
    let place = HelperPlace::at(directory.to_owned());
    let (config, _) = Config::from_variables(&place.settings()?);
    let transfer = transfer(&config)?;
    let mut failed = 0;
    for server in &transfer.servers {
        let url = server.settings.shown();
        match server.test() {
            Ok(milliseconds) => writeln!(io::stdout(), "{url}: works, {milliseconds:.1} ms")?,
            Err(error) => {
                failed += 1;
                writeln!(io::stdout(), "{url}: {error}")?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        1 => Err(io::Error::other("one server cannot be used")),
        _ => Err(io::Error::other(format!("{failed} servers cannot be used"))),
    }
}

/// Makes a signing key in a new file. Returns the public key.
///
/// # Errors
/// The file exists or cannot be written, or the name is none for a key.
pub(super) fn keygen(name: &str, path: &Path) -> io::Result<String> {
    let text = SendingKey::generate(name)?;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    SendingKey::read(path).map(|key| key.public())
}
