//! Stores a unit's product, and reads it back.

use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::{HeldFile, QuotedSources, digested};
use crate::compile::request::messages;
use crate::compile::run::printed::Printed;
use crate::compile::unit::needs::Needs;
use crate::compile::unit::product::{Product, intermediates};
use crate::compile::unit::record::{Kept, SCHEMA, Stream, UnitOutput, UnitRecord};
use crate::key::{Digest, Digester, RootSet, Sink, list};
use crate::plan::FileKind;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What is stored under a unit's key.
pub(crate) enum StoredUnit {
    /// The result of the unit.
    Product(Product),
    /// A note that each output has a key of its own.
    PerOutput,
}

impl StoredUnit {
    /// The product, if it is one.
    pub(crate) fn product(self) -> Option<Product> {
        match self {
            Self::Product(product) => Some(product),
            Self::PerOutput => None,
        }
    }
}

/// What the key of a result holds besides the key of its unit, under which a pointer lies if this is anything.
pub(crate) struct KeyParts<'a> {
    pub needs: Needs,
    /// The files that the assembler included.
    pub binaries: &'a [HeldFile],
}

/// The unit stored under `key`, if all of it can be read and the sources that it quotes are unchanged.
pub(crate) fn fetch(work: &UnitContext<'_>, key: &Digest, stages: &[usize]) -> Option<StoredUnit> {
    let (record, binaries) = follow(work, key)?;
    let sources = record.sources.with_paths(|path| expanded(work, path))?;
    if !sources.are_unchanged() {
        return None;
    }
    if record.tied {
        return Some(StoredUnit::PerOutput);
    }
    let stage_of = |command: usize| stages.get(command).copied();
    let mut product = Product {
        milliseconds: record.milliseconds,
        shows_id: record.shows_id,
        roots: RootSet::named(record.roots.iter().map(String::as_str))?,
        binaries,
        ..Product::default()
    };
    for output in &record.outputs {
        let file = work.stage(stage_of(output.command)?).output?;
        product
            .outputs
            .push((file, work.cache.artefact(&output.artefact)?));
    }
    let results = work.unit.results.iter();
    let files = product.outputs.iter().map(|(file, _)| file);
    // Exactly the unit's results, each once.
    let complete = results.collect::<BTreeSet<_>>() == files.clone().collect::<BTreeSet<_>>()
        && files.count() == work.unit.results.len();
    // A record must not make other files appear in the keep directory.
    let temporaries = temporaries(work);
    for kept in &record.kept {
        if !temporaries.contains(&OsStr::new(&kept.name)) {
            return None;
        }
        product
            .kept
            .push((kept.name.clone(), work.cache.artefact(&kept.artefact)?));
    }
    for stream in &record.streams {
        let number = stage_of(stream.command)?;
        let printed = Printed::fetch(work.cache, [&stream.stdout, &stream.stderr])?;
        product.printed.push((number, printed));
    }
    product.printed.sort_by_key(|(number, _)| *number);
    product.sources = sources;
    complete.then_some(StoredUnit::Product(product))
}

fn read(work: &UnitContext<'_>, key: &Digest) -> Option<UnitRecord> {
    let record: UnitRecord = serde_json::from_slice(&work.cache.record(key)?).ok()?;
    (record.schema == SCHEMA).then_some(record)
}

/// The record of the result under `key`, or under the key to which a pointer leads; with the files that its assembler
/// included, and their present digests.
fn follow(work: &UnitContext<'_>, key: &Digest) -> Option<(UnitRecord, Vec<HeldFile>)> {
    let record = read(work, key)?;
    if record.needs.is_empty() && record.binaries.is_empty() {
        return Some((record, Vec::new()));
    }
    let paths = record.binaries.iter().map(|path| expanded(work, path));
    let binaries = digested(paths.collect::<Option<Vec<_>>>()?.iter())?;
    let parts = KeyParts {
        needs: record.needs,
        binaries: &binaries,
    };
    let record = read(work, &scoped(work, key, &parts)?)?;
    Some((record, binaries))
}

/// The key of a result that depends on `parts` too. `None` if a path cannot be told from one below another root.
fn scoped(work: &UnitContext<'_>, key: &Digest, parts: &KeyParts<'_>) -> Option<Digest> {
    let needs = parts.needs;
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc unit needs 1");
    sink.one("unit", key);
    let messages = needs
        .messages
        .then(|| messages::facts(work.facts.diagnostics));
    let messages = messages.iter().flatten().map(Vec::as_slice);
    list(&mut sink, "messages", messages);
    let places = work.roots.paths(needs.roots);
    list(&mut sink, "places", places.iter().map(Vec::as_slice));
    for binary in parts.binaries {
        let path = shortened(work, &binary.path)?;
        sink.one("binary", path.as_os_str().as_bytes());
        sink.one("contents", binary.sha256.as_bytes());
    }
    Some(sink.finish())
}

