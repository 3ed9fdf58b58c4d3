//! memcached, by its text protocol. A value `main/ac/…` is under the key `pcache/main/ac/…`.
//!
//! A server takes no value of more than 1 MiB unless it was started with `-I`. The client in OpenDAL is not used: it
//! takes host names for invalid, believes any length, and after a call that was given up, it takes the reply of one
//! request for that of another.

use super::contract::check_name;
use super::deadline::Deadline;
use super::error::visible_words;
use super::exchange::{ExchangeFault, await_reply, fault_of};
use super::socket::{ServerAddress, ServerStream};
use super::url::ServerUrl;
use super::{BackendError, BadUrl, RemoteBackend, ServerFault, TimeoutPhase, Timeouts};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Precedes the name in every key.
const PREFIX: &str = "pcache/";
const PORT: u16 = 11211;
/// The longest key of the protocol.
const LONGEST_KEY: usize = 250;
/// More seconds are taken for a date.
const MOST_TTL: u32 = 30 * 24 * 60 * 60;
/// Connections that are kept open while no call uses them.
const MOST_IDLE: usize = 16;
/// The longest first line of a reply.
const MOST_OF_LINE: u64 = 4096;
/// Memory that is reserved because a server says that so much will come.
const RESERVED: u64 = 1024 * 1024;

/// A server of memcached.
pub(super) struct MemcachedBackend {
    address: ServerAddress,
    server: String,
    /// Seconds until the server forgets a value; 0 if it need not.
    ttl: u32,
    timeouts: Timeouts,
    idle: Mutex<Vec<BufReader<ServerStream>>>,
}

/// The first line of a reply, and the value behind it.
struct CachedReply {
    line: String,
    value: Option<Vec<u8>>,
}

impl MemcachedBackend {
    pub(super) fn new(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        url.check_parameters(&["ttl"])?;
        url.check_host()?;
        if url.user.is_some() || url.password.is_some() {
            return Err(BadUrl::new("memcached:// takes no user and no password"));
        }
        if !url.path.trim_matches('/').is_empty() {
            return Err(BadUrl::new("memcached:// takes no path"));
        }
        let ttl = url.parameter("ttl").unwrap_or("0").parse();
        let ttl = ttl.ok().filter(|seconds| *seconds <= MOST_TTL);
        let ttl = ttl.ok_or_else(|| BadUrl::new("ttl is not a number of seconds in 30 days"))?;
        let address = ServerAddress::Tcp {
            host: url.host.clone(),
            port: url.port.unwrap_or(PORT),
            tls: None,
        };
        Ok(Self {
            server: address.to_string(),
            address,
            ttl,
            timeouts,
            idle: Mutex::default(),
        })
    }

    /// Sends a request and reads its reply, over an idle connection if there is one that still works.
    fn call(&self, request: &[&[u8]], most: u64) -> Result<CachedReply, BackendError> {
        let deadline = Deadline::start(self.timeouts);
        let done = self.call_before(deadline, request, most);
        let reply = done.map_err(|fault| fault.name(&self.server, &self.timeouts))?;
        match reply.line.split(' ').next().unwrap_or_default() {
            "ERROR" | "CLIENT_ERROR" | "SERVER_ERROR" => Err(self.refusal(&reply.line)),
            _ => Ok(reply),
        }
    }

    fn call_before(
        &self,
        deadline: Deadline,
        request: &[&[u8]],
        most: u64,
    ) -> Result<CachedReply, ExchangeFault> {
        let free = self.lock().pop();
        if let Some(mut connection) = free {
            match exchange(&mut connection, request, most, deadline) {
                // The server was started again, or ends idle connections: the others are dead, too.
                Err(ExchangeFault::Closed(_)) => self.lock().clear(),
                done => {
                    self.keep(connection, &done);
                    return done;
                }
            }
        }
        let stream = ServerStream::open(&self.address, deadline.enter(TimeoutPhase::Connect));
        let stream = stream.map_err(|error| fault_of(error, ExchangeFault::Closed))?;
        let mut connection = BufReader::new(stream);
        let done = exchange(&mut connection, request, most, deadline);
        self.keep(connection, &done);
        done
    }

