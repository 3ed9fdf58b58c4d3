//! The client for a URL. CloudKeys stand in the URL or in a file; without either, a service is asked as its instances are let
//! in: by the roles of the machine.

use super::client::http_client;
use crate::remote::backend::url::ServerUrl;
use crate::remote::backend::{BadUrl, Timeouts};
use opendal::layers::HttpClientLayer;
use opendal::raw::HttpClient;
use opendal::services::{Azblob, Gcs, S3};
use opendal::{Builder, Operator};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// Parameters with keys, and their names in a file.
const KEYS: [(&str, &str); 6] = [
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("session_token", "AWS_SESSION_TOKEN"),
    ("account_name", "AZURE_STORAGE_ACCOUNT_NAME"),
    ("account_key", "AZURE_STORAGE_ACCOUNT_KEY"),
    ("sas_token", "AZURE_STORAGE_SAS_TOKEN"),
];

/// The region of S3 unless one is given; most servers of others take any.
const REGION: &str = "us-east-1";

/// What the client of a server is made from.
pub(super) struct CloudSettings {
    url: ServerUrl,
    http: HttpClient,
}

impl CloudSettings {
    pub(super) fn read(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        let known: &[&str] = match url.scheme.as_str() {
            "s3" => &[
                "endpoint",
                "region",
                "access_key_id",
                "secret_access_key",
                "session_token",
                "credentials",
                "anonymous",
                "ca",
            ],
            "gcs" => &["endpoint", "credentials", "anonymous", "ca"],
            _ => &[
                "endpoint",
                "account_name",
                "account_key",
                "sas_token",
                "credentials",
                "anonymous",
                "ca",
            ],
        };
        url.check_parameters(known)?;
        url.check_host()?;
        if url.user.is_some() || url.password.is_some() || url.port.is_some() {
            let scheme = &url.scheme;
            let why = format!(
                "{scheme}:// is followed by a name, without user and port; a server of your own is endpoint=http://HOST:PORT"
            );
            return Err(BadUrl::new(why));
        }
        Ok(Self {
            url: url.clone(),
            http: http_client(url.parameter("ca"), timeouts)?,
        })
    }

    /// When the file with the keys was written; `None` if there is none.
    pub(super) fn keys_written(&self) -> Option<SystemTime> {
        let path = self.url.parameter("credentials")?;
        fs::metadata(path).and_then(|file| file.modified()).ok()
    }

    /// A client with the keys as they are now.
    pub(super) fn client(&self) -> Result<Operator, BadUrl> {
        let keys = CloudKeys::read(&self.url)?;
        match self.url.scheme.as_str() {
            "s3" => self.finish(self.s3(&keys)),
            "gcs" => self.finish(self.gcs(&keys)),
            _ => self.finish(self.azblob(&keys)?),
        }
    }

    fn finish(&self, builder: impl Builder) -> Result<Operator, BadUrl> {
        let made = Operator::new(builder);
        // Its message alone: the rest may repeat keys.
        let made = made.map_err(|error| BadUrl::new(error.message()))?;
        Ok(made.layer(HttpClientLayer::new(self.http.clone())).finish())
    }

    fn is_anonymous(&self) -> bool {
        self.url.parameter("anonymous").is_some()
    }

    fn s3(&self, keys: &CloudKeys) -> S3 {
        let region = self.url.parameter("region").unwrap_or(REGION);
        let mut s3 = S3::default()
            .bucket(&self.url.host)
            .root(&self.url.path)
            .region(region)
            .disable_config_load();
        if let Some(endpoint) = self.url.parameter("endpoint") {
            s3 = s3.endpoint(endpoint);
        }
        if let (Some(id), Some(secret)) = (keys.get("access_key_id"), keys.get("secret_access_key"))
        {
            s3 = s3.access_key_id(id).secret_access_key(secret);
        }
        if let Some(token) = keys.get("session_token") {
            s3 = s3.session_token(token);
        }
        if self.is_anonymous() {
            s3 = s3.skip_signature();
        }
        s3
    }

    fn gcs(&self, keys: &CloudKeys) -> Gcs {
        let mut gcs = Gcs::default()
            .bucket(&self.url.host)
            .root(&self.url.path)
            .disable_config_load();
        if let Some(endpoint) = self.url.parameter("endpoint") {
            gcs = gcs.endpoint(endpoint);
        }
        if let Some(path) = &keys.file {
            gcs = gcs.credential_path(path).disable_vm_metadata();
        }
        if self.is_anonymous() {
            gcs = gcs.skip_signature();
        }
        gcs
    }

    fn azblob(&self, keys: &CloudKeys) -> Result<Azblob, BadUrl> {
        let name = keys.get("account_name");
        let usual = || Some(format!("https://{}.blob.core.windows.net", name?));
        let given = self.url.parameter("endpoint").map(str::to_owned);
        let endpoint = given.or_else(usual).ok_or_else(|| {
            BadUrl::new(
                "azblob:// needs account_name=NAME or endpoint=https://NAME.blob.core.windows.net",
            )
        })?;
        let mut azblob = Azblob::default()
            .container(&self.url.host)
            .root(&self.url.path)
            .endpoint(&endpoint);
        if let Some(name) = name {
            azblob = azblob.account_name(name);
        }
        if let Some(key) = keys.get("account_key") {
            azblob = azblob.account_key(key);
        }
        if let Some(token) = keys.get("sas_token") {
            azblob = azblob.sas_token(token);
        }
        if self.is_anonymous() {
            azblob = azblob.skip_signature();
        }
        Ok(azblob)
    }
}

/// What lets a client in.
struct CloudKeys {
    known: Vec<(&'static str, String)>,
    file: Option<String>,
}

impl CloudKeys {
    /// Reads the file with keys, if the URL names one. Those in the URL itself come first.
    fn read(url: &ServerUrl) -> Result<Self, BadUrl> {
        let file = url.parameter("credentials").map(str::to_owned);
        let text = file.as_deref().map(private_text).transpose()?;
        let lines = text.unwrap_or_default();
        let find = |name: &str| {
            let mut lines = lines.lines();
            let value = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
            value.map(|value| value.trim().to_owned())
        };
        let known = KEYS.iter().filter_map(|(parameter, name)| {
            let given = url.parameter(parameter).map(str::to_owned);
            Some((*parameter, given.or_else(|| find(name))?))
        });
        let known = known.collect();
        Ok(Self { known, file })
    }

    fn get(&self, parameter: &str) -> Option<&str> {
        let pair = self.known.iter().find(|(known, _)| *known == parameter);
        pair.map(|(_, value)| value.as_str())
    }
}

/// The text of a file that only its owner may read.
fn private_text(path: &str) -> Result<String, BadUrl> {
    let bad = |why: &str| BadUrl::new(format!("credentials={path}: {why}"));
    let mode = fs::metadata(path).map(|file| file.mode());
    let mode = mode.map_err(|error| bad(&error.to_string()))?;
    if mode & 0o077 != 0 {
        return Err(bad("others can read it; set its mode to 600"));
    }
    fs::read_to_string(path).map_err(|error| bad(&error.to_string()))
}
