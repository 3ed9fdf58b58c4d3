//! Brings records of servers into the local cache, and records of the local cache to servers. What a server sends is not
//! believed: its form, its signature if keys are trusted, every length and every digest are checked before anything of
//! it is stored.

use super::action_result;
use super::companions::Companions;
use super::pack::{Blob, Companion, Pack, PackedArtefact, PackedContent, of_blob};
use super::reach::SearchReach;
use super::server::{Server, Unanswered};
use super::signature::{SendingKey, Unopened, ValuePlace, has_signature, open, seal};
use crate::config::TrustedKeys;
use crate::includes::path_set::{self, PathSet};
use crate::key::{Digest as Key, pointer};
use crate::outcome::RemoteFailure;
use crate::remote::protocol::FetchAnswer;
use crate::remote::record_list;
use crate::stats::Counter;
use crate::store::{
    Artefact, FileStore, Name, QueuedRecord, Reading, RecordId, StoreError, SurveyedFile, Tree,
    Worth,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The most bytes of a value that a server may send.
const LONGEST_VALUE: u64 = 64 << 20;

/// More bytes than a large artefact has, compressed.
const LONGEST_BLOB: u64 = 2 << 30;

/// More bytes than the path set of a compile has. A longer one would only cost time.
const LONGEST_SET: usize = 4 << 20;

/// The servers and the local cache.
pub(super) struct Transfer {
    pub(super) store: FileStore,
    pub(super) servers: Vec<Server>,
    pub(super) key: Option<SendingKey>,
    pub(super) trusted: TrustedKeys,
    pub(super) useless: UselessValues,
    pub(super) companions: Companions,
}

/// Names of values that were of no use when they were fetched: garbled, or with a large artefact that the server has
/// dropped. They are sent again, though the server has them. After the first one, other values that are there are looked
/// at, too, before they are taken for sent.
#[derive(Default)]
pub(super) struct UselessValues {
    names: Mutex<HashSet<[u8; 32]>>,
    were_any: AtomicBool,
}

/// Most names that are remembered.
const MOST_USELESS: usize = 10_000;

impl UselessValues {
    fn lock(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: &[u8; 32]) {
        self.were_any.store(true, Ordering::Relaxed);
        let mut names = self.lock();
        if names.len() < MOST_USELESS {
            names.insert(*name);
        }
    }
}

/// A record that is to be brought, of path sets only those within `reach`.
#[derive(Clone, Copy)]
pub(super) struct WantedRecord<'a> {
    worth: Worth,
    name: Name,
    /// `None` if a list of records names it.
    key: Option<&'a Key>,
    reach: &'a SearchReach,
}

impl<'a> WantedRecord<'a> {
    pub(super) fn of(id: &'a RecordId, reach: &'a SearchReach) -> Self {
        Self {
            worth: id.worth,
            name: Name::of(&id.key),
            key: Some(&id.key),
            reach,
        }
    }

    pub(super) fn named(worth: Worth, name: Name, reach: &'a SearchReach) -> Self {
        Self {
            worth,
            name,
            key: None,
            reach,
        }
    }
}

/// What became of a record that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// It is on every server to which anything is sent.
    Done,
    /// A list of path sets that was written now. Another machine may have read the one before at the same moment, and
    /// have written its own: it is sent again a little later, which is [`Sending::Done`] if nothing is missing.
    ListWritten,
    /// It cannot be sent: it, or something that it names, was removed from the local cache, or is too large for a server.
    Gone,
    /// A server did not answer. It is tried again.
    Later,
}

