//! Caches of the [Remote Execution API](https://github.com/bazelbuild/remote-apis) by gRPC: bazel-remote, BuildBuddy,
//! Buildbarn, BuildGrid, buildbox-casd.
//!
//! | name                | where the value is |
//! |---------------------|--------------------|
//! | `main/ac/HEX`       | in the action cache, under the digest `HEX` |
//! | `NAMESPACE/ac/HEX`  | likewise, under the SHA-256 of that name |
//! | `NAMESPACE/cas/HEX` | in the content-addressable storage, under `HEX`, which must be the value's SHA-256 |
//!
//! A value under `ac` must be an `ActionResult`. If its `stdout_raw` is large, it goes into the storage, since messages
//! of more than 4 MiB are not taken; a reader gets it back in its place.
//!
//! The digests of the storage contain a size, and names do not: `get` of a name under `cas` takes its limit for the size
//! of the value, and `has` answers `false`. `put` asks itself whether the server has the value.

mod blobs;
mod channel;

use super::contract::check_name;
use super::naming::Naming;
use super::runtime::{Limited, wait};
use super::url::ServerUrl;
use super::{BackendError, BadUrl, RemoteBackend, TimeoutPhase, Timeouts};
use bazel_remote_apis::build::bazel::remote::execution::v2;
use channel::Connection;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use v2::action_cache_client::ActionCacheClient;
use v2::capabilities_client::CapabilitiesClient;
use v2::{ActionResult, Digest};

/// The largest `stdout_raw` that is sent in a result.
const MOST_INLINE: usize = 2 * 1024 * 1024;
/// What a message has besides a value.
const OVERHEAD: u64 = 64 * 1024;
/// The size in the digests of actions. There is no action, so any will do; but servers refuse 0.
const ACTION_SIZE: i64 = 64;
/// The namespace whose names are digests.
const MAIN: &str = "main";

/// A cache of the Remote Execution API.
pub(super) struct ReapiBackend {
    connection: Connection,
}

/// Where a value is.
enum ValueName {
    Action(Digest),
    /// The hash.
    Blob(String),
}

impl ReapiBackend {
    pub(super) fn new(url: &ServerUrl, timeouts: Timeouts) -> Result<Self, BadUrl> {
        let connection = Connection::new(url, timeouts)?;
        Ok(Self { connection })
    }

    fn naming(&self) -> &Naming {
        &self.connection.naming
    }

    /// Makes one call within its time.
    fn call<T>(
        &self,
        made: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let whole = self.naming().timeouts.whole;
        wait(async { made.within(whole).await })
            .unwrap_or_else(|| Err(self.naming().timeout(TimeoutPhase::Whole)))
    }

