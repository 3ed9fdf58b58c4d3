//! The journal as `pcache` reads it: compiles in the order in which they began, and which of them are
//! of one thing. Does not know what is told of them.

use crate::journal::Compile;
use crate::store::FileStore;
use crate::why::{Facts, Later, SCHEMA};
use anyhow::{Context, Error};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Every compile that the journal holds.
pub(super) fn compiles(store: &FileStore) -> Result<Vec<Compile>, Error> {
    let records = store.noted().context("cannot read the journal")?;
    let read = records.iter().filter_map(|text| Compile::from_text(text));
    let mut compiles: Vec<_> = read.collect();
    compiles.sort_by_key(|compile| compile.start);
    Ok(compiles)
}

/// What a compile depended on, if it is still stored.
pub(super) fn facts(store: &FileStore, compile: &Compile) -> Option<Facts> {
    let record = compile.facts.as_ref()?;
    if let Some(facts) = read::<Facts>(store, record) {
        return (facts.schema == SCHEMA).then_some(facts);
    }
    let later: Later = read(store, record)?;
    let base: Facts = read(store, &later.base)?;
    (later.schema == SCHEMA && base.schema == SCHEMA).then(|| base.at(&later))
}

fn read<T: DeserializeOwned>(store: &FileStore, record: &str) -> Option<T> {
    let stored = store.get_record(&hex::decode(record).ok()?).ok()??;
    serde_json::from_slice(&stored).ok()
}

/// Where a compile's sources are.
pub(super) fn sources(compile: &Compile) -> Vec<PathBuf> {
    let sources = compile.sources.iter();
    if compile.nvrtc {
        // Programs name what they compile as they like, and often in a new directory each time.
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

/// Whether people who say `path` can mean this compile: by its output or by a source of it. What is no
/// whole path may be the end of one.
pub(super) fn is_of(compile: &Compile, path: &Path) -> bool {
    let mut named = sources(compile);
    named.extend(output(compile));
    named.iter().any(|known| known.ends_with(path))
}

/// `path` as seen from `directory`, without dots that mean nothing.
fn place(directory: &str, path: &str) -> PathBuf {
    Path::new(directory).join(path).components().collect()
}
