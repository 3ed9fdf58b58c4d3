//! The object stores of clouds, and what speaks their protocols: S3, Google Cloud Storage, Azure Blob Storage. A value
//! `main/ac/…` is the object `PREFIX/main/ac/…`.
//!
//! | module     | part                                                          |
//! |------------|---------------------------------------------------------------|
//! | `settings` | makes the client for a URL, with the keys that let it in      |
//! | `client`   | HTTP with our TLS; says what a refusal means                  |
//! | `fault`    | names the errors of OpenDAL                                   |
//!
//! Nothing is taken from the environment, which a helper does not have.

mod client;
mod fault;
mod settings;

use super::contract::check_name;
use super::naming::Naming;
use super::runtime::{Limited, wait};
use super::url::ServerUrl;
use super::{BackendError, BadUrl, RemoteBackend, ServerFault, TimeoutPhase, Timeouts};
use opendal::raw::oio::Read as _;
use opendal::raw::{Access as _, OpRead};
use opendal::{Buffer, ErrorKind, Operator};
use settings::CloudSettings;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The type of every object. Without one, some servers give it the type of a form.
const TYPE: &str = "application/octet-stream";

/// A name that no value has.
const ABSENT: &str = "main/ac/absent";

/// A bucket, or what its service calls so.
pub(super) struct CloudBackend {
    settings: CloudSettings,
    naming: Naming,
    /// The client, and when the file with its keys was written.
    client: Mutex<(Option<SystemTime>, Operator)>,
}

impl CloudBackend {
    pub(super) fn new(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        let settings = CloudSettings::read(url, timeouts)?;
        let written = settings.keys_written();
        let client = Mutex::new((written, settings.client()?));
        let server = format!("{}://{}", url.scheme, url.host);
        Ok(Self {
            settings,
            naming: Naming { server, timeouts },
            client,
        })
    }

    /// The client; another one if the file with its keys was written anew, as keys of clouds live for hours.
    fn client(&self) -> Result<Operator, BackendError> {
        let written = self.settings.keys_written();
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.0 != written {
            let renewed = self.settings.client().map_err(|error| {
                let server = self.naming.server.clone();
                let why = error.why;
                BackendError::Denied(ServerFault { server, why })
            })?;
            *client = (written, renewed);
        }
        Ok(client.1.clone())
    }

    /// Makes one call within its time.
    fn call<T>(
        &self,
        made: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let whole = self.naming.timeouts.whole;
        wait(async { made.within(whole).await }).unwrap_or_else(|| {
            let phase = TimeoutPhase::Whole;
            Err(self.naming.timeout(phase))
        })
    }

    /// Gives a request the time for a connection and the first byte of the answer.
    async fn answered<T>(
        &self,
        request: impl Future<Output = opendal::Result<T>>,
    ) -> Result<Option<T>, BackendError> {
        let timeouts = self.naming.timeouts;
        let time = timeouts.connect.saturating_add(timeouts.first_byte);
        match request.within(time).await {
            None => Err(self.naming.timeout(TimeoutPhase::FirstByte)),
            Some(Ok(answer)) => Ok(Some(answer)),
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            Some(Err(error)) => Err(fault::name(&self.naming, &error)),
        }
    }

    async fn read(
        &self,
        client: Operator,
        name: &str,
        most: u64,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        let opened = self.answered(client.inner().read(name, OpRead::new()));
        let Some((head, mut body)) = opened.await? else {
            return Ok(None);
        };
        let announced = head.metadata().map_or(0, |head| head.content_length());
        if announced > most {
            return Err(self.naming.too_large(announced));
        }
        let mut value = Vec::new();
        loop {
            let read = body.read().await;
            let part: Buffer = read.map_err(|error| fault::name_in_body(&self.naming, &error))?;
            if part.is_empty() {
                return Ok(Some(value));
            }
            let size = value.len() as u64 + part.len() as u64;
            if size > most {
                return Err(self.naming.too_large(size));
            }
            for bytes in part {
                value.extend_from_slice(&bytes);
            }
        }
    }
}

impl RemoteBackend for CloudBackend {
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        check_name(&self.naming.server, name)?;
        let client = self.client()?;
        self.call(self.read(client, name, most))
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), BackendError> {
        check_name(&self.naming.server, name)?;
        let client = self.client()?;
        let written = client.write_with(name, value.to_vec());
        self.call(async {
            let written = written.content_type(TYPE).await;
            written.map_err(|error| fault::name(&self.naming, &error))?;
            Ok(())
        })
    }

    fn has(&self, name: &str) -> Result<bool, BackendError> {
        check_name(&self.naming.server, name)?;
        let client = self.client()?;
        let found = self.call(self.answered(client.stat(name)))?;
        Ok(found.is_some())
    }

    /// By `GET`, as the answer to `HEAD` does not say that the whole bucket is missing.
    fn probe(&self) -> Result<(), BackendError> {
        let client = self.client()?;
        let opened = self.call(self.answered(client.inner().read(ABSENT, OpRead::new())));
        opened.map(drop)
    }
}
