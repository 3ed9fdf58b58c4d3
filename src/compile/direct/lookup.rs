//! Direct mode: an invocation answered from what it read last time, without starting a process.
//! `docs/design/direct.md` says what is checked, and why that is enough.
//!
//! Stores under the direct key a list of path sets, newest first, and under each set's digest and the digests of
//! its files a [`DirectRecord`].

use crate::cmdline::Job;
use crate::compile::deliver::delivery::{Delivery, PlacedOutput};
use crate::compile::deliver::places::Places;
use crate::compile::deliver::write_output::{OutputTarget, WriteMode};
use crate::compile::direct::dependencies::{ReadSet, ResolvedDependencies};
use crate::compile::direct::explain;
use crate::compile::direct::token_set::TokenSet;
use crate::compile::inputs::host::{Answers, HostCompiler};
use crate::compile::inputs::host_questions::{self, HostQuestion};
use crate::compile::inputs::line_insensitive::ObservedPositions;
use crate::compile::request::direct_key::DirectKeyInputs;
use crate::compile::request::environment::value_depends_on_machine;
use crate::compile::request::facts::RequestFacts;
use crate::compile::run::printed::Printed;
use crate::compile::store_view::StoreView;
use crate::compile::unit::module::OutputScope;
use crate::includes::digests::DigestTable;
use crate::includes::lookups::{Doubt, Lookups};
use crate::includes::path_set::{self, Changed, PathSet};
use crate::includes::tokens::{self, TokenDigests};
use crate::includes::unchanged_since;
use crate::journal::{Recorder, place, text};
use crate::key::{Digest, Digester, result_key};
use crate::stat::CoarseTime;
use crate::store::Artefact;
use crate::toolchain::{Front, HostDriver, HostFamily, Toolchain};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The version of [`DirectRecord`]: raised too where results of older versions are not to be believed any more.
const SCHEMA: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DirectRecord {
    schema: u32,
    /// Translation units, for the counters.
    units: u64,
    outputs: Vec<OutputRecord>,
    /// Depfiles and kept files, at their places.
    depfiles: Vec<(PathBuf, Artefact)>,
    kept: Vec<(PathBuf, Artefact)>,
    stdout: Option<Artefact>,
    stderr: Option<Artefact>,
    /// What `-o` says, where the result is right for that alone.
    #[serde(default)]
    only: Option<PathBuf>,
    /// Wall time of the compile, passes included, in milliseconds.
    #[serde(default)]
    milliseconds: u64,
    /// The record of what it depended on.
    #[serde(default)]
    facts: Option<String>,
    /// The sources that it was made of, for people: whole, without dots.
    #[serde(default)]
    sources: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OutputRecord {
    /// Where it goes; `None` for what `-o` says.
    path: Option<PathBuf>,
    #[serde(rename = "manner")]
    mode: WriteMode,
    artefact: Artefact,
}

/// What a direct hit found.
pub(crate) struct DirectHit {
    /// Everything to put in place and to print.
    pub delivery: Delivery,
    /// What is at the places of outputs and depfiles.
    pub targets: Vec<OutputTarget>,
    /// What is at the places of kept files.
    pub kept_targets: Vec<OutputTarget>,
    pub units: u64,
    /// The key of the result.
    pub key: Digest,
    /// Whether files have changed, in what no compiler sees.
    pub is_semantic: bool,
    /// Milliseconds that the compile took.
    pub milliseconds: u64,
    /// The record of what it depended on.
    pub facts: Option<String>,
}

/// How a result came about.
pub(crate) struct CompiledResult {
    pub units: u64,
    /// Whether one of them is right for its output alone.
    pub scope: OutputScope,
    /// Milliseconds that it took to compile them.
    pub milliseconds: u64,
    /// The record of what it depended on.
    pub facts: Option<String>,
}

/// One invocation as direct mode sees it.
pub(crate) struct Direct<'a> {
    key: Digest,
    /// What a program in front of the host compiler was asked, and the key without its answers.
    questions: Option<(Digest, BTreeSet<HostQuestion>)>,
    job: &'a Job,
    facts: &'a RequestFacts,
    cache: &'a StoreView<'a>,
    table: &'a DigestTable,
    /// Whether what a compile makes may depend on nothing but the tokens of its sources.
    counts_tokens: bool,
}