    /// Keeps a connection for later calls if its last reply was complete. After an error, a part of the request may
    /// have been taken for further requests.
    fn keep(&self, connection: BufReader<ServerStream>, done: &Result<CachedReply, ExchangeFault>) {
        let is_whole = matches!(done, Ok(reply) if !reply.line.contains("ERROR"));
        let mut idle = self.lock();
        if is_whole && connection.buffer().is_empty() && idle.len() < MOST_IDLE {
            idle.push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<BufReader<ServerStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: &str) -> Result<String, BackendError> {
        check_name(&self.server, name)?;
        let key = format!("{PREFIX}{name}");
        if key.len() > LONGEST_KEY {
            let why = format!("memcached has no keys of {} bytes", key.len());
            return Err(BackendError::Denied(self.fault(&why)));
        }
        Ok(key)
    }

    fn refusal(&self, line: &str) -> BackendError {
        let fault = self.fault(line);
        let retry_after = None;
        if line.contains("too large") {
            BackendError::TooLarge(fault)
        } else if line.contains("out of memory") {
            BackendError::Full(fault)
        } else if line.contains("Too many open connections") {
            BackendError::Busy { fault, retry_after }
        } else if line.contains("unauthenticated") {
            BackendError::Denied(fault)
        } else {
            BackendError::Server(fault)
        }
    }

    fn unexpected(&self, reply: &CachedReply) -> BackendError {
        let start: String = reply.line.chars().take(40).collect();
        BackendError::Garbled(self.fault(&format!("not a reply that belongs here: {start:?}")))
    }

    fn fault(&self, why: &str) -> ServerFault {
        ServerFault {
            server: self.server.clone(),
            why: visible_words(why),
        }
    }
}

impl RemoteBackend for MemcachedBackend {
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        let key = self.key(name)?;
        let reply = self.call(&[b"get ", key.as_bytes(), b"\r\n"], most)?;
        // A reply to another request has another key.
        match (reply.line.split(' ').nth(1), reply.value) {
            (Some(found), Some(value)) if found == key => Ok(Some(value)),
            (None, None) if reply.line == "END" => Ok(None),
            (_, value) => Err(self.unexpected(&CachedReply { value, ..reply })),
        }
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), BackendError> {
        let key = self.key(name)?;
        let head = format!("set {key} 0 {} {}\r\n", self.ttl, value.len());
        let reply = self.call(&[head.as_bytes(), value, b"\r\n"], 0)?;
        match reply.line.as_str() {
            "STORED" => Ok(()),
            _ => Err(self.unexpected(&reply)),
        }
    }

    fn has(&self, name: &str) -> Result<bool, BackendError> {
        let key = self.key(name)?;
        let reply = self.call(&[b"mg ", key.as_bytes(), b"\r\n"], 0)?;
        match reply.line.as_str() {
            "HD" => Ok(true),
            "EN" => Ok(false),
            _ => Err(self.unexpected(&reply)),
        }
    }

    fn probe(&self) -> Result<(), BackendError> {
        let reply = self.call(&[b"version\r\n"], 0)?;
        if reply.line.starts_with("VERSION ") {
            return Ok(());
        }
        Err(self.unexpected(&reply))
    }
}

/// Sends a request and reads its reply before the end of the call.
fn exchange(
    connection: &mut BufReader<ServerStream>,
    request: &[&[u8]],
    most: u64,
    deadline: Deadline,
) -> Result<CachedReply, ExchangeFault> {
    let closed = |error| fault_of(error, ExchangeFault::Closed);
    connection.get_mut().keep_to(deadline);
    let stream = connection.get_mut();
    stream.write_all(&request.concat()).map_err(closed)?;
    connection
        .get_mut()
        .keep_to(deadline.enter(TimeoutPhase::FirstByte));
    await_reply(connection).map_err(closed)?;
    connection.get_mut().keep_to(deadline);
    read_reply(connection, most)
}

