//! Redis, Valkey and other servers with their protocol. A value `main/ac/…` is under the key `pcache/main/ac/…`.
//! If the server is part of a cluster, the others are found through it, and logged in to in the same way.

use super::cluster::{ClusterSlots, Moved};
use super::contract::check_name;
use super::deadline::Deadline;
use super::error::visible_words;
use super::exchange::{ExchangeFault, await_reply, fault_of};
use super::resp::{Reply, ReplyError, read_reply, write_request};
use super::socket::{ServerAddress, ServerStream, tls_config};
use super::url::ServerUrl;
use super::{BackendError, BadUrl, RemoteBackend, ServerFault, TimeoutPhase, Timeouts};
use std::io::BufReader;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Precedes the name in every key.
const PREFIX: &str = "pcache/";
const PORT: u16 = 6379;
/// Connections that are kept open while no call uses them.
const MOST_IDLE: usize = 16;
/// Servers of a cluster that one call may be sent to in turn.
const MOST_MOVES: usize = 4;
/// The size limit of replies other than values.
const NO_VALUE: u64 = 4096;

/// A server of Redis's kind.
pub(super) struct RedisBackend {
    address: ServerAddress,
    server: String,
    /// What a new connection is told first, such as a password.
    greetings: Vec<Vec<Vec<u8>>>,
    /// Seconds until the server forgets a value.
    ttl: Option<String>,
    timeouts: Timeouts,
    idle: Mutex<Vec<Idle>>,
    slots: Mutex<ClusterSlots>,
}

/// An open connection that no call uses.
struct Idle {
    address: ServerAddress,
    connection: BufReader<ServerStream>,
}

impl RedisBackend {
    pub(super) fn new(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        let by_socket = matches!(url.scheme.as_str(), "redis+unix" | "unix");
        let by_tls = url.scheme == "rediss";
        let (address, database) = if by_socket {
            url.check_parameters(&["db", "ttl"])?;
            let address = ServerAddress::Unix(url.local_path()?.into());
            (address, url.parameter("db").unwrap_or_default())
        } else {
            let known: &[&str] = if by_tls { &["ca", "ttl"] } else { &["ttl"] };
            url.check_parameters(known)?;
            url.check_host()?;
            let tls = by_tls.then(|| tls_config(url.parameter("ca")));
            let address = ServerAddress::Tcp {
                host: url.host.clone(),
                port: url.port.unwrap_or(PORT),
                tls: tls.transpose()?,
            };
            (address, url.path.trim_matches('/'))
        };
        Ok(Self {
            server: address.to_string(),
            address,
            greetings: greetings(url, database)?,
            ttl: url.parameter("ttl").map(check_ttl).transpose()?,
            timeouts,
            idle: Mutex::default(),
            slots: Mutex::default(),
        })
    }

    /// Sends a command about a key and reads its reply. In a cluster, follows the key to its server.
    fn call(&self, key: &str, parts: &[&[u8]], most: u64) -> Result<Reply, BackendError> {
        let deadline = Deadline::start(self.timeouts);
        let mut address = self.address_of(key);
        for _ in 0..MOST_MOVES {
            let done = self.call_at(&address, parts, most, deadline);
            let moved = match &done {
                Ok(Reply::Refused(words)) => Moved::read(words, address.host()),
                _ => None,
            };
            let Some(moved) = moved else {
                if matches!(done, Err(ExchangeFault::Closed(_) | ExchangeFault::Over(_))) {
                    self.forget(&address);
                }
                return self.judge(done);
            };
            address = self.address.at(&moved.host, moved.port);
            lock(&self.slots).learn(moved);
        }
        Err(BackendError::Busy {
            fault: self.fault("the cluster moves keys"),
            retry_after: None,
        })
    }

    /// The server for a key.
    fn address_of(&self, key: &str) -> ServerAddress {
        match lock(&self.slots).home_of(key.as_bytes()) {
            Some((host, port)) => self.address.at(&host, port),
            None => self.address.clone(),
        }
    }

    fn forget(&self, address: &ServerAddress) {
        if let ServerAddress::Tcp { host, port, .. } = address {
            lock(&self.slots).forget(host, *port);
        }
    }