    fn place(&self, name: &str) -> Result<ValueName, BackendError> {
        check_name(&self.naming().server, name)?;
        let is_hex = |hash: &str| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            hash.len() == 64 && hash.bytes().all(is_digit)
        };
        match name.split('/').collect::<Vec<_>>().as_slice() {
            [MAIN, "ac", hash] if is_hex(hash) => Ok(ValueName::Action(Digest {
                hash: (*hash).to_owned(),
                size_bytes: ACTION_SIZE,
            })),
            [_, "ac", hash] if is_hex(hash) => Ok(ValueName::Action(Digest {
                hash: hex::encode(Sha256::digest(name)),
                size_bytes: ACTION_SIZE,
            })),
            [_, "cas", hash] if is_hex(hash) => Ok(ValueName::Blob((*hash).to_owned())),
            _ => {
                let why = format!("{name:?} is no NAMESPACE/ac/HEX and no NAMESPACE/cas/HEX");
                Err(BackendError::Denied(self.naming().fault(why)))
            }
        }
    }

    /// A result without what is large in it.
    async fn result(
        &self,
        digest: Digest,
        is_wanted_whole: bool,
        most: u64,
    ) -> Result<Option<ActionResult>, BackendError> {
        let limit = usize::try_from(most.saturating_add(OVERHEAD)).unwrap_or(usize::MAX);
        let mut client = ActionCacheClient::new(self.connection.channel.clone())
            .max_decoding_message_size(limit);
        let request = v2::GetActionResultRequest {
            instance_name: self.connection.instance.clone(),
            action_digest: Some(digest),
            inline_stdout: is_wanted_whole,
            ..Default::default()
        };
        let answer = client.get_action_result(self.connection.request(request));
        self.connection.found(answer.await)
    }

    async fn get_action(&self, digest: Digest, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        let Some(mut result) = self.result(digest, true, most).await? else {
            return Ok(None);
        };
        let moved = result.stdout_digest.take();
        if let Some(digest) = moved.filter(|_| result.stdout_raw.is_empty()) {
            let size = u64::try_from(digest.size_bytes).unwrap_or(u64::MAX);
            if size > most {
                return Err(self.naming().too_large(size));
            }
            // If the server has dropped it, the result is of no use.
            let Some(value) = self.connection.read_blob(digest).await? else {
                return Ok(None);
            };
            result.stdout_raw = value;
        }
        // What servers add, such as who made it, was not part of the value.
        let kept = ActionResult {
            output_files: result.output_files,
            stdout_raw: result.stdout_raw,
            ..Default::default()
        };
        let value = kept.encode_to_vec();
        if value.len() as u64 > most {
            return Err(self.naming().too_large(value.len() as u64));
        }
        Ok(Some(value))
    }

    async fn put_action(&self, digest: Digest, value: &[u8]) -> Result<(), BackendError> {
        let result = ActionResult::decode(value).map_err(|error| {
            let why = format!("a value that is no ActionResult: {error}");
            BackendError::Denied(self.naming().fault(why))
        });
        let mut result = result?;
        if result.stdout_raw.len() > MOST_INLINE {
            let large = std::mem::take(&mut result.stdout_raw);
            let digest = digest_of(&large);
            result.stdout_digest = Some(digest.clone());
            self.connection.write_blob(digest, &large).await?;
        }
        let request = v2::UpdateActionResultRequest {
            instance_name: self.connection.instance.clone(),
            action_digest: Some(digest),
            action_result: Some(result),
            ..Default::default()
        };
        let mut client = ActionCacheClient::new(self.connection.channel.clone());
        let answer = client.update_action_result(self.connection.request(request));
        self.connection.done(answer.await)?;
        Ok(())
    }
}

impl RemoteBackend for ReapiBackend {
    /// For a name under `cas`, `most` is the exact size of the value.
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        match self.place(name)? {
            ValueName::Action(digest) => self.call(self.get_action(digest, most)),
            ValueName::Blob(hash) => {
                let size_bytes = i64::try_from(most).unwrap_or(i64::MAX);
                self.call(self.connection.read_blob(Digest { hash, size_bytes }))
            }
        }
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), BackendError> {
        match self.place(name)? {
            ValueName::Action(digest) => self.call(self.put_action(digest, value)),
            ValueName::Blob(hash) => {
                let digest = digest_of(value);
                if digest.hash != hash {
                    let why = format!("a value that has not the digest {hash}");
                    return Err(BackendError::Denied(self.naming().fault(why)));
                }
                self.call(self.connection.write_blob(digest, value))
            }
        }
    }

    /// Whether there is such a result; `false` for names under `cas`, whose sizes are not known.
    fn has(&self, name: &str) -> Result<bool, BackendError> {
        match self.place(name)? {
            ValueName::Action(digest) => {
                let most = MOST_INLINE as u64 * 2;
                Ok(self.call(self.result(digest, false, most))?.is_some())
            }
            ValueName::Blob(_) => Ok(false),
        }
    }

    fn probe(&self) -> Result<(), BackendError> {
        self.call(async {
            let mut client = CapabilitiesClient::new(self.connection.channel.clone());
            let request = v2::GetCapabilitiesRequest {
                instance_name: self.connection.instance.clone(),
            };
            let answer = client.get_capabilities(self.connection.request(request));
            self.connection.done(answer.await)?;
            Ok(())
        })
    }
}

fn digest_of(value: &[u8]) -> Digest {
    Digest {
        hash: hex::encode(Sha256::digest(value)),
        size_bytes: i64::try_from(value.len()).unwrap_or(i64::MAX),
    }
}
