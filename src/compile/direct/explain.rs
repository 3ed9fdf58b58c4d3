//! What an invocation depended on, collected for `pcache explain` while it is known, and stored under
//! a key of its content. Best effort: on failure `pcache explain`
//! knows less, and the compile is unaffected.

use crate::cmdline::Job;
use crate::compile::direct::dependencies::ResolvedDependencies;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::request::direct_key::DirectKeyInputs;
use crate::compile::store_view::StoreView;
use crate::explain::{
    DependencyReport, File, Later, SCHEMA, ToolFacts, UnitFacts, fields, flags, options, shared,
    text,
};
use crate::includes::digests::DigestTable;
use crate::includes::markers::Origin;
use crate::includes::tokens;
use crate::key::{Digest, Digester, Explanation, Sink};
use crate::toolchain::Toolchain;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Variables that are folded into the job.
const FOLDED: [&str; 2] = ["NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"];

/// One unit's part.
pub(crate) struct ExplainedUnit<'a> {
    pub key: &'a Digest,
    /// The fields of its key.
    pub fields: &'a Explanation,
    /// What its passes read.
    pub known: &'a ReadFiles,
}

/// What an invocation depended on, as far as it is known when all units are done.
pub(crate) struct Collector<'a> {
    pub request: &'a DirectKeyInputs<'a>,
    /// What it asks for.
    pub job: &'a Job,
    pub toolchain: &'a Toolchain,
    /// Why every byte of the sources counts, if it does.
    pub exact: Option<&'a str>,
    pub units: Vec<ExplainedUnit<'a>>,
}

impl Collector<'_> {
    /// Collects the facts, with those that direct mode has `followed`, and stores them; the name by
    /// which they are found again.
    pub(crate) fn keep(
        &self,
        cache: &StoreView<'_>,
        followed: Option<&ResolvedDependencies<'_>>,
    ) -> Option<String> {
        if cache.store.is_none() || cache.readonly {
            return None;
        }
        keep(cache, &self.facts(cache, followed).to_record()?)
    }

    fn facts(
        &self,
        cache: &StoreView<'_>,
        followed: Option<&ResolvedDependencies<'_>>,
    ) -> DependencyReport {
        let mut written = Explanation::default();
        self.request.write(&mut written);
        let set = FOLDED.iter().filter_map(|name| {
            let value = env::var_os(name)?;
            Some(((*name).to_owned(), flags(value.as_bytes())))
        });
        let tools = self.toolchain.roles.iter().zip(&self.toolchain.tools);
        let shared = shared();
        let units = self.units.iter().map(|unit| UnitFacts {
            key: hex::encode(unit.key),
            fields: fields(unit.fields, &shared),
        });
        let mut facts = DependencyReport {
            schema: SCHEMA,
            request: fields(&written, &["job"]),
            job: options(&written),
            folded: set.collect(),
            command: words(self.job).unwrap_or_default(),
            tools: tools
                .map(|((role, sha256), path)| ToolFacts {
                    role: role.clone(),
                    path: shown(path),
                    sha256: sha256.clone(),
                })
                .collect(),
            units: units.collect(),
            exact: self.exact.map(str::to_owned),
            ..DependencyReport::default()
        };
        match followed {
            Some(followed) => add_followed(&mut facts, followed),
            None => facts.files = self.digested(cache.digests),
        }
        self.add_includers(&mut facts.files);
        facts
    }

    /// The files without the places where they were looked for: where direct mode cannot tell those.
    fn digested(&self, table: Option<&DigestTable>) -> Vec<File> {
        let nowhere = DigestTable::nowhere();
        let table = table.unwrap_or(&nowhere);
        let read = self.units.iter().flat_map(|unit| {
            let known = unit.known;
            known.preprocessed().chain(known.raw())
        });
        let mut found: BTreeMap<&PathBuf, File> = BTreeMap::new();
        for path in read {
            if let Ok((_, digest)) = table.digest_of(path) {
                found.insert(path, file(path, &digest, None));
            }
        }
        found.into_values().collect()
    }

    /// Says of each file which one included it, and of the user's own what their tokens are: the text of
    /// the others is not changed by hand.
    fn add_includers(&self, files: &mut [File]) {
        let places = files.iter().enumerate();
        let places: HashMap<_, _> = places.map(|(at, file)| (file.path.clone(), at)).collect();
        for unit in &self.units {
            for (path, entered) in unit.known.entered() {
                let Some(&at) = places.get(&shown(path)) else {
                    continue;
                };
                let by = entered.by.as_ref();
                let by = by.and_then(|by| places.get(&shown(by))).copied();
                files[at].by = files[at].by.or(by.filter(|by| *by != at));
                if files[at].tokens.is_none() && entered.origin == Origin::User {
                    let read = std::fs::read(path).ok();
                    let found = read.and_then(|text| tokens::digest(&text));
                    files[at].tokens = found.map(|found| start(&found.lines));
                }
            }
        }
    }
}

/// Stores the facts of a hit whose files hold other bytes than those of its result's compile, with the
/// same tokens; the name by which they are found again.
pub(crate) fn keep_later<'p>(
    cache: &StoreView<'_>,
    base: String,
    changed: impl Iterator<Item = (&'p Path, &'p Digest)>,
) -> Option<String> {
    let later = Later {
        schema: SCHEMA,
        base,
        contents: changed
            .map(|(path, digest)| (shown(path), start(digest)))
            .collect(),
    };
    keep(cache, &serde_json::to_vec(&later).ok()?)
}

/// Stores a record under a key of its content.
fn keep(cache: &StoreView<'_>, record: &[u8]) -> Option<String> {
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc facts 1");
    sink.one("content", &Sha256::digest(record));
    let key = sink.finish();
    cache.keep(&key, record).then(|| hex::encode(key))
}

/// The job's arguments as text; secrets go where the record is made.
fn words(job: &Job) -> Option<Vec<String>> {
    let words = job.nameless_args().into_iter();
    words.map(|word| word.into_string().ok()).collect()
}

fn add_followed(facts: &mut DependencyReport, followed: &ResolvedDependencies<'_>) {
    let lookups = &followed.lookups;
    let files = lookups.files.iter().zip(&followed.contents).enumerate();
    let tokens = |at: usize| followed.tokens.as_ref()?.get(at)?.as_ref();
    facts.files = files
        .map(|(at, (path, digest))| file(path, digest, tokens(at).map(|found| &found.lines)))
        .collect();
    let absent = lookups.absent.iter().map(|(directory, names)| {
        let names = names.iter().map(shown).collect();
        (shown(directory), names)
    });
    facts.absent = absent.collect();
    let present = lookups.present.iter().chain(&lookups.directories);
    facts.present = present.map(shown).collect();
    let links = lookups.same.iter();
    facts.links = links
        .map(|(path, real)| (shown(path), shown(real)))
        .collect();
}

fn file(path: &Path, digest: &Digest, tokens: Option<&Digest>) -> File {
    File {
        path: shown(path),
        digest: start(digest),
        tokens: tokens.map(start),
        by: None,
    }
}

/// Enough of a digest to tell two versions of a file apart.
fn start(digest: &Digest) -> String {
    hex::encode(&digest[..8])
}

fn shown(path: impl AsRef<OsStr>) -> String {
    text(path.as_ref().as_bytes())
}