    /// Sends a command to one server, over an idle connection if there is one that still works.
    fn call_at(
        &self,
        address: &ServerAddress,
        parts: &[&[u8]],
        most: u64,
        deadline: Deadline,
    ) -> Result<Reply, ExchangeFault> {
        if let Some(mut connection) = self.take_idle(address) {
            match exchange(&mut connection, parts, most, deadline) {
                // The server was started again, or ends idle connections: the others are dead, too.
                Err(ExchangeFault::Closed(_)) => {
                    lock(&self.idle).retain(|idle| !idle.address.is_same(address));
                }
                done => {
                    self.keep(address, connection, &done);
                    return done;
                }
            }
        }
        let mut connection = match self.connect(address, deadline.enter(TimeoutPhase::Connect))? {
            Greeted::In(connection) => connection,
            Greeted::Refused(words) => return Ok(Reply::Refused(words)),
        };
        let done = exchange(&mut connection, parts, most, deadline);
        self.keep(address, connection, &done);
        done
    }

    fn take_idle(&self, address: &ServerAddress) -> Option<BufReader<ServerStream>> {
        let mut idle = lock(&self.idle);
        let at = idle.iter().rposition(|idle| idle.address.is_same(address));
        at.map(|at| idle.remove(at).connection)
    }

    /// Keeps a connection for later calls if its last reply was complete.
    fn keep(
        &self,
        address: &ServerAddress,
        connection: BufReader<ServerStream>,
        done: &Result<Reply, ExchangeFault>,
    ) {
        let mut idle = lock(&self.idle);
        // Bytes that belong to no request would be taken for the next reply.
        if done.is_ok() && connection.buffer().is_empty() && idle.len() < MOST_IDLE {
            let address = address.clone();
            idle.push(Idle {
                address,
                connection,
            });
        }
    }

    /// Opens a connection and logs in.
    fn connect(
        &self,
        address: &ServerAddress,
        deadline: Deadline,
    ) -> Result<Greeted, ExchangeFault> {
        let line = ServerStream::open(address, deadline);
        let line = line.map_err(|error| fault_of(error, ExchangeFault::Closed))?;
        let mut connection = BufReader::new(line);
        for greeting in &self.greetings {
            let parts: Vec<&[u8]> = greeting.iter().map(Vec::as_slice).collect();
            match greet(&mut connection, &parts, deadline)? {
                Reply::Status(_) => {}
                Reply::Refused(words) => return Ok(Greeted::Refused(words)),
                reply => return Err(ExchangeFault::Garbled(unexpected(&reply))),
            }
        }
        Ok(Greeted::In(connection))
    }

    /// Tells refusals from replies.
    fn judge(&self, done: Result<Reply, ExchangeFault>) -> Result<Reply, BackendError> {
        match done {
            Ok(Reply::Refused(words)) => Err(refusal(self.fault(&words), &words)),
            Ok(reply) => Ok(reply),
            Err(fault) => Err(fault.name(&self.server, &self.timeouts)),
        }
    }

    fn fault(&self, why: &str) -> ServerFault {
        ServerFault {
            server: self.server.clone(),
            why: visible_words(why),
        }
    }

    fn unexpected(&self, reply: &Reply) -> BackendError {
        BackendError::Garbled(self.fault(&unexpected(reply)))
    }

    fn key(&self, name: &str) -> Result<String, BackendError> {
        check_name(&self.server, name)?;
        Ok(format!("{PREFIX}{name}"))
    }
}

impl RemoteBackend for RedisBackend {
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        let key = self.key(name)?;
        match self.call(&key, &[b"GET", key.as_bytes()], most)? {
            Reply::Bulk(value) => Ok(Some(value)),
            Reply::Missing => Ok(None),
            reply => Err(self.unexpected(&reply)),
        }
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), BackendError> {
        let key = self.key(name)?;
        let mut parts = vec![b"SET", key.as_bytes(), value];
        if let Some(ttl) = &self.ttl {
            parts.extend([b"EX".as_slice(), ttl.as_bytes()]);
        }
        match self.call(&key, &parts, NO_VALUE)? {
            Reply::Status(_) => Ok(()),
            reply => Err(self.unexpected(&reply)),
        }
    }

    fn has(&self, name: &str) -> Result<bool, BackendError> {
        let key = self.key(name)?;
        match self.call(&key, &[b"EXISTS", key.as_bytes()], NO_VALUE)? {
            Reply::Number(found) => Ok(found > 0),
            reply => Err(self.unexpected(&reply)),
        }
    }

    fn probe(&self) -> Result<(), BackendError> {
        match self.call("", &[b"PING"], NO_VALUE)? {
            Reply::Status(_) => Ok(()),
            reply => Err(self.unexpected(&reply)),
        }
    }
}

