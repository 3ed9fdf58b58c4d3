//! Collects what an invocation depended on, for `pcache explain`, and stores it under a key of its content.
//! Best effort: on failure `pcache explain` knows less, and the compile is unaffected.

use crate::cmdline::Job;
use crate::compile::direct::dependencies::ResolvedDependencies;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::request::direct_key::DirectKeyInputs;
use crate::compile::request::environment;
use crate::compile::store_view::StoreView;
use crate::explain::{
    DependencyReport, FactsRecord, File, Later, SCHEMA, ToolFacts, UnitFacts, fields, flags,
    options, shared, text,
};
use crate::includes::digests::DigestTable;
use crate::includes::markers::Origin;
use crate::includes::tokens;
use crate::key::{Digest, Explanation, RootName};
use crate::toolchain::Toolchain;
use std::collections::{BTreeMap, HashMap};
use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Variables that are folded into the job.
const FOLDED: [&str; 2] = ["NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"];

/// What the report says about one unit.
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
    /// What the invocation asks for.
    pub job: &'a Job,
    pub toolchain: &'a Toolchain,
    /// Whether it printed anything.
    pub has_messages: bool,
    /// Whether a pass gave something that may be a time.
    pub has_times: bool,
    /// Why semantic matching is off, if it is.
    pub exact: Option<&'a str>,
    pub units: Vec<ExplainedUnit<'a>>,
}

impl Collector<'_> {
    /// Collects the facts, including the `dependencies` that direct mode has resolved, and stores them. Returns
    /// their key in hex; `None` if they could not be stored.
    pub(crate) fn keep(
        &self,
        cache: &StoreView<'_>,
        dependencies: Option<&ResolvedDependencies<'_>>,
    ) -> Option<String> {
        if cache.store.is_none() || cache.readonly {
            return None;
        }
        let [common, own] = self.facts(cache, dependencies).to_records()?;
        keep(cache, &common)?;
        keep(cache, &own)
    }

    /// The report. Without `dependencies`, it lists the files that the passes read, but no probed paths or links.
    fn facts(
        &self,
        cache: &StoreView<'_>,
        dependencies: Option<&ResolvedDependencies<'_>>,
    ) -> DependencyReport {
        let key_fields = self.key_fields();
        let folded = FOLDED.iter().filter_map(|name| {
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
            request: fields(&key_fields, &["job"]),
            job: options(&key_fields),
            folded: folded.collect(),
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
        match dependencies {
            Some(dependencies) => add_followed(&mut facts, dependencies),
            None => facts.files = self.digested(cache.digests),
        }
        for file in &mut facts.files {
            let root = self.request.roots.root_of(file.path.as_bytes());
            file.is_own = !file.path.starts_with('/')
                || matches!(root, Some(RootName::Base | RootName::Directory));
        }
        self.add_includers(&mut facts.files);
        facts
    }

    /// The fields of the key with the paths of this place, and the variables that only this result depends on.
    fn key_fields(&self) -> Explanation {
        let mut fields = Explanation::default();
        self.request.write(&mut fields);
        for (name, values) in &mut fields.0 {
            for value in values.iter_mut() {
                // A value that is not text, the number of an option's values, is shown as it is.
                let expanded = self.request.roots.expand_text(value);
                *value = expanded.unwrap_or_else(|| std::mem::take(value));
            }
            if *name == "environment" {
                values.extend(environment::conditional(self.has_messages, self.has_times));
                values.sort();
            }
        }
        fields
    }

    /// The files that the passes read, without the paths where they were looked for, which only direct mode
    /// resolves.
    fn digested(&self, table: Option<&DigestTable>) -> Vec<File> {
        let nowhere = DigestTable::nowhere();
        let table = table.unwrap_or(&nowhere);
        let paths = self.units.iter().flat_map(|unit| {
            let read_files = unit.known;
            read_files.preprocessed().chain(read_files.raw())
        });
        let mut files: BTreeMap<&PathBuf, File> = BTreeMap::new();
        for path in paths {
            if let Ok((_, digest)) = table.digest_of(path) {
                files.insert(path, file(path, &digest, None));
            }
        }
        files.into_values().collect()
    }

    /// Adds to each file the file that included it, and to the user's own files their token digest: the other
    /// files are not edited by hand.
    fn add_includers(&self, files: &mut [File]) {
        let indices: HashMap<_, _> = files
            .iter()
            .enumerate()
            .map(|(index, file)| (file.path.clone(), index))
            .collect();
        for unit in &self.units {
            for (path, entered) in unit.known.entered() {
                let Some(&index) = indices.get(&shown(path)) else {
                    continue;
                };
                let includer = entered.by.as_ref();
                let includer = includer.and_then(|path| indices.get(&shown(path))).copied();
                let file = &mut files[index];
                file.by = file.by.or(includer.filter(|includer| *includer != index));
                if file.tokens.is_none() && entered.origin == Origin::User {
                    let text = std::fs::read(path).ok();
                    let tokens = text.and_then(|text| tokens::digest(&text));
                    file.tokens = tokens.map(|tokens| start(&tokens.lines));
                }
            }
        }
    }
}

/// Stores the facts of a semantic hit: `changed` are the files whose bytes, but not tokens, differ from those of
/// the compile with the facts `base`. Returns the key of the facts in hex; `None` if they could not be stored.
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
    keep(cache, &FactsRecord::new(serde_json::to_vec(&later).ok()?))
}

/// Stores a record, and returns its key in hex.
fn keep(cache: &StoreView<'_>, record: &FactsRecord) -> Option<String> {
    let is_kept = cache.keep_intermediate_record(&record.key, &record.bytes);
    is_kept.then(|| hex::encode(record.key))
}

/// The job's arguments as text. Secrets are removed later, by [`DependencyReport::to_record`].
fn words(job: &Job) -> Option<Vec<String>> {
    let words = job.nameless_args().into_iter();
    words.map(|word| word.into_string().ok()).collect()
}

/// Adds the files, probed paths and links that direct mode has resolved.
fn add_followed(facts: &mut DependencyReport, dependencies: &ResolvedDependencies<'_>) {
    let lookups = &dependencies.lookups;
    let files = dependencies.files.iter();
    let files = files.zip(&dependencies.contents).enumerate();
    let tokens = |index: usize| dependencies.tokens.as_ref()?.get(index)?.as_ref();
    facts.files = files
        .map(|(index, (path, digest))| {
            file(path, digest, tokens(index).map(|tokens| &tokens.lines))
        })
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
        is_own: false,
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
