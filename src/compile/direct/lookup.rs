//! Looks results up in direct mode, and stores them for it.
//!
//! Under the direct key lies a list of path sets, newest first. Under the digest of a set and the digests of its
//! files lies a [`DirectRecord`].

use crate::cmdline::Job;
use crate::compile::deliver::delivery::{Delivery, PlacedOutput};
use crate::compile::deliver::places::Places;
use crate::compile::deliver::write_output::{OutputTarget, WriteMode};
use crate::compile::direct::dependencies::{ReadSet, ResolvedDependencies};
use crate::compile::direct::explain;
use crate::compile::direct::reached;
use crate::compile::direct::token_set::TokenSet;
use crate::compile::inputs::host::{Answers, HostCompiler};
use crate::compile::inputs::host_questions::{self, HostQuestion};
use crate::compile::inputs::line_insensitive::ObservedPositions;
use crate::compile::request::direct_key::DirectKeyInputs;
use crate::compile::request::facts::RequestFacts;
use crate::compile::run::printed::Printed;
use crate::compile::store_view::StoreView;
use crate::compile::unit::module::OutputScope;
use crate::includes::digests::DigestTable;
use crate::includes::lookups::{Lookups, NotStored};
use crate::includes::path_set::{self, Changed, PathSet};
use crate::includes::tokens::{self, TokenDigests};
use crate::includes::unchanged_since;
use crate::journal::{Recorder, place, text};
use crate::key::{Digest, Digester, result_key};
use crate::stat::CoarseTime;
use crate::store::Artefact;
use crate::toolchain::{HostDriver, HostFamily, ToolForms, Toolchain};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The version of [`DirectRecord`]. It is also raised when results of older versions are no longer trusted.
const SCHEMA: u32 = 3;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DirectRecord {
    schema: u32,
    /// Translation units, for the counters.
    units: u64,
    outputs: Vec<OutputRecord>,
    /// Depfiles and kept files, by the paths that they are written to.
    depfiles: Vec<(PathBuf, Artefact)>,
    kept: Vec<(PathBuf, Artefact)>,
    stdout: Option<Artefact>,
    stderr: Option<Artefact>,
    /// The value of `-o`, if the result is valid for that output only.
    #[serde(default)]
    only: Option<PathBuf>,
    /// Wall time of the compile, passes included, in milliseconds.
    #[serde(default)]
    milliseconds: u64,
    /// The key of the facts of that compile, in hex.
    #[serde(default)]
    facts: Option<String>,
    /// The sources that it was compiled from, to be shown to users: absolute paths without `.`.
    #[serde(default)]
    sources: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OutputRecord {
    /// Where it is written; `None` stands for the value of `-o`.
    path: Option<PathBuf>,
    #[serde(rename = "manner")]
    mode: WriteMode,
    artefact: Artefact,
}

/// The result of a direct hit.
pub(crate) struct DirectHit {
    /// Everything to write and to print.
    pub delivery: Delivery,
    /// What is at the paths of outputs and depfiles.
    pub targets: Vec<OutputTarget>,
    /// What is at the paths of kept files.
    pub kept_targets: Vec<OutputTarget>,
    pub units: u64,
    /// The key of the result.
    pub key: Digest,
    /// Whether bytes of files have changed, but no tokens.
    pub is_semantic: bool,
    /// Milliseconds that the compile took.
    pub milliseconds: u64,
    /// The key of the facts of that compile, in hex.
    pub facts: Option<String>,
}

/// What is stored about a result besides its files.
pub(crate) struct CompiledResult {
    pub units: u64,
    /// `ThisOutput` if the result of any unit is valid for its output only.
    pub scope: OutputScope,
    /// Milliseconds that it took to compile them.
    pub milliseconds: u64,
    /// The key of the facts of that compile, in hex.
    pub facts: Option<String>,
}

/// One invocation as direct mode sees it.
pub(crate) struct Direct<'a> {
    key: Digest,
    /// The questions to a program in front of the host compiler, and the key without its answers.
    questions: Option<(Digest, BTreeSet<HostQuestion>)>,
    job: &'a Job,
    facts: &'a RequestFacts,
    cache: &'a StoreView<'a>,
    table: &'a DigestTable,
    /// Whether semantic (token-only) matches are allowed.
    counts_tokens: bool,
}