impl Transfer {
    /// Brings a record, and what it names, into the local cache.
    pub(super) fn fetch(&self, wanted: WantedRecord<'_>) -> FetchAnswer {
        let began = Instant::now();
        let companion = self.fetch_companion(wanted);
        let asked = if companion.is_some() {
            &[]
        } else {
            self.servers.as_slice()
        };
        let mut answer = companion.unwrap_or(FetchAnswer::Absent);
        'servers: for server in asked {
            for namespace in &server.settings.namespaces {
                match self.fetch_from(server, namespace, wanted) {
                    Ok(FetchAnswer::Imported) => {
                        answer = FetchAnswer::Imported;
                        break 'servers;
                    }
                    Ok(FetchAnswer::Known) => answer = FetchAnswer::Known,
                    Ok(_) => {}
                    Err(_) => answer = FetchAnswer::Failed,
                }
            }
        }
        let stats = self.store.stats();
        match answer {
            FetchAnswer::Imported => stats.add(Counter::RemoteHit, 1),
            FetchAnswer::Known => stats.add(Counter::RemoteUnchanged, 1),
            FetchAnswer::Absent => stats.add(Counter::RemoteMiss, 1),
            // What failed was counted, and nothing is known of the record.
            FetchAnswer::Failed => return answer,
        }
        let microseconds = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        stats.add(Counter::RemoteMicroseconds, microseconds);
        answer
    }

    fn fetch_from(
        &self,
        server: &Server,
        namespace: &str,
        wanted: WantedRecord<'_>,
    ) -> Result<FetchAnswer, Unanswered> {
        let name = wanted.name.0;
        let Some(value) = server.get(&record_path(namespace, &name), LONGEST_VALUE)? else {
            return Ok(FetchAnswer::Absent);
        };
        let opened = self.opened(&value, namespace, &name);
        let opened = opened.and_then(|pack| {
            let is_meant = pack.worth == wanted.worth;
            is_meant.then_some(pack).ok_or(Unopened::Garbled)
        });
        let pack = opened.map_err(|unopened| {
            self.useless.note(&name);
            self.failed(match unopened {
                Unopened::Garbled => RemoteFailure::Garbled,
                Unopened::Untrusted => RemoteFailure::Untrusted,
            })
        })?;
        let pack = self
            .companions
            .set_aside(pack, &server.settings.url, namespace);
        self.import_whole(server, namespace, wanted, pack)
    }

    /// Stores a pack, once it has all its artefacts.
    fn import_whole(
        &self,
        server: &Server,
        namespace: &str,
        wanted: WantedRecord<'_>,
        pack: Pack,
    ) -> Result<FetchAnswer, Unanswered> {
        let name = wanted.name.0;
        let Some(pack) = self.with_blobs(server, namespace, &name, pack)? else {
            // The record alone is of no use.
            return Ok(FetchAnswer::Absent);
        };
        if wanted.key.is_none() && !record_list::is_shared(&pack.value) {
            return Err(self.failed(RemoteFailure::Untrusted));
        }
        let stored = self.import(wanted, &pack);
        stored.map_err(|_| self.failed(RemoteFailure::Store))
    }

    /// Stores a record that came with the pointer to it, without asking the server again.
    fn fetch_companion(&self, wanted: WantedRecord<'_>) -> Option<FetchAnswer> {
        let found = self.companions.take(&wanted.name.0)?;
        let mut servers = self.servers.iter();
        let server = servers.find(|one| one.settings.url == found.url)?;
        let is_meant = found.pack.worth == wanted.worth;
        let imported = is_meant.then(|| {
            self.import_whole(server, &found.namespace, wanted, found.pack)
                .ok()
        })?;
        imported.filter(|answer| *answer == FetchAnswer::Imported)
    }

    /// The pack in a value, if it may be believed.
    fn opened(&self, value: &[u8], namespace: &str, name: &[u8; 32]) -> Result<Pack, Unopened> {
        let place = ValuePlace { namespace, name };
        let body = action_result::decode(value).ok_or(Unopened::Garbled);
        let body = body.and_then(|body| open(body, place, &self.trusted));
        body.and_then(|body| Pack::read(body).ok_or(Unopened::Garbled))
    }

    fn failed(&self, failure: RemoteFailure) -> Unanswered {
        self.store.stats().add(Counter::RemoteFailed(failure), 1);
        Unanswered::Now
    }

    /// The pack with the bytes of all its artefacts, except those that the local cache has. `None` if the server has
    /// dropped one.
    fn with_blobs(
        &self,
        server: &Server,
        namespace: &str,
        name: &[u8; 32],
        mut pack: Pack,
    ) -> Result<Option<Pack>, Unanswered> {
        let mut artefacts = Vec::new();
        for one in pack.artefacts {
            let PackedContent::Blob(blob) = &one.content else {
                artefacts.push(one);
                continue;
            };
            if matches!(self.store.get_artefact(&one.artefact), Ok(Some(_))) {
                continue;
            }
            let path = blob_path(namespace, blob);
            let most = blob.size.min(LONGEST_BLOB);
            let Some(value) = server.get(&path, most)? else {
                self.useless.note(name);
                return Ok(None);
            };
            let bytes = of_blob(&value, &one.artefact).ok_or_else(|| {
                self.useless.note(name);
                self.failed(RemoteFailure::Garbled)
            })?;
            artefacts.push(PackedArtefact {
                content: PackedContent::Inline(bytes),
                ..one
            });
        }
        pack.artefacts = artefacts;
        Ok(Some(pack))
    }

    /// Stores what a record names, and then the record, unless the local cache has all of it already.
    fn import(&self, wanted: WantedRecord<'_>, pack: &Pack) -> Result<FetchAnswer, StoreError> {
        for one in &pack.artefacts {
            if let PackedContent::Inline(bytes) = &one.content {
                self.store.put_for(one.usage, bytes)?;
            }
        }
        if pack.value.starts_with(path_set::TITLE) {
            let local = self.here(wanted)?;
            let Some(merged) = merged(local.as_deref(), &pack.value, Some(wanted.reach)) else {
                return Ok(FetchAnswer::Known);
            };
            self.put(wanted, &merged)?;
        } else {
            self.put(wanted, &pack.value)?;
        }
        Ok(FetchAnswer::Imported)
    }

    /// The record as it is in the local cache.
    fn here(&self, wanted: WantedRecord<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        match wanted.key {
            Some(key) => self.store.get_record(key),
            None => Ok(self.stored(wanted.worth, wanted.name)),
        }
    }

    fn put(&self, wanted: WantedRecord<'_>, value: &[u8]) -> Result<(), StoreError> {
        let store = &self.store;
        match (wanted.key, wanted.worth) {
            (Some(key), Worth::Intermediate) => store.put_intermediate_record(key, value),
            (Some(key), Worth::Result) => store.put_record(key, value),
            (None, worth) => store.put_named_record(worth, wanted.name, value).map(drop),
        }
    }

    /// Whether any server takes anything now.
    pub(super) fn may_send(&self) -> bool {
        self.writable()
            .any(|server| server.send_breaker.is_closed())
    }

    /// Whether anything is ever sent. A machine that would not believe its own results sends none.
    pub(super) fn is_sender(&self) -> bool {
        let is_reader = self.key.is_none() && !self.trusted.0.is_empty();
        !is_reader && self.writable().next().is_some()
    }

    fn writable(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|one| !one.settings.read_only)
    }

    /// Sends a record, and what it names, to every server to which anything is sent.
    pub(super) fn send(&self, record: &QueuedRecord) -> Sending {
        let Some((pack, blobs)) = self.packed(record) else {
            return Sending::Gone;
        };
        let name = match record {
            QueuedRecord::Made(id) => Name::of(&id.key).0,
            QueuedRecord::Stored(_, name) => name.0,
        };
        let mut sent = Sending::Done;
        let is_list = pack.value.starts_with(path_set::TITLE);
        for server in self.writable() {
            match self.send_to(server, &name, &pack, &blobs) {
                Ok(true) => {
                    self.store.stats().add(Counter::RemoteSent, 1);
                    if is_list && sent == Sending::Done {
                        sent = Sending::ListWritten;
                    }
                }
                Ok(false) => {}
                Err(Unanswered::Now) => sent = Sending::Later,
                Err(Unanswered::Ever) if sent == Sending::Done => sent = Sending::Gone,
                Err(Unanswered::Ever) => {}
            }
        }
        if matches!(sent, Sending::Done | Sending::ListWritten) {
            self.useless.lock().remove(&name);
        }
        sent
    }

    /// Sends a pack, unless the server has it. Returns whether it was sent.
    fn send_to(
        &self,
        server: &Server,
        name: &[u8; 32],
        pack: &Pack,
        blobs: &[Blob],
    ) -> Result<bool, Unanswered> {
        let Some(namespace) = server.settings.namespaces.first() else {
            return Ok(false);
        };
        let path = record_path(namespace, name);
        let mut pack = std::borrow::Cow::Borrowed(pack);
        let is_list = pack.value.starts_with(path_set::TITLE);
        // A list of records has a name that people choose: another one takes its place.
        let is_replaced =
            self.useless.lock().contains(name) || pack.value.starts_with(record_list::TITLE);
        if is_list || self.key.is_some() || self.useless.were_any.load(Ordering::Relaxed) {
            let there = server.get_to_send(&path, LONGEST_VALUE)?;
            if self.key.is_none() && there.as_deref().is_some_and(is_signed) {
                // Others would no longer believe it.
                return Ok(false);
            }
            // A value that is not believed is replaced.
            let there = there.and_then(|value| self.opened(&value, namespace, name).ok());
            match there {
                Some(there) if is_list => match merged(Some(&there.value), &pack.value, None) {
                    Some(list) => pack.to_mut().value = list,
                    None => return Ok(false),
                },
                Some(_) if !is_replaced => return Ok(false),
                Some(_) | None => {}
            }
        } else if !is_replaced && server.has(&path)? {
            return Ok(false);
        }
        for blob in blobs {
            let path = blob_path(namespace, &blob.name);
            if is_replaced || !server.has(&path)? {
                server.put(&path, &blob.bytes)?;
            }
        }
        let place = ValuePlace { namespace, name };
        let Some(body) = pack.bytes() else {
            return Ok(false);
        };
        let body = seal(&body, place, self.key.as_ref());
        let value = action_result::encode(&body, blobs.iter().map(|blob| &blob.name));
        server.put(&path, &value)?;
        Ok(true)
    }

    /// A record of the local cache with what it names. `None` if something of it is gone.
    fn packed(&self, record: &QueuedRecord) -> Option<(Pack, Vec<Blob>)> {
        let (worth, value) = match record {
            QueuedRecord::Made(id) => (id.worth, self.made(id)?),
            QueuedRecord::Stored(worth, name) => (*worth, self.stored(*worth, *name)?),
        };
        let led_to = pointer::leads_to(&value).and_then(|name| {
            let value = self.stored(Worth::Result, Name(name))?;
            Some(Companion { name, value })
        });
        // A pointer names no artefacts.
        let naming = led_to.as_ref().map_or(&value, |record| &record.value);
        let named = serde_json::from_slice::<Value>(naming);
        let named = named.map_or(Vec::new(), |record| Artefact::all_in(&record));
        let mut pack = Pack {
            worth,
            value,
            companion: led_to,
            artefacts: Vec::new(),
        };
        let mut blobs = Vec::new();
        for artefact in &named {
            if pack.artefacts.iter().any(|one| one.artefact == *artefact) {
                continue;
            }
            let found = self.store.open_artefact(artefact).ok()??;
            blobs.extend(pack.add(found.bytes, found.usage));
        }
        Some((pack, blobs))
    }
}

