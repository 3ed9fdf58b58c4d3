//! WebDAV servers, and caches with the paths of Bazel: `GET`, `PUT` and `HEAD` of `BASE/main/ac/…`. On a WebDAV server
//! whose folders are missing, they are created below the base (`MKCOL`).
//!
//! No redirect is followed, as it could lead to another host or out of TLS. Nothing is unpacked: a body with a
//! `Content-Encoding` is refused.

use super::contract::check_name;
use super::error::visible_words;
use super::socket::authorities;
use super::url::ServerUrl;
use super::{BackendError, BadUrl, RemoteBackend, ServerFault, TimeoutPhase, Timeouts};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{Method, Request, Response, StatusCode, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Timeout};

/// Memory that is reserved because a server says that so much will come.
const RESERVED: u64 = 1024 * 1024;
/// Connections that are kept open while no call uses them.
const MOST_IDLE: usize = 16;
/// The longest body of an answer that is no value, such as a page that says what is wrong, for which it is worth to keep
/// the connection.
const MOST_DRAINED: u64 = 64 * 1024;
/// Parts of a name that no value has, in a form that caches with Bazel's paths accept.
const ABSENT: &str = "ac/0000000000000000000000000000000000000000000000000000000000000000";

/// A server of values by HTTP.
pub(super) struct HttpBackend {
    agent: Agent,
    /// The URL that names are appended to, without a slash at its end.
    base: String,
    authorization: Option<String>,
    server: String,
    timeouts: Timeouts,
    /// Folders into which a `PUT` failed even after their creation.
    hopeless: Mutex<BTreeSet<String>>,
}

/// A status and headers, and a body that is not read yet.
type Answer = Response<Body>;

impl HttpBackend {
    pub(super) fn new(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        let by_tls = url.scheme == "https";
        url.check_parameters(if by_tls { &["ca"] } else { &[] })?;
        url.check_host()?;
        let server = url.authority();
        let base = format!("{}://{server}{}", url.scheme, url.path);
        let base = base.trim_end_matches('/').to_owned();
        let parsed: Result<Uri, _> = base.parse();
        parsed.map_err(|error| BadUrl::new(format!("{error} in {url:?}")))?;
        let authorization = (url.user.is_some() || url.password.is_some()).then(|| {
            let user = url.user.as_deref().unwrap_or_default();
            let password = url.password.as_deref().unwrap_or_default();
            format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
        });
        let mut tls = TlsConfig::builder();
        if let Some(path) = url.parameter("ca") {
            let roots = authorities(path)?;
            let roots = roots.iter().map(|root| Certificate::from_der(root));
            let roots: Vec<_> = roots.map(|root| root.to_owned()).collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&roots));
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("pcache-nvcc/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(MOST_IDLE)
            .max_idle_connections_per_host(MOST_IDLE)
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            base,
            authorization,
            server,
            timeouts,
            hopeless: Mutex::default(),
        })
    }

    /// Sends one request and reads the head of its answer. If the server closes the connection instead, which may have
    /// been idle for long, sends it once more.
    fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        end: Instant,
    ) -> Result<Answer, BackendError> {
        match self.send_once(method, path, body, end) {
            Err(ureq::Error::Io(error)) if is_closed(&error) => {}
            done => return done.map_err(|error| self.name(error)),
        }
        self.send_once(method, path, body, end)
            .map_err(|error| self.name(error))
    }

    fn send_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        end: Instant,
    ) -> Result<Answer, ureq::Error> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ureq::Error::Timeout(Timeout::Global));
        }
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        match body {
            None => self.agent.run(self.limited(request.body(())?, left)),
            Some(body) => self.agent.run(self.limited(request.body(body)?, left)),
        }
    }

    /// Sets the timeouts of one request.
    fn limited<S: ureq::AsSendBody>(&self, request: Request<S>, left: Duration) -> Request<S> {
        self.agent
            .configure_request(request)
            .timeout_global(Some(left))
            .timeout_resolve(Some(self.timeouts.connect))
            .timeout_connect(Some(self.timeouts.connect))
            .timeout_recv_response(Some(self.timeouts.first_byte))
            .build()
    }

    /// The end of a call that starts now.
    fn end(&self) -> Instant {
        Instant::now() + self.timeouts.whole.min(Duration::from_secs(24 * 60 * 60))
    }

    /// The body of an answer, of at most `most` bytes and exactly as long as announced.
    fn read(&self, answer: Answer, most: u64) -> Result<Vec<u8>, BackendError> {
        let headers = answer.headers();
        let encoding = headers.get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(self.garbled("a body with a Content-Encoding"));
        }
        // ureq has checked that the header is a number.
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.trim().parse().ok());
        if announced.is_none() && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(self.garbled("a body without a length"));
        }
        if let Some(size) = announced.filter(|size: &u64| *size > most) {
            let why = format!("the value has {size} bytes");
            return Err(BackendError::TooLarge(self.fault(why)));
        }
        let mut value = Vec::with_capacity(announced.unwrap_or(0).min(RESERVED) as usize);
        let body = answer.into_body().into_reader();
        let read = body.take(most.saturating_add(1)).read_to_end(&mut value);
        read.map_err(|error| self.name_in_body(error))?;
        let size = value.len() as u64;
        if size > most {
            let why = format!("the value has more than {most} bytes");
            return Err(BackendError::TooLarge(self.fault(why)));
        }
        if announced.is_some_and(|announced| announced != size) {
            return Err(self.garbled("a body shorter than announced"));
        }
        Ok(value)
    }

    /// Creates the folders of a value, from the outermost to the innermost.
    fn make_folders(&self, name: &str, end: Instant) -> Result<(), BackendError> {
        let method = Method::from_bytes(b"MKCOL");
        let method = method.map_err(|error| self.name(ureq::Error::Http(error.into())))?;
        for (at, _) in name.match_indices('/') {
            // That a folder exists or cannot be created shows when the value is put again.
            drain(self.send(&method, &name[..=at], None, end)?);
        }
        Ok(())
    }

    /// Whether missing folders may be why a server refused a `PUT` into `folder`.
    fn may_lack(&self, folder: &str, status: StatusCode) -> bool {
        match status {
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => true,
            // nginx, and servers that hide what is missing. More often it means what it says.
            StatusCode::FORBIDDEN | StatusCode::INTERNAL_SERVER_ERROR => {
                !self.hopeless().contains(folder)
            }
            _ => false,
        }
    }

    fn hopeless(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.hopeless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error that a status means.
    fn refusal(&self, answer: Answer) -> BackendError {
        let status = answer.status();
        let retry_after = retry_after(&answer);
        drain(answer);
        let reason = status.canonical_reason().unwrap_or_default();
        let text = format!("{} {reason}", status.as_u16());
        let fault = self.fault(text.trim_end());
        match status.as_u16() {
            401 | 403 | 407 => BackendError::Denied(fault),
            413 => BackendError::TooLarge(fault),
            429 | 503 => BackendError::Busy { fault, retry_after },
            507 => BackendError::Full(fault),
            300..=399 => {
                BackendError::Server(self.fault(format!("{text}: redirects are not followed")))
            }
            _ => BackendError::Server(fault),
        }
    }

    fn fault(&self, why: impl AsRef<str>) -> ServerFault {
        ServerFault {
            server: self.server.clone(),
            why: visible_words(why.as_ref()),
        }
    }

    fn garbled(&self, why: &str) -> BackendError {
        BackendError::Garbled(self.fault(why))
    }

    fn name(&self, error: ureq::Error) -> BackendError {
        let why = error.to_string();
        match error {
            ureq::Error::Timeout(timeout) => self.timeout(timeout),
            ureq::Error::Io(error) => self.name_io(&error),
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                BackendError::Unreachable(self.fault(why))
            }
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::TlsRequired => {
                BackendError::Tls(self.fault(why))
            }
            _ => self.garbled(&why),
        }
    }

    fn name_io(&self, error: &io::Error) -> BackendError {
        let why = error.to_string();
        let inner = error.get_ref();
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return BackendError::Tls(self.fault(tls.to_string()));
        }
        match error.kind() {
            ErrorKind::InvalidData => self.garbled(&why),
            _ => BackendError::Unreachable(self.fault(why)),
        }
    }

    /// The error of a read after the head of the answer had come.
    fn name_in_body(&self, error: io::Error) -> BackendError {
        match self.name(ureq::Error::from(error)) {
            BackendError::Unreachable(fault) => {
                self.garbled(&format!("it ended before its end: {}", fault.why))
            }
            named => named,
        }
    }

    fn timeout(&self, timeout: Timeout) -> BackendError {
        let phase = match timeout {
            Timeout::Resolve | Timeout::Connect => TimeoutPhase::Connect,
            Timeout::RecvResponse => TimeoutPhase::FirstByte,
            _ => TimeoutPhase::Whole,
        };
        BackendError::Timeout {
            server: self.server.clone(),
            phase,
            limit: self.timeouts.of(phase),
        }
    }
}