impl<'a> Direct<'a> {
    /// A program in front of the host compiler is queried, unless its `answers` are known.
    ///
    /// # Errors
    /// Direct mode is off, or cannot determine what the invocation depends on. That is so for a host compiler other
    /// than GCC, as only GCC's header lookups are known; and for a script as nvcc or as a part of the host compiler,
    /// whose effect only an ordinary compile sees.
    pub(crate) fn new(
        request: &DirectKeyInputs<'_>,
        job: &'a Job,
        facts: &'a RequestFacts,
        toolchain: &Toolchain,
        cache: &'a StoreView<'a>,
        answers: Option<&Answers>,
    ) -> Result<Self, NotStored> {
        let table = cache.digests.ok_or("PCACHE_DIRECT is off")?;
        if toolchain.front != ToolForms::Programs {
            return Err("nvcc or a part of the host compiler is a script".to_owned());
        }
        let mut base = Digester::default();
        request.write(&mut base);
        let mut direct = Self {
            key: base.finish(),
            questions: None,
            job,
            facts,
            cache,
            table,
            counts_tokens: false,
        };
        let mut family = Some(toolchain.host);
        if toolchain.driver == HostDriver::Wrapper {
            let answers = match answers {
                Some(answers) => answers,
                None => &direct
                    .ask(toolchain)
                    .ok_or("what the host compiler was asked is not known")?,
            };
            family = answers.family.filter(|_| answers.doubt.is_none());
            direct.questions = Some((direct.key, answers.questions.clone()));
            direct.key = answers.key(&direct.key);
        }
        match family {
            Some(HostFamily::Gnu) => Ok(direct),
            _ => Err("the host compiler is not GCC".to_owned()),
        }
    }

    /// Asks the program in front of the host compiler the questions of an earlier compile.
    fn ask(&self, toolchain: &Toolchain) -> Option<Answers> {
        let compiler = HostCompiler {
            toolchain,
            digests: Some(self.table),
        };
        compiler
            .ask(&host_questions::recall(self.cache, &self.key, self.job)?)
            .ok()
    }

    /// Sets whether semantic (token-only) matches are allowed.
    pub(crate) fn counting_tokens(self, counts_tokens: bool) -> Self {
        Self {
            counts_tokens,
            ..self
        }
    }

