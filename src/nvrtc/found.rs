//! A result as the store has it: fetched whole, or not at all.

use super::key::Locality;
use super::log;
use super::program::{Program, ProgramOutput};
use super::record::NvrtcRecord;
use super::tiered_store::TieredStore;
use crate::key::Digest;
use std::collections::BTreeSet;

/// A result in the cache.
pub(super) struct FoundResult {
    pub key: Digest,
    /// What is remembered of it.
    pub record: NvrtcRecord,
    pub output: ProgramOutput,
}

/// The result under a key.
pub(super) fn fetch(
    level: &TieredStore,
    key: &Digest,
    scope: Locality,
    program: &Program,
    expressions: &[Vec<u8>],
) -> Option<FoundResult> {
    let stored = level.known_record(key).or_else(|| level.record(key))?;
    let record = NvrtcRecord::read(&stored)?;
    let lowered = record.lowered.iter().map(|(name, _)| name.as_bytes());
    let lowered: BTreeSet<_> = lowered.collect();
    let expressions: BTreeSet<_> = expressions.iter().map(Vec::as_slice).collect();
    // A result without code, or without a name that was asked for, is none.
    if record.artefacts.is_empty() || lowered != expressions {
        return None;
    }
    let log = level.artefact(&record.log)?;
    let lowered = record.lowered.iter();
    let lowered = lowered.map(|(name, lowered)| (name.clone().into(), lowered.clone().into()));
    let artefacts = record.artefacts.iter();
    let artefacts = artefacts.map(|(kind, found)| Some(((*kind).into(), level.artefact(found)?)));
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
    })
}
