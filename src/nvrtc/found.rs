//! Fetches a whole result from the store.

use super::key::Locality;
use super::log;
use super::program::{Program, ProgramOutput};
use super::record::NvrtcRecord;
use super::tiered_store::TieredStore;
use crate::key::Digest;
use crate::remote::Remote;
use std::collections::BTreeSet;

/// A result from the store.
pub(super) struct FoundResult {
    pub key: Digest,
    /// Its record.
    pub record: NvrtcRecord,
    pub output: ProgramOutput,
    /// Whether a server had it.
    pub is_served: bool,
}

/// The result under a key, with all its artefacts; `None` if any part is missing.
pub(super) fn fetch(
    (level, remote): (&TieredStore, Option<&Remote<'_>>),
    key: &Digest,
    scope: Locality,
    (program, expressions): (&Program, &[Vec<u8>]),
) -> Option<FoundResult> {
    let stored = level.known_record(key).or_else(|| level.record(key));
    let is_served = stored.is_none();
    let stored = stored.or_else(|| level.shared_record(key, remote))?;
    let record = NvrtcRecord::read(&stored)?;
    let lowered = record.lowered.iter().map(|(name, _)| name.as_bytes());
    let lowered: BTreeSet<_> = lowered.collect();
    let expressions: BTreeSet<_> = expressions.iter().map(Vec::as_slice).collect();
    // A result without code, or without the lowered name of an expression, is incomplete.
    if record.artefacts.is_empty() || lowered != expressions {
        return None;
    }
    let log = level.artefact(&record.log)?;
    let lowered = record.lowered.iter();
    let lowered = lowered.map(|(name, lowered)| (name.clone().into(), lowered.clone().into()));
    let artefacts = record.artefacts.iter();
    let artefacts =
        artefacts.map(|(kind, artefact)| Some(((*kind).into(), level.artefact(artefact)?)));
    let output = ProgramOutput {
        log: match scope {
            Locality::Anywhere => log::named(&log, program)?,
            Locality::ThisDirectory => log,
        },
        lowered: lowered.collect(),
        artefacts: artefacts.collect::<Option<_>>()?,
    };
    Some(FoundResult {
        key: *key,
        record,
        output,
        is_served,
    })
}
