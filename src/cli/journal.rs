//! The journal as `pcache` reads it: compiles in the order in which they began, with their sources, outputs and facts.

use crate::explain::{DependencyReport, FactsRecord, Later, SCHEMA};
use crate::journal::{Compile, place};
use crate::store::FileStore;
use anyhow::{Context as _, Error};
use std::path::{Path, PathBuf};

/// Every compile that the journal holds.
pub(super) fn compiles(store: &FileStore) -> Result<Vec<Compile>, Error> {
    let noted = store.noted().context("cannot read the journal")?;
    Ok(compiles_of(&noted))
}

/// Those among the journal's records.
pub(super) fn compiles_of(noted: &[String]) -> Vec<Compile> {
    let read = noted.iter().filter_map(|text| Compile::from_text(text));
    let mut compiles: Vec<_> = read.collect();
    compiles.sort_by_key(|compile| compile.start);
    compiles
}

/// What a compile depended on, if it is still stored.
pub(super) fn facts(store: &FileStore, compile: &Compile) -> Option<DependencyReport> {
    let record = record(store, compile.facts.as_ref()?)?;
    let report =
        |record: &[u8]| DependencyReport::from_records(record, |key| self::record(store, key));
    if let Some(facts) = report(&record) {
        return Some(facts);
    }
    let later: Later = serde_json::from_slice(&record).ok()?;
    let later = Some(later).filter(|later| later.schema == SCHEMA)?;
    let base = report(&self::record(store, &later.base)?)?;
    Some(base.at(&later))
}

/// The facts under `key`, which is one of their content. The journal is this user's own and the record need not be: it
/// may have been imported. So no other content is believed, since `verify --recompile` runs the command in it.
fn record(store: &FileStore, key: &str) -> Option<Vec<u8>> {
    let record = store.get_intermediate_record(&hex::decode(key).ok()?);
    let record = FactsRecord::new(record.ok()??);
    (hex::encode(record.key) == key).then_some(record.bytes)
}

/// Where a compile's sources are.
pub(super) fn sources(compile: &Compile) -> Vec<PathBuf> {
    let sources = compile.sources.iter();
    if compile.nvrtc {
        // Programs often put their sources into a new directory each time.
        let names = sources.map(|name| Path::new(name).file_name().unwrap_or_default());
        return names.map(PathBuf::from).collect();
    }
    sources
        .map(|path| place(&compile.directory, path))
        .collect()
}

/// Where its output is, if `-o` names it.
pub(super) fn output(compile: &Compile) -> Option<PathBuf> {
    let output = compile.output.as_ref();
    output.map(|path| place(&compile.directory, path))
}

/// Whether `path` is the output or a source of this compile, or the end of its path.
pub(super) fn is_of(compile: &Compile, path: &Path) -> bool {
    let mut named = sources(compile);
    named.extend(output(compile));
    named.iter().any(|known| known.ends_with(path))
}