impl Transfer {
    fn made(&self, id: &RecordId) -> Option<Vec<u8>> {
        let value = match id.worth {
            Worth::Result => self.store.get_record(&id.key),
            Worth::Intermediate => self.store.get_intermediate_record(&id.key),
        };
        value.ok()?
    }

    fn stored(&self, worth: Worth, name: Name) -> Option<Vec<u8>> {
        let reading = self
            .store
            .look_at((Tree::records(worth), name), |file: &SurveyedFile<'_>| {
                file.record()
            });
        match reading.ok()??.ok()? {
            Reading::Whole(value) => Some(value),
            Reading::Signed | Reading::Damaged | Reading::Gone => None,
        }
    }
}

/// Whether a value has a signature, whatever it is worth.
fn is_signed(value: &[u8]) -> bool {
    action_result::decode(value).is_some_and(has_signature)
}

/// The list of `first` with the sets of `newer` in front. `None` if it has all of them already. Sets whose names do not
/// follow from their bytes are left out, and those that lead to other files than `reach` allows.
fn merged(first: Option<&[u8]>, newer: &[u8], reach: Option<&SearchReach>) -> Option<Vec<u8>> {
    let read = |list: &[u8]| path_set::read_list(list).unwrap_or_default();
    let mut sets: Vec<PathSet> = first.map(read).unwrap_or_default();
    let mut list = None;
    for set in read(newer).into_iter().rev() {
        let is_whole = set.bytes().len() <= LONGEST_SET
            && <[u8; 32]>::from(Sha256::digest(set.bytes())) == set.digest;
        if !is_whole || sets.contains(&set) || !reach.is_none_or(|reach| reach.covers(&set)) {
            continue;
        }
        let longer = path_set::list_with(set, sets)?;
        sets = read(&longer);
        list = Some(longer);
    }
    list
}

/// Where a record lies on servers.
fn record_path(namespace: &str, name: &[u8; 32]) -> String {
    format!("{namespace}/ac/{}", hex::encode(name))
}

/// Where a large artefact lies on servers, under the digest of its compressed bytes.
fn blob_path(namespace: &str, blob: &Artefact) -> String {
    format!("{namespace}/cas/{}", blob.hex())
}