/// Reads one reply. A value of more than `most` bytes is left unread.
fn read_reply(
    from: &mut BufReader<impl io::Read>,
    most: u64,
) -> Result<CachedReply, ExchangeFault> {
    let line = read_line(from)?;
    if !line.starts_with("VALUE ") {
        return Ok(CachedReply { line, value: None });
    }
    let size = line.split(' ').nth(3).and_then(|size| size.parse().ok());
    let size: u64 = size.ok_or_else(|| malformed(&line))?;
    if size > most {
        return Err(ExchangeFault::TooLarge(size));
    }
    let mut value = Vec::with_capacity(size.min(RESERVED) as usize);
    let read = from.by_ref().take(size).read_to_end(&mut value);
    read.map_err(|error| fault_of(error, cut))?;
    let end = [read_line(from)?, read_line(from)?];
    if value.len() as u64 != size || end != ["", "END"] {
        return Err(malformed("a value is longer than announced"));
    }
    let value = Some(value);
    Ok(CachedReply { line, value })
}

/// A line without its end, as text.
fn read_line(from: &mut BufReader<impl io::Read>) -> Result<String, ExchangeFault> {
    let mut line = Vec::new();
    let read = from
        .by_ref()
        .take(MOST_OF_LINE)
        .read_until(b'\n', &mut line);
    read.map_err(|error| fault_of(error, cut))?;
    let text = String::from_utf8_lossy(&line);
    match text.strip_suffix("\r\n") {
        Some(text) => Ok(text.to_owned()),
        None if line.len() as u64 == MOST_OF_LINE || line.ends_with(b"\n") => Err(malformed(&text)),
        None => Err(cut(io::Error::from(ErrorKind::UnexpectedEof).to_string())),
    }
}

fn malformed(line: &str) -> ExchangeFault {
    let start: String = line.chars().take(40).collect();
    ExchangeFault::Garbled(format!("not a reply of memcached: {start:?}"))
}

fn cut(why: String) -> ExchangeFault {
    ExchangeFault::Garbled(format!("it ended before its end: {why}"))
}

#[cfg(test)]
mod tests {
    use super::{ExchangeFault, read_reply};
    use proptest::prelude::{any, proptest};
    use std::io::BufReader;

    fn read(bytes: &[u8]) -> Result<(String, Option<Vec<u8>>), &'static str> {
        match read_reply(&mut BufReader::new(bytes), 10) {
            Ok(reply) => Ok((reply.line, reply.value)),
            Err(ExchangeFault::Garbled(_)) => Err("garbled"),
            Err(ExchangeFault::TooLarge(_)) => Err("too large"),
            Err(_) => Err("another"),
        }
    }

    #[test]
    fn values_are_read_to_their_end() {
        let value = |line: &str, value: &[u8]| Ok((line.to_owned(), Some(value.to_vec())));
        let whole = b"VALUE k 0 4\r\na\r\nb\r\nEND\r\n";
        assert_eq!(read(whole), value("VALUE k 0 4", b"a\r\nb"));
        assert_eq!(
            read(b"VALUE k 0 0\r\n\r\nEND\r\n"),
            value("VALUE k 0 0", b"")
        );
        assert_eq!(read(b"END\r\n"), Ok(("END".to_owned(), None)));
        assert_eq!(read(b"VALUE k 0 11\r\n"), Err("too large"));
        for size in 1..whole.len() {
            assert_eq!(read(&whole[..size]), Err("garbled"), "{size}");
        }
        for text in [
            "VALUE k 0 x\r\n",
            "VALUE k\r\n",
            "VALUE k 0 1\r\nab\r\nEND\r\n",
            "\n",
        ] {
            assert_eq!(read(text.as_bytes()), Err("garbled"), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_read_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }
    }
}