/// Stores `record`, which depends on `parts`, under `key`. Returns whether it is stored.
pub(crate) fn keep(
    work: &UnitContext<'_>,
    key: &Digest,
    parts: &KeyParts<'_>,
    record: &UnitRecord,
) -> bool {
    if parts.needs.is_empty() && parts.binaries.is_empty() {
        return work.cache.keep_record(key, record);
    }
    let names = parts.binaries.iter();
    let names = names.map(|binary| shortened(work, &binary.path));
    let (Some(binaries), Some(scoped)) = (names.collect(), scoped(work, key, parts)) else {
        return false;
    };
    let pointer = UnitRecord {
        needs: parts.needs,
        binaries,
        ..empty_record(work)
    };
    work.cache.keep_record(&scoped, record) && work.cache.keep_record(key, &pointer)
}

/// Stores what lies under the key `from` under `to` as well.
pub(crate) fn copy(work: &UnitContext<'_>, from: &Digest, to: &Digest) {
    let needs = read(work, from).map(|pointer| pointer.needs);
    if let (Some(needs), Some((record, binaries))) = (needs, follow(work, from)) {
        let parts = KeyParts {
            needs,
            binaries: &binaries,
        };
        keep(work, to, &parts, &record);
    }
}

/// A path below the name of its root.
fn shortened(work: &UnitContext<'_>, path: &Path) -> Option<PathBuf> {
    let short = work.roots.shorten(path.as_os_str().as_bytes())?;
    Some(OsString::from_vec(short.into_owned()).into())
}

/// The path of which [`shortened`] made `path`.
fn expanded(work: &UnitContext<'_>, path: &Path) -> Option<PathBuf> {
    let mut buffer = Vec::new();
    let path = work
        .roots
        .expand(path.as_os_str().as_bytes(), &mut buffer)?;
    Some(path.to_owned())
}

/// The names of the unit's intermediate files.
fn temporaries<'a>(work: &UnitContext<'a>) -> BTreeSet<&'a OsStr> {
    intermediates(work.plan, work.unit)
        .into_iter()
        .map(|file| work.plan.file(file))
        .filter(|file| file.kind == FileKind::Temp)
        .map(|file| file.path.as_os_str())
        .collect()
}

/// Stores the product's bytes as artefacts, and returns the record that names them. `None` if one could not be
/// stored.
pub(crate) fn record(
    work: &UnitContext<'_>,
    stages: &[usize],
    product: &Product,
) -> Option<UnitRecord> {
    let command_of = |number: usize| stages.iter().position(|stage| *stage == number);
    let mut record = UnitRecord {
        sources: product.sources.with_paths(|path| shortened(work, path))?,
        shows_id: product.shows_id,
        roots: product
            .roots
            .names()
            .map(|root| root.text().to_owned())
            .collect(),
        milliseconds: product.milliseconds,
        ..empty_record(work)
    };
    for (file, bytes) in &product.outputs {
        let writer = |number: &&usize| work.stage(**number).output == Some(*file);
        let command = command_of(*work.unit.stages.iter().find(writer)?)?;
        let artefact = work.cache.keep_artefact(bytes)?;
        record.outputs.push(UnitOutput { command, artefact });
    }
    for (name, bytes) in &product.kept {
        let artefact = work.cache.keep_artefact(bytes)?;
        record.kept.push(Kept {
            name: name.clone(),
            artefact,
        });
    }
    for (number, printed) in &product.printed {
        let [stdout, stderr] = printed.keep(work.cache)?;
        record.streams.push(Stream {
            command: command_of(*number)?,
            stdout,
            stderr,
        });
    }
    Some(record)
}

/// Stores a note under `key` that each output has a key of its own.
pub(crate) fn keep_per_output(work: &UnitContext<'_>, key: &Digest) {
    let record = UnitRecord {
        tied: true,
        ..empty_record(work)
    };
    work.cache.keep_record(key, &record);
}

fn empty_record(work: &UnitContext<'_>) -> UnitRecord {
    UnitRecord {
        schema: SCHEMA,
        outputs: Vec::new(),
        kept: Vec::new(),
        streams: Vec::new(),
        sources: QuotedSources::default(),
        tied: false,
        needs: Needs::default(),
        binaries: Vec::new(),
        shows_id: false,
        roots: Vec::new(),
        milliseconds: 0,
        source: work.source(),
    }
}