    /// The stored result, if nothing that it depends on has changed. Logs to `recorder` why there is none.
    pub(crate) fn look_up(&self, recorder: &Recorder) -> Option<DirectHit> {
        if self.cache.recache {
            recorder.note("direct", "not looked up: PCACHE_RECACHE is set");
            return None;
        }
        let started = CoarseTime::now();
        let Some(sets) = self
            .cache
            .record(&self.key)
            .and_then(|list| path_set::read_list(&list))
        else {
            recorder.note("direct", "no such command line was compiled before");
            return None;
        };
        // Several path sets share most of their files, so digests are kept between their checks.
        let mut memo = (sets.len() > 1).then(HashMap::new);
        let mut unmatched = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            let nth = || format!("path set {} of {}", number + 1, sets.len());
            let contents = match set.check(self.table, memo.as_mut(), started) {
                Ok(contents) => contents,
                Err(Changed(path)) => {
                    let path = path.display();
                    recorder.note("direct", format_args!("{}: {path} has changed", nth()));
                    continue;
                }
            };
            let scopes = [OutputScope::AnyOutput, OutputScope::ThisOutput].into_iter();
            let mut keys = scopes.map(|scope| self.result_key(set, &contents, scope));
            if let Some((hit, _)) = keys.find_map(|key| self.fetch(&key)) {
                return Some(hit);
            }
            unmatched.push((set, contents));
            recorder.note(
                "direct",
                format_args!("{}: no result of these contents", nth()),
            );
        }
        // Only now, since token digests mean reading files.
        let mut unmatched = unmatched.iter().filter(|_| self.cache.semantic);
        let hit = unmatched.find_map(|(set, contents)| self.fetch_alike(set, contents));
        if hit.is_none() && recorder.keeps_notes() {
            let reason = if self.cache.semantic {
                "no earlier state of these files had the same tokens"
            } else {
                "PCACHE_SEMANTIC is off"
            };
            recorder.note("direct", reason);
        }
        hit
    }

    /// The result of an earlier state of the files with the same tokens. Stores it under the present contents too.
    fn fetch_alike(&self, set: &PathSet, contents: &[Digest]) -> Option<DirectHit> {
        let list = self.cache.record(&TokenSet::key(&self.key, set))?;
        let token_sets = TokenSet::read_all(&list)?;
        let paths = set.files()?;
        let mut matching = token_sets
            .iter()
            .filter(|tokens| tokens.hold(&paths, contents));
        let (tokens, (hit, mut record)) =
            matching.find_map(|tokens| Some((tokens, self.fetch(&tokens.result)?)))?;
        let base = record.facts.take();
        let changed = tokens.changed(&paths, contents);
        record.facts = base.and_then(|base| explain::keep_later(self.cache, base, changed));
        let scope = match record.only {
            Some(_) => OutputScope::ThisOutput,
            None => OutputScope::AnyOutput,
        };
        if let Ok(record) = serde_json::to_vec(&record) {
            let key = self.result_key(set, contents, scope);
            self.cache.keep(&key, &record);
        }
        Some(DirectHit {
            is_semantic: true,
            facts: record.facts,
            ..hit
        })
    }

    /// The key of the result of `set` with these `contents`.
    fn result_key(&self, set: &PathSet, contents: &[Digest], scope: OutputScope) -> Digest {
        let output = self.output();
        let output = (scope == OutputScope::ThisOutput).then(|| output.as_os_str().as_bytes());
        result_key(&self.key, &set.digest, contents, output)
    }

    /// The value of `-o`. Empty without one: the output's name then follows from the source, which is in the key.
    fn output(&self) -> PathBuf {
        self.job.output.clone().unwrap_or_default().into()
    }

    /// The result under `key`, and its record.
    fn fetch(&self, key: &Digest) -> Option<(DirectHit, DirectRecord)> {
        let stored = self.cache.record(key)?;
        let record: DirectRecord = serde_json::from_slice(&stored).ok()?;
        let is_other = |only: &PathBuf| *only != self.output();
        if record.schema != SCHEMA
            || record.only.as_ref().is_some_and(is_other)
            || !self.may_place(&record)
        {
            return None;
        }
        let delivery = self.delivery(&record)?;
        let hit = DirectHit {
            // On an output that only nvcc can write properly, an ordinary compile reports the bypass.
            targets: delivery.targets().ok()?,
            kept_targets: delivery.kept_targets().ok()?,
            delivery,
            units: record.units.min(self.job.inputs.len() as u64),
            key: *key,
            is_semantic: false,
            milliseconds: record.milliseconds,
            facts: record.facts.clone(),
        };
        Some((hit, record))
    }

    /// Reads all artefacts of `record`. `None` if one is no longer in the store.
    fn delivery(&self, record: &DirectRecord) -> Option<Delivery> {
        let mut outputs = Vec::with_capacity(record.outputs.len());
        for output in &record.outputs {
            outputs.push(PlacedOutput {
                path: match &output.path {
                    Some(path) => path.clone(),
                    None => self.job.output.clone()?.into(),
                },
                mode: output.mode,
                bytes: self.cache.artefact(&output.artefact)?,
            });
        }
        Some(Delivery {
            outputs,
            depfiles: self.fetch_files(&record.depfiles)?,
            kept: self.fetch_files(&record.kept)?,
            printed: Printed::fetch(self.cache, [&record.stdout, &record.stderr])?,
        })
    }

    fn fetch_files(&self, files: &[(PathBuf, Artefact)]) -> Option<Vec<(PathBuf, Vec<u8>)>> {
        files
            .iter()
            .map(|(path, artefact)| Some((path.clone(), self.cache.artefact(artefact)?)))
            .collect()
    }

    fn keep_files(&self, files: &[(PathBuf, Vec<u8>)]) -> Option<Vec<(PathBuf, Artefact)>> {
        files
            .iter()
            .map(|(path, bytes)| Some((path.clone(), self.cache.keep_artefact(bytes)?)))
            .collect()
    }

    /// Whether the files of a result are exactly those that this invocation may write.
    fn may_place(&self, record: &DirectRecord) -> bool {
        let places = Places::of(self.job, self.facts.keep.as_ref());
        let outputs = record.outputs.iter().map(|output| output.path.as_deref());
        let depfiles = record.depfiles.iter().map(|(path, _)| path.as_path());
        places.are_outputs(&outputs.collect::<Vec<_>>())
            && places.are_depfiles(&depfiles.collect::<Vec<_>>())
            && places.are_kept(record.kept.iter().map(|(path, _)| path))
    }

    /// Resolves `reads`, which must be complete, to a path set and the digests of its files.
    pub(crate) fn resolve<'t>(
        &self,
        reads: ReadSet<'t>,
    ) -> Result<ResolvedDependencies<'t>, NotStored> {
        reads.check_times(&self.facts.environment)?;
        let lookups = Lookups::resolve(&reads.reads, &reads.orders, &|| {
            reached::names(&reads.works)
        })?;
        let set = PathSet::new(&lookups).ok_or("a path with a NUL")?;
        let contents = set
            .check(self.table, None, CoarseTime::now())
            .map_err(|Changed(path)| format!("{} changed during the compile", path.display()))?;
        Ok(ResolvedDependencies {
            tokens: self.counts_tokens.then(|| tokens_of(&lookups, &reads)),
            lookups,
            set,
            contents,
            started: reads.started,
            watch: reads.watch,
            mounts: reads.mounts,
        })
    }

    /// Stores the result under its dependencies, and under the tokens of its files too, unless `observed` is `None`.
    /// Returns the reason, which is only logged, if the result cannot be stored.
    pub(crate) fn keep(
        &self,
        dependencies: ResolvedDependencies<'_>,
        observed: Option<ObservedPositions>,
        delivery: &Delivery,
        result: CompiledResult,
    ) -> Result<(), NotStored> {
        if self.cache.readonly {
            return Ok(());
        }
        let ResolvedDependencies {
            lookups,
            set,
            contents,
            tokens,
            started,
            watch,
            mounts,
        } = dependencies;
        // After all lookups and reads, so that the check covers every one of them.
        unchanged_since::check(&lookups, started, &watch.end())?;
        mounts.check()?;
        let unstored = || self.cache.why_unstored();
        let key = self.result_key(&set, &contents, result.scope);
        let record = self.record(delivery, result).ok_or_else(unstored)?;
        if !self.may_place(&record) {
            return Err("its files are not where the command line alone says".to_owned());
        }
        let bytes = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        self.cache
            .keep(&key, &bytes)
            .then_some(())
            .ok_or_else(unstored)?;
        if let (Some(observed), Some(tokens)) = (observed, tokens) {
            self.keep_tokens(&set, TokenSet::new(key, observed, contents, &tokens));
        }
        let is_kept = self.keep_set(set) && self.keep_questions();
        is_kept.then_some(()).ok_or_else(unstored)
    }

    fn keep_questions(&self) -> bool {
        self.questions.as_ref().is_none_or(|(base, questions)| {
            host_questions::remember(self.cache, base, self.job, questions)
        })
    }

    /// Puts `tokens` first in the list of `set`. Best effort: if it fails, the next edit of a comment costs a
    /// preprocessing.
    fn keep_tokens(&self, set: &PathSet, tokens: TokenSet) {
        let key = TokenSet::key(&self.key, set);
        let list = self.cache.record(&key);
        let older = list.as_deref().and_then(TokenSet::read_all);
        self.cache
            .keep(&key, &tokens.write_before(&older.unwrap_or_default()));
    }

    fn record(&self, delivery: &Delivery, result: CompiledResult) -> Option<DirectRecord> {
        let output = self.job.output.as_deref().map(Path::new);
        let mut outputs = Vec::with_capacity(delivery.outputs.len());
        for placed in &delivery.outputs {
            outputs.push(OutputRecord {
                path: (Some(placed.path.as_path()) != output).then(|| placed.path.clone()),
                mode: placed.mode,
                artefact: self.cache.keep_artefact(&placed.bytes)?,
            });
        }
        let [stdout, stderr] = delivery.printed.keep(self.cache)?;
        Some(DirectRecord {
            schema: SCHEMA,
            units: result.units,
            only: (result.scope == OutputScope::ThisOutput).then(|| self.output()),
            milliseconds: result.milliseconds,
            facts: result.facts,
            sources: self.sources(),
            outputs,
            depfiles: self.keep_files(&delivery.depfiles)?,
            kept: self.keep_files(&delivery.kept)?,
            stdout,
            stderr,
        })
    }

    /// The sources in the form that the journal uses.
    fn sources(&self) -> Vec<String> {
        let directory = &self.facts.directory.physical;
        let sources = self.job.inputs.iter();
        let paths = sources.map(|path| place(directory, path));
        paths.map(|path| text(path.as_os_str())).collect()
    }

    /// Puts `set` first in the list of path sets. If two processes do so at once, the set of one may be lost, which
    /// costs a preprocessing.
    fn keep_set(&self, set: PathSet) -> bool {
        let list = self.cache.record(&self.key);
        let older = list.as_deref().and_then(path_set::read_list);
        match path_set::list_with(set, older.unwrap_or_default()) {
            Some(list) => self.cache.keep(&self.key, &list),
            None => true,
        }
    }
}

/// The token digests of each file, in the order of the path set.
fn tokens_of(lookups: &Lookups, reads: &ReadSet<'_>) -> Vec<Option<TokenDigests>> {
    lookups
        .files
        .iter()
        .map(|path| tokens::digest(reads.reads.sources.get(path)?))
        .collect()
}
