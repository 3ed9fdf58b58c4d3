//! HTTP for object stores. OpenDAL would bring a client of its own, with TLS of aws-lc, with redirects that are followed,
//! and with proxies of the environment.

use crate::remote::backend::socket::tls_config;
use crate::remote::backend::{BadUrl, Timeouts};
use opendal::raw::{HttpBody, HttpClient, HttpFetch};
use opendal::{Buffer, ErrorKind};
use reqwest::redirect::Policy;
use std::time::Duration;
use ureq::http::{HeaderMap, Request, Response, StatusCode, header};

/// Connections that are kept open while no call uses them.
const MOST_IDLE: usize = 16;
/// The longest text that says why a request was refused.
const MOST_WORDS: u64 = 64 * 1024;

/// An answer that means the same from every service.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{status}")]
pub(super) struct HttpRefusal {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
}

/// The client of one server.
struct CloudClient(reqwest::Client);

/// A client that believes the authorities in the PEM file `ca`, or those of the public web.
pub(super) fn http_client(ca: Option<&str>, timeouts: Timeouts) -> Result<HttpClient, BadUrl> {
    // OpenDAL makes a client of its own in any case, which must find one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tls = tls_config(ca)?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(timeouts.connect)
        .pool_max_idle_per_host(MOST_IDLE)
        .user_agent(concat!("pcache-nvcc/", env!("CARGO_PKG_VERSION")))
        .build();
    let client = client.map_err(|error| BadUrl::new(error.to_string()))?;
    Ok(HttpClient::with(CloudClient(client)))
}

impl HttpFetch for CloudClient {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let answer = self.0.fetch(request).await?;
        match refusal(answer.status(), answer.headers()) {
            None => Ok(answer),
            Some(refusal) => {
                let error = opendal::Error::new(ErrorKind::Unexpected, refusal.to_string());
                Err(error.set_source(refusal))
            }
        }
    }
}

/// What the service itself need not read: its words would add nothing, or are too long.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Option<HttpRefusal> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    let is_long = number(header::CONTENT_LENGTH).is_some_and(|size| size > MOST_WORDS);
    let is_plain = match status.as_u16() {
        304 => false,
        300..=399 | 401 | 407 | 413 | 429 | 503 | 507 => true,
        400.. => is_long,
        _ => false,
    };
    let retry_after = number(header::RETRY_AFTER).map(Duration::from_secs);
    is_plain.then_some(HttpRefusal {
        status,
        retry_after,
    })
}
