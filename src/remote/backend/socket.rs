//! A connection to a server by TCP, TLS or a Unix socket, each of whose reads and writes ends with the call's deadline.
//! A server that sends one byte a second cannot prolong a call, since each read gets only the time that is left.

use super::deadline::Deadline;
use super::{BadUrl, TimeoutPhase};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

/// Where a server listens.
#[derive(Clone, Debug)]
pub(super) enum ServerAddress {
    Tcp {
        host: String,
        port: u16,
        tls: Option<Arc<ClientConfig>>,
    },
    Unix(PathBuf),
}

impl ServerAddress {
    /// The host; empty for a Unix socket.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(_) => "",
        }
    }

    /// Another server that is reached in the same way; by TCP if this one is a Unix socket.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        let tls = match self {
            Self::Tcp { tls, .. } => tls.clone(),
            Self::Unix(_) => None,
        };
        let host = host.to_owned();
        Self::Tcp { host, port, tls }
    }

    /// Whether both are the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(path), Self::Unix(other)) => path == other,
            (Self::Tcp { .. }, Self::Tcp { .. }) => {
                (self.host(), self.port()) == (other.host(), other.port())
            }
            _ => false,
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port, .. } => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The error of a read or write for which no time was left.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct PhaseOver(pub(super) TimeoutPhase);

impl From<PhaseOver> for io::Error {
    fn from(over: PhaseOver) -> Self {
        Self::new(ErrorKind::TimedOut, over)
    }
}

/// An open connection.
pub(super) enum ServerStream {
    Plain(TimedSocket),
    Tls(Box<StreamOwned<ClientConnection, TimedSocket>>),
}

impl ServerStream {
    /// Connects before `deadline`, TLS included.
    pub(super) fn open(address: &ServerAddress, deadline: Deadline) -> io::Result<Self> {
        match address {
            ServerAddress::Unix(path) => {
                // Not bounded in time: Linux connects a Unix socket at once, or waits while the server's queue is full.
                let socket = RawSocket::Unix(UnixStream::connect(path)?);
                Ok(Self::Plain(TimedSocket { socket, deadline }))
            }
            ServerAddress::Tcp { host, port, tls } => {
                let stream = connect(host, *port, &deadline)?;
                stream.set_nodelay(true)?;
                let socket = RawSocket::Tcp(stream);
                let mut socket = TimedSocket { socket, deadline };
                let Some(config) = tls else {
                    return Ok(Self::Plain(socket));
                };
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "not a name for TLS"))?;
                let mut tls = ClientConnection::new(Arc::clone(config), name)
                    .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut socket)?;
                }
                Ok(Self::Tls(Box::new(StreamOwned::new(tls, socket))))
            }
        }
    }

    /// Gives the next reads and writes another deadline.
    pub(super) fn keep_to(&mut self, deadline: Deadline) {
        match self {
            Self::Plain(socket) => socket.deadline = deadline,
            Self::Tls(stream) => stream.sock.deadline = deadline,
        }
    }
}

impl Read for ServerStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for ServerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

enum RawSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket whose timeouts are set anew before each read and write.
pub(super) struct TimedSocket {
    socket: RawSocket,
    deadline: Deadline,
}

impl TimedSocket {
    /// The system's timeout shows as `WouldBlock`.
    fn name_timeout(&self, error: io::Error) -> io::Error {
        match error.kind() {
            ErrorKind::WouldBlock => PhaseOver(self.deadline.phase()).into(),
            _ => error,
        }
    }
}

impl Read for TimedSocket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = Some(self.deadline.left().map_err(PhaseOver)?);
        let read = match &mut self.socket {
            RawSocket::Tcp(stream) => stream
                .set_read_timeout(left)
                .and_then(|()| stream.read(bytes)),
            RawSocket::Unix(stream) => stream
                .set_read_timeout(left)
                .and_then(|()| stream.read(bytes)),
        };
        read.map_err(|error| self.name_timeout(error))
    }
}

impl Write for TimedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(self.deadline.left().map_err(PhaseOver)?);
        let written = match &mut self.socket {
            RawSocket::Tcp(stream) => stream
                .set_write_timeout(left)
                .and_then(|()| stream.write(bytes)),
            RawSocket::Unix(stream) => stream
                .set_write_timeout(left)
                .and_then(|()| stream.write(bytes)),
        };
        written.map_err(|error| self.name_timeout(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to the first address of a host that answers. Each gets an equal part of the time that is left.
fn connect(host: &str, port: u16, deadline: &Deadline) -> io::Result<TcpStream> {
    let addresses = look_up(host, port, deadline)?;
    let mut error = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for (at, address) in addresses.iter().enumerate() {
        let left = deadline.left().map_err(PhaseOver)?;
        let remaining = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, left / remaining) {
            Ok(stream) => return Ok(stream),
            Err(failed) if failed.kind() == ErrorKind::TimedOut => {
                error = PhaseOver(deadline.phase()).into();
            }
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

/// The addresses of a host. The system's lookup knows no timeout, so it runs in a thread that is left behind if it
/// takes too long.
fn look_up(host: &str, port: u16, deadline: &Deadline) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let host = host.to_owned();
    thread::Builder::new().spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs();
        // The call may have ended meanwhile.
        let _ = sender.send(found.map(Iterator::collect));
    })?;
    let left = deadline.left().map_err(PhaseOver)?;
    let found = receiver.recv_timeout(left);
    found.map_err(|_| PhaseOver(deadline.phase()))?
}

/// Settings for TLS that believe the authorities in the PEM file `ca`, or those of the public web.
pub(super) fn tls_config(ca: Option<&str>) -> Result<Arc<ClientConfig>, BadUrl> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in authorities(path)? {
                let added = roots.add(certificate);
                added.map_err(|error| BadUrl::new(format!("ca={path}: {error}")))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadUrl::new(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates in a PEM file, at least one.
pub(super) fn authorities(path: &str) -> Result<Vec<CertificateDer<'static>>, BadUrl> {
    let bad = |why: String| BadUrl::new(format!("ca={path}: {why}"));
    let found = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| bad(error.to_string()))?;
    let is_empty = found.is_empty();
    (!is_empty)
        .then_some(found)
        .ok_or_else(|| bad("no certificate in it".to_owned()))
}