impl RemoteBackend for HttpBackend {
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        check_name(&self.server, name)?;
        let answer = self.send(&Method::GET, name, None, self.end())?;
        match answer.status() {
            StatusCode::OK => self.read(answer, most).map(Some),
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                drain(answer);
                Ok(None)
            }
            _ => Err(self.refusal(answer)),
        }
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), BackendError> {
        check_name(&self.server, name)?;
        let end = self.end();
        let mut answer = self.send(&Method::PUT, name, Some(value), end)?;
        let folder = name.rsplit_once('/').map(|(folder, _)| folder);
        if let Some(folder) = folder.filter(|folder| self.may_lack(folder, answer.status())) {
            drain(answer);
            self.make_folders(name, end)?;
            answer = self.send(&Method::PUT, name, Some(value), end)?;
            if !answer.status().is_success() {
                self.hopeless().insert(folder.to_owned());
            }
        }
        if answer.status().is_success() {
            drain(answer);
            Ok(())
        } else {
            Err(self.refusal(answer))
        }
    }

    fn has(&self, name: &str) -> Result<bool, BackendError> {
        check_name(&self.server, name)?;
        let answer = self.send(&Method::HEAD, name, None, self.end())?;
        match answer.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(false),
            _ => Err(self.refusal(answer)),
        }
    }

    fn probe(&self) -> Result<(), BackendError> {
        self.has(ABSENT).map(drop)
    }
}

/// Reads the body of an answer that is no value, so that its connection can serve the next call. A long one is left,
/// and its connection closed.
fn drain(answer: Answer) {
    let mut body = answer.into_body().into_reader().take(MOST_DRAINED);
    // What goes wrong shows when the connection is used again.
    let _ = io::copy(&mut body, &mut io::sink());
}

/// Whether the server closed the connection before it answered.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

/// Seconds in the header `Retry-After`; a date counts as none.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| {
            bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_has_the_vectors_of_its_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
