//! The connection to a server, the headers of requests, and the meaning of a status.

use crate::remote::backend::naming::{Naming, causes, root_cause};
use crate::remote::backend::runtime::runtime;
use crate::remote::backend::url::ServerUrl;
use crate::remote::backend::{BackendError, BadUrl, TimeoutPhase, Timeouts};
use bazel_remote_apis::build::bazel::remote::execution::v2::{RequestMetadata, ToolDetails};
use prost::Message as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Extensions, Request, Response, Status};

/// How often a server that is not heard of is asked whether it is there, and how long it may take to answer: a
/// connection can be dead without a sign of it.
const ALIVE: Duration = Duration::from_secs(10);
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// The header that says which tool asks.
const TOOL: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// A server, connected to when it is first asked. All requests share one connection.
pub(super) struct Connection {
    pub(super) channel: Channel,
    pub(super) instance: String,
    pub(super) naming: Naming,
    headers: MetadataMap,
}

impl Connection {
    pub(super) fn new(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        let by_tls = url.scheme == "grpcs";
        url.check_parameters(if by_tls {
            &["ca", "header"]
        } else {
            &["header"]
        })?;
        url.check_host()?;
        if url.user.is_some() || url.password.is_some() {
            let why =
                "grpc:// takes no user: write ?header=NAME:VALUE, such as authorization:Basic%20…";
            return Err(BadUrl::new(why));
        }
        let server = url.authority();
        let scheme = if by_tls { "https" } else { "http" };
        let bad = |error: tonic::transport::Error| BadUrl::new(root_cause(&error));
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{server}"))
            .map_err(bad)?
            .connect_timeout(timeouts.connect)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE_WITHIN)
            .user_agent(concat!("pcache-nvcc/", env!("CARGO_PKG_VERSION")))
            .map_err(bad)?;
        if by_tls {
            endpoint = endpoint.tls_config(tls(url)?).map_err(bad)?;
        }
        let _inside = runtime().enter();
        Ok(Self {
            channel: endpoint.connect_lazy(),
            instance: url.path.trim_matches('/').to_owned(),
            naming: Naming { server, timeouts },
            headers: headers(url)?,
        })
    }

    /// A request with the headers of this server.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(self.headers.clone(), Extensions::default(), message)
    }

    /// The answer; `None` if there is no such thing.
    pub(super) fn found<T>(
        &self,
        answer: Result<Response<T>, Status>,
    ) -> Result<Option<T>, BackendError> {
        match answer {
            Ok(answer) => Ok(Some(answer.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.name(&status)),
        }
    }

    /// The answer to a request for which nothing can be missing.
    pub(super) fn done<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, BackendError> {
        let answer = answer.map_err(|status| self.name(&status))?;
        Ok(answer.into_inner())
    }

    pub(super) fn name(&self, status: &Status) -> BackendError {
        // One that came from the server has no cause.
        if std::error::Error::source(status).is_some() {
            return self.name_broken(status);
        }
        let words = status.message();
        let fault = self.naming.fault(format!("{:?}: {words}", status.code()));
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => BackendError::Denied(fault),
            Code::OutOfRange | Code::ResourceExhausted if words.contains("larg") => {
                BackendError::TooLarge(fault)
            }
            Code::ResourceExhausted | Code::Unavailable => BackendError::Busy {
                fault,
                retry_after: None,
            },
            Code::DeadlineExceeded => self.naming.timeout(TimeoutPhase::Whole),
            Code::Cancelled => BackendError::Unreachable(fault),
            Code::DataLoss => BackendError::Garbled(fault),
            _ => BackendError::Server(fault),
        }
    }

    /// The error of a connection that was not opened, or broke.
    fn name_broken(&self, status: &Status) -> BackendError {
        if let Some(tls) = self.naming.tls(status) {
            return tls;
        }
        let mut errors = causes(status).filter_map(|cause| cause.downcast_ref::<io::Error>());
        if errors.any(|error| error.kind() == ErrorKind::TimedOut) {
            return self.naming.timeout(TimeoutPhase::Connect);
        }
        BackendError::Unreachable(self.naming.fault(root_cause(status)))
    }
}

fn tls(url: &ServerUrl) -> Result<ClientTlsConfig, BadUrl> {
    let tls = ClientTlsConfig::new();
    let Some(path) = url.parameter("ca") else {
        return Ok(tls.with_webpki_roots());
    };
    let text = fs::read(path).map_err(|error| BadUrl::new(format!("ca={path}: {error}")))?;
    Ok(tls.ca_certificate(Certificate::from_pem(text)))
}

/// The headers of all requests: the tool's name, and those in the URL.
fn headers(url: &ServerUrl) -> Result<MetadataMap, BadUrl> {
    let mut headers = MetadataMap::new();
    let tool = RequestMetadata {
        tool_details: Some(ToolDetails {
            tool_name: "pcache-nvcc".to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        }),
        ..Default::default()
    };
    headers.insert_bin(TOOL, MetadataValue::from_bytes(&tool.encode_to_vec()));
    let given = url.query.iter().filter(|(name, _)| name == "header");
    for (_, header) in given {
        let bad = || BadUrl::new("a header is NAME:VALUE");
        let (name, value) = header.split_once(':').ok_or_else(bad)?;
        let name: MetadataKey<Ascii> = name.to_ascii_lowercase().parse().map_err(|_| bad())?;
        let value: MetadataValue<Ascii> = value.trim().parse().map_err(|_| bad())?;
        headers.append(name, value);
    }
    Ok(headers)
}
