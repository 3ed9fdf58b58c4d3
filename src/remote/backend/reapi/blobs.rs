//! Blobs of the content-addressable storage: small ones in one message, large ones in a stream.

use super::channel::Connection;
use super::v2;
use crate::remote::backend::BackendError;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use std::hash::{BuildHasher, RandomState};
use tonic::Code;
use tonic::codegen::tokio_stream;
use v2::Digest;
use v2::content_addressable_storage_client::ContentAddressableStorageClient;

/// Larger ones are sent in a stream: messages of more than 4 MiB are not taken.
const MOST_IN_MESSAGE: usize = 2 * 1024 * 1024;
/// The parts of a stream.
const PART: usize = 1024 * 1024;
/// Memory that is reserved because a digest says that so much will come.
const RESERVED: usize = 1024 * 1024;

impl Connection {
    fn storage(&self) -> ContentAddressableStorageClient<tonic::transport::Channel> {
        ContentAddressableStorageClient::new(self.channel.clone())
    }

    /// The blob with this digest.
    pub(super) async fn read_blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, BackendError> {
        let size = usize::try_from(digest.size_bytes).unwrap_or(usize::MAX);
        let found = if size == 0 {
            // Servers have this one at all times, or never.
            return Ok(Some(Vec::new()));
        } else if size <= MOST_IN_MESSAGE {
            self.read_in_message(digest).await?
        } else {
            self.read_stream(&digest, size).await?
        };
        match found {
            Some(value) if value.len() != size => {
                let why = format!("{} bytes in place of {size}", value.len());
                Err(BackendError::Garbled(self.naming.fault(why)))
            }
            found => Ok(found),
        }
    }

    async fn read_in_message(&self, digest: Digest) -> Result<Option<Vec<u8>>, BackendError> {
        let request = v2::BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: vec![digest],
            ..Default::default()
        };
        let mut storage = self.storage();
        let answer = storage.batch_read_blobs(self.request(request)).await;
        let Some(answer) = self.found(answer)? else {
            return Ok(None);
        };
        let Some(blob) = answer.responses.into_iter().next() else {
            let why = "an answer without a blob";
            return Err(BackendError::Garbled(self.naming.fault(why)));
        };
        match blob
            .status
            .map_or((0, String::new()), |status| (status.code, status.message))
        {
            (0, _) => Ok(Some(blob.data)),
            (code, _) if Code::from(code) == Code::NotFound => Ok(None),
            (code, words) => Err(self.name(&tonic::Status::new(Code::from(code), words))),
        }
    }

    async fn read_stream(
        &self,
        digest: &Digest,
        size: usize,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        let request = ReadRequest {
            resource_name: self.resource(&format!("blobs/{}/{size}", digest.hash)),
            ..Default::default()
        };
        let mut client = ByteStreamClient::new(self.channel.clone());
        let answer = client.read(self.request(request)).await;
        let Some(mut parts) = self.found(answer)? else {
            return Ok(None);
        };
        let mut value = Vec::with_capacity(size.min(RESERVED));
        loop {
            match parts.message().await {
                Ok(Some(part)) => value.extend_from_slice(&part.data),
                Ok(None) => return Ok(Some(value)),
                // Some servers say so only here.
                Err(status) if status.code() == Code::NotFound && value.is_empty() => {
                    return Ok(None);
                }
                Err(status) => return Err(self.name(&status)),
            }
            if value.len() > size {
                return Err(self.naming.too_large(value.len() as u64));
            }
        }
    }

    /// Keeps a blob, unless the server has it.
    pub(super) async fn write_blob(
        &self,
        digest: Digest,
        value: &[u8],
    ) -> Result<(), BackendError> {
        let request = v2::FindMissingBlobsRequest {
            instance_name: self.instance.clone(),
            blob_digests: vec![digest.clone()],
            ..Default::default()
        };
        let mut storage = self.storage();
        let missing = storage.find_missing_blobs(self.request(request)).await;
        if self.done(missing)?.missing_blob_digests.is_empty() {
            return Ok(());
        }
        if value.len() <= MOST_IN_MESSAGE {
            self.write_in_message(digest, value).await
        } else {
            self.write_stream(&digest, value).await
        }
    }

    async fn write_in_message(&self, digest: Digest, value: &[u8]) -> Result<(), BackendError> {
        let blob = v2::batch_update_blobs_request::Request {
            digest: Some(digest),
            data: value.to_vec(),
            ..Default::default()
        };
        let request = v2::BatchUpdateBlobsRequest {
            instance_name: self.instance.clone(),
            requests: vec![blob],
            ..Default::default()
        };
        let mut storage = self.storage();
        let answer = storage.batch_update_blobs(self.request(request)).await;
        let statuses = self.done(answer)?.responses.into_iter();
        let failed = statuses.filter_map(|blob| blob.status);
        match failed.into_iter().find(|status| status.code != 0) {
            None => Ok(()),
            Some(status) => {
                let code = Code::from(status.code);
                Err(self.name(&tonic::Status::new(code, status.message)))
            }
        }
    }

    async fn write_stream(&self, digest: &Digest, value: &[u8]) -> Result<(), BackendError> {
        let (hash, size) = (&digest.hash, value.len());
        let name = self.resource(&format!("uploads/{}/blobs/{hash}/{size}", uuid()));
        let parts: Vec<WriteRequest> = value
            .chunks(PART)
            .enumerate()
            .map(|(at, part)| WriteRequest {
                // In the first one only.
                resource_name: if at == 0 { name.clone() } else { String::new() },
                write_offset: i64::try_from(at * PART).unwrap_or(i64::MAX),
                finish_write: at * PART + part.len() == size,
                data: part.to_vec(),
            })
            .collect();
        let mut client = ByteStreamClient::new(self.channel.clone());
        let answer = client.write(self.request(tokio_stream::iter(parts))).await;
        let committed = self.done(answer)?.committed_size;
        // -1 from servers that had it already, if it is kept compressed.
        if committed == -1 || usize::try_from(committed).is_ok_and(|committed| committed == size) {
            return Ok(());
        }
        let why = format!("it took {committed} of {size} bytes");
        Err(BackendError::Garbled(self.naming.fault(why)))
    }

    fn resource(&self, name: &str) -> String {
        if self.instance.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.instance)
        }
    }
}

/// A name that no other upload has.
fn uuid() -> String {
    let random = || RandomState::new().hash_one(());
    let text = format!("{:016x}{:016x}", random(), random());
    let parts = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    parts.join("-")
}