impl<'a> Direct<'a> {
    /// `None` where direct mode is off or cannot tell what the invocation depends on: another host
    /// compiler than GCC, whose lookups are known; a script as nvcc or as a part of the host compiler, which
    /// the ordinary way runs and sees the effect of; `native`, which is the machine's affair.
    ///
    /// A program in front of the host compiler is asked what it does, unless its `answers` are known.
    pub(crate) fn new(
        request: &DirectKeyInputs<'_>,
        job: &'a Job,
        facts: &'a RequestFacts,
        toolchain: &Toolchain,
        cache: &'a StoreView<'a>,
        answers: Option<&Answers>,
    ) -> Option<Self> {
        let table = cache.digests.filter(|_| cache.store.is_some())?;
        let mut values = facts.job.iter().flat_map(|(_, values)| values);
        if toolchain.front != Front::Programs || values.any(|value| value_depends_on_machine(value))
        {
            return None;
        }
        let mut base = Digester::default();
        request.write(&mut base);
        let mut this = Self {
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
                None => &this.ask(toolchain)?,
            };
            family = answers.family.filter(|_| answers.doubt.is_none());
            this.questions = Some((this.key, answers.questions.clone()));
            this.key = answers.key(&this.key);
        }
        (family == Some(HostFamily::Gnu)).then_some(this)
    }

    /// What the program in front of the host compiler answers to the questions of a former compile.
    fn ask(&self, toolchain: &Toolchain) -> Option<Answers> {
        let compiler = HostCompiler {
            toolchain,
            digests: Some(self.table),
        };
        compiler
            .ask(&host_questions::recall(self.cache, &self.key, self.job)?)
            .ok()
    }

    /// Sets whether semantic matches are allowed: results that may depend on nothing but the tokens of the
    /// sources.
    pub(crate) fn counting_tokens(self, counts_tokens: bool) -> Self {
        Self {
            counts_tokens,
            ..self
        }
    }

    /// The stored result, if nothing that it depends on has changed. Tells `recorder` why not.
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
        let mut memo = (sets.len() > 1).then(HashMap::new);
        let mut others = Vec::new();
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
            let ties = [OutputScope::AnyOutput, OutputScope::ThisOutput].into_iter();
            let mut keys = ties.map(|scope| self.result_key(set, &contents, scope));
            if let Some((hit, _)) = keys.find_map(|key| self.fetch(&key)) {
                return Some(hit);
            }
            others.push((set, contents));
            recorder.note(
                "direct",
                format_args!("{}: no result of these contents", nth()),
            );
        }
        let mut others = others.iter().filter(|_| self.cache.semantic);
        let found = others.find_map(|(set, contents)| self.fetch_alike(set, contents));
        if found.is_none() && recorder.keeps_notes() {
            let what = if self.cache.semantic {
                "no former state of these files had their tokens"
            } else {
                "PCACHE_SEMANTIC is off"
            };
            recorder.note("direct", what);
        }
        found
    }

    /// The result of files whose tokens were the same, which is remembered for these contents too.
    fn fetch_alike(&self, set: &PathSet, contents: &[Digest]) -> Option<DirectHit> {
        let known = self.cache.record(&TokenSet::key(&self.key, set))?;
        let known = TokenSet::read_all(&known)?;
        let paths = set.files()?;
        let line_insensitive = known.iter().filter(|tokens| tokens.hold(&paths, contents));
        let mut found = line_insensitive.map(|tokens| (tokens, self.fetch(&tokens.result)));
        let (tokens, (hit, mut record)) =
            found.find_map(|(tokens, found)| Some((tokens, found?)))?;
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

    /// What `-o` says; empty where there is none, so that the key names the output with the source.
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
            // What cannot be placed as nvcc would is the ordinary way's to tell.
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

    /// Everything that `record` names, with its bytes; `None` if something is not in the store any more.
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
            printed: Printed {
                stdout: self.cache.artefact_or_empty(record.stdout.as_ref())?,
                stderr: self.cache.artefact_or_empty(record.stderr.as_ref())?,
            },
        })
    }

    fn fetch_files(&self, files: &[(PathBuf, Artefact)]) -> Option<Vec<(PathBuf, Vec<u8>)>> {
        let files = files.iter();
        let files = files.map(|(path, bytes)| Some((path.clone(), self.cache.artefact(bytes)?)));
        files.collect()
    }

    fn keep_files(&self, files: &[(PathBuf, Vec<u8>)]) -> Option<Vec<(PathBuf, Artefact)>> {
        let files = files.iter();
        let files =
            files.map(|(path, bytes)| Some((path.clone(), self.cache.keep_artefact(bytes)?)));
        files.collect()
    }

    /// Whether a result puts things only where this invocation does, and all that it makes.
    fn may_place(&self, record: &DirectRecord) -> bool {
        let places = Places::of(self.job, self.facts.keep.as_ref());
        let outputs = record.outputs.iter().map(|output| output.path.as_deref());
        let depfiles = record.depfiles.iter().map(|(path, _)| path.as_path());
        places.are_outputs(&outputs.collect::<Vec<_>>())
            && places.are_depfiles(&depfiles.collect::<Vec<_>>())
            && places.are_kept(record.kept.iter().map(|(path, _)| path))
    }

    /// What `reads` depends on, once it holds everything that was read.
    pub(crate) fn resolve<'t>(
        &self,
        reads: &ReadSet<'t>,
    ) -> Result<ResolvedDependencies<'t>, Doubt> {
        reads.check_times(&self.facts.environment)?;
        let lookups = Lookups::resolve(&reads.reads, &reads.orders)?;
        let set = PathSet::new(&lookups).ok_or("a path with a NUL")?;
        let contents = set
            .check(self.table, None, CoarseTime::now())
            .map_err(|Changed(path)| format!("{} changed during the compile", path.display()))?;
        Ok(ResolvedDependencies {
            tokens: self.counts_tokens.then(|| tokens_of(&lookups, reads)),
            lookups,
            set,
            contents,
            started: reads.started,
            mounts: reads.mounts,
        })
    }

    /// Remembers the result by what it depends on; by the tokens of the files too, if more than these has not been
    /// in `observed`. What cannot be remembered is no trouble; the reason is for the log.
    pub(crate) fn keep(
        &self,
        dependencies: ResolvedDependencies<'_>,
        observed: Option<ObservedPositions>,
        delivery: &Delivery,
        made: CompiledResult,
    ) -> Result<(), Doubt> {
        if self.cache.readonly {
            return Ok(());
        }
        let ResolvedDependencies {
            lookups,
            set,
            contents,
            tokens,
            started,
            mounts,
        } = dependencies;
        // Last, so that it speaks for everything that was looked at and read.
        unchanged_since::check(&lookups, started)?;
        mounts.check()?;
        let full = || self.cache.why_unstored();
        let key = self.result_key(&set, &contents, made.scope);
        let record = self.record(delivery, made).ok_or_else(full)?;
        if !self.may_place(&record) {
            return Err("its files are not where the command line alone says".to_owned());
        }
        let bytes = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        self.cache
            .keep(&key, &bytes)
            .then_some(())
            .ok_or_else(full)?;
        if let (Some(observed), Some(tokens)) = (observed, tokens) {
            self.keep_tokens(&set, TokenSet::new(key, observed, contents, &tokens));
        }
        let is_kept = self.keep_set(set) && self.keep_questions();
        is_kept.then_some(()).ok_or_else(full)
    }

    fn keep_questions(&self) -> bool {
        let asked = self.questions.as_ref();
        asked
            .is_none_or(|(base, asked)| host_questions::remember(self.cache, base, self.job, asked))
    }

    /// Puts `tokens` first in the list of `set`. Without, the next edit of a comment costs a
    /// preprocessing.
    fn keep_tokens(&self, set: &PathSet, tokens: TokenSet) {
        let place = TokenSet::key(&self.key, set);
        let known = self.cache.record(&place);
        let known = known.as_deref().and_then(TokenSet::read_all);
        self.cache
            .keep(&place, &tokens.write_before(&known.unwrap_or_default()));
    }

    fn record(&self, delivery: &Delivery, made: CompiledResult) -> Option<DirectRecord> {
        let named = self.job.output.as_deref().map(Path::new);
        let mut outputs = Vec::with_capacity(delivery.outputs.len());
        for placed in &delivery.outputs {
            outputs.push(OutputRecord {
                path: (Some(placed.path.as_path()) != named).then(|| placed.path.clone()),
                mode: placed.mode,
                artefact: self.cache.keep_artefact(&placed.bytes)?,
            });
        }
        Some(DirectRecord {
            schema: SCHEMA,
            units: made.units,
            only: (made.scope == OutputScope::ThisOutput).then(|| self.output()),
            milliseconds: made.milliseconds,
            facts: made.facts,
            sources: self.sources(),
            outputs,
            depfiles: self.keep_files(&delivery.depfiles)?,
            kept: self.keep_files(&delivery.kept)?,
            stdout: self.cache.keep_unless_empty(&delivery.printed.stdout)?,
            stderr: self.cache.keep_unless_empty(&delivery.printed.stderr)?,
        })
    }

    /// Its sources as the journal and its readers know them.
    fn sources(&self) -> Vec<String> {
        let directory = &self.facts.directory.physical;
        let sources = self.job.inputs.iter();
        let places = sources.map(|path| place(directory, path));
        places.map(|path| text(path.as_os_str())).collect()
    }

    /// Puts `set` first in the list. Of two processes that do so at once, one may lose its set, which
    /// costs a preprocessing.
    fn keep_set(&self, set: PathSet) -> bool {
        let known = self.cache.record(&self.key);
        let known = known.as_deref().and_then(path_set::read_list);
        match path_set::list_with(set, known.unwrap_or_default()) {
            Some(list) => self.cache.keep(&self.key, &list),
            None => true,
        }
    }
}

/// The digests of the tokens of each file, in the order of a path set.
fn tokens_of(lookups: &Lookups, reads: &ReadSet<'_>) -> Vec<Option<TokenDigests>> {
    let texts = lookups.files.iter();
    let texts = texts.map(|path| reads.reads.sources.get(path));
    texts.map(|text| tokens::digest(text?)).collect()
}