/// A new connection after the login.
enum Greeted {
    In(BufReader<ServerStream>),
    Refused(String),
}

fn unexpected(reply: &Reply) -> String {
    let kind = match reply {
        Reply::Status(_) => "a status",
        Reply::Refused(_) => "a refusal",
        Reply::Number(_) => "a number",
        Reply::Bulk(_) => "a value",
        Reply::Missing => "no value",
    };
    format!("{kind} where another reply belongs")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The commands that log in and choose the database.
fn greetings(url: &ServerUrl, database: &str) -> Result<Vec<Vec<Vec<u8>>>, BadUrl> {
    let mut greetings = Vec::new();
    if let Some(password) = &url.password {
        let words = [Some("AUTH"), url.user.as_deref(), Some(password)];
        greetings.push(words.into_iter().flatten().map(Into::into).collect());
    } else if url.user.is_some() {
        return Err(BadUrl::new("a user of Redis needs a password"));
    }
    if !database.is_empty() {
        let number: u32 = database
            .parse()
            .map_err(|_| BadUrl::new("the database of Redis is not a number"))?;
        if number > 0 {
            greetings.push(vec![b"SELECT".to_vec(), number.to_string().into_bytes()]);
        }
    }
    Ok(greetings)
}

fn check_ttl(text: &str) -> Result<String, BadUrl> {
    match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(seconds.to_string()),
        _ => Err(BadUrl::new("ttl is not a number of seconds")),
    }
}

/// Sends a command and reads its reply before the end of the call.
fn exchange(
    connection: &mut BufReader<ServerStream>,
    parts: &[&[u8]],
    most: u64,
    deadline: Deadline,
) -> Result<Reply, ExchangeFault> {
    let closed = |error| fault_of(error, ExchangeFault::Closed);
    connection.get_mut().keep_to(deadline);
    write_request(connection.get_mut(), parts).map_err(closed)?;
    let waiting = deadline.enter(TimeoutPhase::FirstByte);
    connection.get_mut().keep_to(waiting);
    await_reply(connection).map_err(closed)?;
    connection.get_mut().keep_to(deadline);
    read_rest(connection, most)
}

/// Sends a command of the login and reads its reply before `deadline`, which is that of the connection.
fn greet(
    connection: &mut BufReader<ServerStream>,
    parts: &[&[u8]],
    deadline: Deadline,
) -> Result<Reply, ExchangeFault> {
    let closed = |error| fault_of(error, ExchangeFault::Closed);
    connection.get_mut().keep_to(deadline);
    write_request(connection.get_mut(), parts).map_err(closed)?;
    await_reply(connection).map_err(closed)?;
    read_rest(connection, NO_VALUE)
}

fn read_rest(connection: &mut BufReader<ServerStream>, most: u64) -> Result<Reply, ExchangeFault> {
    read_reply(connection, most).map_err(|error| match error {
        ReplyError::Io(error) => fault_of(error, |why| {
            ExchangeFault::Garbled(format!("it ended before its end: {why}"))
        }),
        ReplyError::Malformed(why) => ExchangeFault::Garbled(why),
        ReplyError::TooLarge(size) => ExchangeFault::TooLarge(size),
    })
}

/// The kind of an error reply, by its first word.
fn refusal(fault: ServerFault, words: &str) -> BackendError {
    let retry_after = None;
    match words.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" | "READONLY" => BackendError::Denied(fault),
        "OOM" | "LOADING" | "BUSY" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" => {
            BackendError::Busy { fault, retry_after }
        }
        "ERR" if words.contains("max number of clients") => {
            BackendError::Busy { fault, retry_after }
        }
        "ERR" if words.contains("AUTH") || words.contains("invalid password") => {
            BackendError::Denied(fault)
        }
        "ERR" if words.contains("invalid bulk length") || words.contains("string exceeds") => {
            BackendError::TooLarge(fault)
        }
        _ => BackendError::Server(fault),
    }
}
