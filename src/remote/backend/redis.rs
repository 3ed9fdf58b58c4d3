//! Redis, Valkey and other servers with their protocol. A value `main/ac/…` is under the key `pcache/main/ac/…`.
//! Servers that are part of a cluster refuse names of which others are in charge; such a refusal is an error.

use super::contract::check_name;
use super::deadline::Deadline;
use super::error::visible_words;
use super::resp::{Reply, ReplyError, read_reply, write_request};
use super::socket::{Address, Line, PhaseOver, tls_config};
use super::url::ServerUrl;
use super::{BackendError, BadUrl, RemoteBackend, ServerFault, TimeoutPhase, Timeouts};
use std::io::{self, BufRead as _, BufReader, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Precedes the name in every key.
const PREFIX: &str = "pcache/";
const PORT: u16 = 6379;
/// Connections that are kept open while no call uses them.
const MOST_IDLE: usize = 16;
/// The size limit of replies other than values.
const NO_VALUE: u64 = 4096;

/// A server of Redis's kind.
pub(super) struct RedisBackend {
    address: Address,
    server: String,
    /// What a new connection is told first, such as a password.
    greetings: Vec<Vec<Vec<u8>>>,
    /// Seconds until the server forgets a value.
    ttl: Option<String>,
    timeouts: Timeouts,
    idle: Mutex<Vec<BufReader<Line>>>,
}

/// Why a connection gave no reply.
enum ExchangeFault {
    /// It ended before the first byte of the reply: if it had been idle, it may have been closed long ago.
    Closed(String),
    Over(TimeoutPhase),
    Garbled(String),
    TooLarge(u64),
    Tls(String),
}

impl RedisBackend {
    pub(super) fn new(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        let by_socket = matches!(url.scheme.as_str(), "redis+unix" | "unix");
        let by_tls = url.scheme == "rediss";
        let (address, database) = if by_socket {
            url.check_parameters(&["db", "ttl"])?;
            let address = Address::Unix(url.local_path()?.into());
            (address, url.parameter("db").unwrap_or_default())
        } else {
            let known: &[&str] = if by_tls { &["ca", "ttl"] } else { &["ttl"] };
            url.check_parameters(known)?;
            url.check_host()?;
            let tls = by_tls.then(|| tls_config(url.parameter("ca")));
            let address = Address::Tcp {
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
        })
    }

    /// Sends a command and reads its reply, over an idle connection if there is one that still works.
    fn call(&self, parts: &[&[u8]], most: u64) -> Result<Reply, BackendError> {
        let deadline = Deadline::start(self.timeouts);
        let idle = self.lock().pop();
        if let Some(connection) = idle {
            match self.exchange_and_keep(connection, parts, most, deadline) {
                // The server was started again, or ends idle connections: the others are dead, too.
                Err(ExchangeFault::Closed(_)) => self.lock().clear(),
                done => return self.judge(done),
            }
        }
        let connection = self.connect(deadline.enter(TimeoutPhase::Connect))?;
        self.judge(self.exchange_and_keep(connection, parts, most, deadline))
    }

    fn exchange_and_keep(
        &self,
        mut connection: BufReader<Line>,
        parts: &[&[u8]],
        most: u64,
        deadline: Deadline,
    ) -> Result<Reply, ExchangeFault> {
        let reply = exchange(&mut connection, parts, most, deadline)?;
        let mut idle = self.lock();
        // Bytes that belong to no request would be taken for the next reply.
        if connection.buffer().is_empty() && idle.len() < MOST_IDLE {
            idle.push(connection);
        }
        Ok(reply)
    }

    fn connect(&self, deadline: Deadline) -> Result<BufReader<Line>, BackendError> {
        let line = Line::open(&self.address, deadline)
            .map_err(|error| self.name(fault_of(error, ExchangeFault::Closed)))?;
        let mut connection = BufReader::new(line);
        for greeting in &self.greetings {
            let parts: Vec<&[u8]> = greeting.iter().map(Vec::as_slice).collect();
            let reply = greet(&mut connection, &parts, deadline);
            match self.judge(reply)? {
                Reply::Status(_) => {}
                reply => return Err(self.unexpected(&reply)),
            }
        }
        Ok(connection)
    }

    /// Tells refusals from replies.
    fn judge(&self, done: Result<Reply, ExchangeFault>) -> Result<Reply, BackendError> {
        match done {
            Ok(Reply::Refused(words)) => Err(refusal(self.fault(&words), &words)),
            Ok(reply) => Ok(reply),
            Err(fault) => Err(self.name(fault)),
        }
    }

    fn name(&self, fault: ExchangeFault) -> BackendError {
        match fault {
            ExchangeFault::Closed(why) => BackendError::Unreachable(self.fault(&why)),
            ExchangeFault::Over(phase) => BackendError::Timeout {
                server: self.server.clone(),
                phase,
                limit: self.timeouts.of(phase),
            },
            ExchangeFault::Garbled(why) => BackendError::Garbled(self.fault(&why)),
            ExchangeFault::TooLarge(size) => {
                BackendError::TooLarge(self.fault(&format!("the value has {size} bytes")))
            }
            ExchangeFault::Tls(why) => BackendError::Tls(self.fault(&why)),
        }
    }

    fn fault(&self, why: &str) -> ServerFault {
        ServerFault {
            server: self.server.clone(),
            why: visible_words(why),
        }
    }

    fn unexpected(&self, reply: &Reply) -> BackendError {
        let kind = match reply {
            Reply::Status(_) => "a status",
            Reply::Refused(_) => "a refusal",
            Reply::Number(_) => "a number",
            Reply::Bulk(_) => "a value",
            Reply::Missing => "no value",
        };
        BackendError::Garbled(self.fault(&format!("{kind} where another reply belongs")))
    }

    fn key(&self, name: &str) -> Result<String, BackendError> {
        check_name(&self.server, name)?;
        Ok(format!("{PREFIX}{name}"))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<BufReader<Line>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RemoteBackend for RedisBackend {
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        let key = self.key(name)?;
        match self.call(&[b"GET", key.as_bytes()], most)? {
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
        match self.call(&parts, NO_VALUE)? {
            Reply::Status(_) => Ok(()),
            reply => Err(self.unexpected(&reply)),
        }
    }

    fn has(&self, name: &str) -> Result<bool, BackendError> {
        let key = self.key(name)?;
        match self.call(&[b"EXISTS", key.as_bytes()], NO_VALUE)? {
            Reply::Number(found) => Ok(found > 0),
            reply => Err(self.unexpected(&reply)),
        }
    }

    fn probe(&self) -> Result<(), BackendError> {
        match self.call(&[b"PING"], NO_VALUE)? {
            Reply::Status(_) => Ok(()),
            reply => Err(self.unexpected(&reply)),
        }
    }
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
    connection: &mut BufReader<Line>,
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
    connection: &mut BufReader<Line>,
    parts: &[&[u8]],
    deadline: Deadline,
) -> Result<Reply, ExchangeFault> {
    let closed = |error| fault_of(error, ExchangeFault::Closed);
    connection.get_mut().keep_to(deadline);
    write_request(connection.get_mut(), parts).map_err(closed)?;
    await_reply(connection).map_err(closed)?;
    read_rest(connection, NO_VALUE)
}

/// Waits for the first byte.
fn await_reply(connection: &mut BufReader<Line>) -> io::Result<()> {
    match connection.fill_buf() {
        Ok([]) => Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the server closed the connection",
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

fn read_rest(connection: &mut BufReader<Line>, most: u64) -> Result<Reply, ExchangeFault> {
    read_reply(connection, most).map_err(|error| match error {
        ReplyError::Io(error) => fault_of(error, |why| {
            ExchangeFault::Garbled(format!("it ended before its end: {why}"))
        }),
        ReplyError::Malformed(why) => ExchangeFault::Garbled(why),
        ReplyError::TooLarge(size) => ExchangeFault::TooLarge(size),
    })
}

/// Tells timeouts and errors of TLS from those that `other` names.
fn fault_of(error: io::Error, other: impl Fn(String) -> ExchangeFault) -> ExchangeFault {
    let inner = error.get_ref();
    if let Some(PhaseOver(phase)) = inner.and_then(|inner| inner.downcast_ref()) {
        return ExchangeFault::Over(*phase);
    }
    if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return ExchangeFault::Tls(tls.to_string());
    }
    other(error.to_string())
}

/// The kind of an error reply, by its first word.
fn refusal(fault: ServerFault, words: &str) -> BackendError {
    let retry_after = None;
    match words.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" | "READONLY" => BackendError::Denied(fault),
        "OOM" | "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" => {
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
