//! Stores results for direct mode: resolves what a compile read to a path set, finds out on what else the result
//! depends, and writes the records.

use crate::compile::deliver::delivery::Delivery;
use crate::compile::deliver::places::Places;
use crate::compile::direct::dependencies::{ReadSet, ResolvedDependencies};
use crate::compile::direct::lookup::Direct;
use crate::compile::direct::record::{DirectRecord, OutputRecord, Pointer, SCHEMA};
use crate::compile::direct::reruns;
use crate::compile::direct::rules_text;
use crate::compile::direct::token_set::TokenSet;
use crate::compile::direct::verbose_text;
use crate::compile::inputs::host_questions;
use crate::compile::inputs::line_insensitive::ObservedPositions;
use crate::compile::unit::module::OutputScope;
use crate::compile::unit::needs::Needs;
use crate::includes::lookups::{Lookups, NotStored, Reruns};
use crate::includes::path_set::{self, Changed, PathSet};
use crate::includes::tokens::{self, TokenDigests};
use crate::includes::unchanged_since;
use crate::journal::{place, text};
use crate::key::pointer::POINTER;
use crate::key::{Digest, RootSet};
use crate::stat::CoarseTime;
use crate::store::{Artefact, Name};
use serde::Serialize;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What is stored about a result besides its files.
pub(crate) struct CompiledResult {
    pub units: u64,
    /// `ThisOutput` if the result of any unit is valid for its output only.
    pub scope: OutputScope,
    /// Milliseconds that it took to compile them.
    pub milliseconds: u64,
    /// The key of the facts of that compile, in hex.
    pub facts: Option<String>,
    /// The roots whose place its units' outputs show, as far as the units know.
    pub roots: RootSet,
}

impl Direct<'_> {
    /// Resolves `reads`, which must be complete, to a path set and the digests of its files.
    pub(crate) fn resolve<'t>(
        &self,
        reads: ReadSet<'t>,
    ) -> Result<ResolvedDependencies<'t>, NotStored> {
        reads.check_times()?;
        let reruns = Reruns {
            reached: &|| reruns::reached(&reads.works),
            asked: &|| reruns::asked(&reads.works),
        };
        let lookups = Lookups::resolve(&reads.reads, &reads.orders, &reruns)?;
        let set = PathSet::new(&lookups, &self.roots).ok_or("a path with a control character")?;
        let contents = set
            .check(self.table, None, CoarseTime::now(), &self.roots)
            .map_err(|Changed(path)| format!("{} changed during the compile", path.display()))?;
        let files = set.files(&self.roots).ok_or("a file in an unknown root")?;
        Ok(ResolvedDependencies {
            tokens: self.counts_tokens.then(|| tokens_of(&files, &reads)),
            has_times: !reads.reads.times.is_empty(),
            roots: self.mentioned_roots(&reads).and(self.named_roots(&lookups)),
            files,
            lookups,
            set,
            contents,
            read: reads,
        })
    }

    /// The roots whose paths a source holds as it is written: such a name leads elsewhere from another checkout.
    fn mentioned_roots(&self, reads: &ReadSet<'_>) -> RootSet {
        let texts = reads.reads.sources.values();
        texts.fold(RootSet::default(), |found, text| {
            found.and(self.roots.mentioned(text, &mut |_| true))
        })
    }

    /// The roots that macros name: such a name leads elsewhere from another checkout, too.
    fn named_roots(&self, lookups: &Lookups) -> RootSet {
        let Some(paths) = &lookups.absolute else {
            return RootSet::all();
        };
        let roots = paths
            .iter()
            .filter_map(|path| self.roots.root_of(path.as_os_str().as_bytes()));
        roots.fold(RootSet::default(), RootSet::with)
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
        let stored = |text: &Vec<u8>| rules_text::stored(text, self.job, &self.roots);
        if !delivery.all_rules().all(|text| stored(text).is_some()) {
            return Err(rules_text::NO_STORED_FORM.to_owned());
        }
        let needs = self.needs(&dependencies, delivery, &result);
        let record = self.record(delivery, result, needs);
        let record = record.ok_or_else(|| self.cache.why_unstored())?;
        if !self.may_place(delivery) {
            return Err("its files are not where the command line alone says".to_owned());
        }
        self.keep_result(dependencies, observed, &record, record.needs)
    }

    /// Stores `record` under its dependencies and `needs`.
    pub(super) fn keep_result(
        &self,
        dependencies: ResolvedDependencies<'_>,
        observed: Option<ObservedPositions>,
        record: &impl Serialize,
        needs: Needs,
    ) -> Result<(), NotStored> {
        let ResolvedDependencies {
            lookups,
            set,
            contents,
            tokens,
            read,
            ..
        } = dependencies;
        // After all lookups and reads, so that the check covers every one of them.
        unchanged_since::check(&lookups, read.started, &read.watch.end())?;
        read.mounts.check()?;
        let unstored = || self.cache.why_unstored();
        let bytes = serde_json::to_vec(record).map_err(|error| error.to_string())?;
        self.keep_scoped(&set, &contents, needs, &bytes)
            .then_some(())
            .ok_or_else(unstored)?;
        if let (Some(observed), Some(tokens)) = (observed, tokens) {
            let result = self.result_key(&set, &contents, Needs::default());
            self.keep_tokens(&set, TokenSet::new(result, observed, contents, &tokens));
        }
        let is_kept = self.keep_set(set) && self.keep_questions();
        is_kept.then_some(()).ok_or_else(unstored)
    }

    /// Stores the bytes of a record under the key with `needs`, and a pointer to it under the key without them.
    /// Returns whether both are stored.
    pub(super) fn keep_scoped(
        &self,
        set: &PathSet,
        contents: &[Digest],
        needs: Needs,
        bytes: &[u8],
    ) -> bool {
        let key = self.result_key(set, contents, needs);
        let is_kept = self.cache.keep(&key, bytes);
        if needs.is_empty() {
            return is_kept;
        }
        let pointer = Pointer {
            schema: SCHEMA,
            needs,
            record: Some(hex::encode(Name::of(&key).0)),
            sources: self.sources(),
        };
        let Ok(pointer) = serde_json::to_vec(&pointer) else {
            return false;
        };
        let key = self.result_key(set, contents, Needs::default());
        is_kept && self.cache.keep(&key, &[POINTER, &pointer].concat())
    }

    /// What the result depends on besides its files.
    fn needs(
        &self,
        dependencies: &ResolvedDependencies<'_>,
        delivery: &Delivery,
        result: &CompiledResult,
    ) -> Needs {
        let mut roots = dependencies.roots.and(result.roots);
        for text in delivery.all_rules() {
            let stored = rules_text::stored(text, self.job, &self.roots);
            roots = stored.map_or(roots, |(_, left)| roots.and(left));
        }
        let kept = delivery.kept.iter().map(|(_, bytes)| bytes.as_slice());
        let outputs = delivery
            .outputs
            .iter()
            .map(|output| output.bytes.as_slice());
        for bytes in kept.chain(outputs) {
            roots = roots.and(self.roots.mentioned(bytes, &mut |_| true));
        }
        roots = roots.and(verbose_text::stored(&delivery.printed, &self.roots).roots);
        Needs {
            output: result.scope == OutputScope::ThisOutput,
            messages: !delivery.printed.is_empty(),
            time: dependencies.has_times,
            roots,
        }
    }

    fn keep_questions(&self) -> bool {
        self.questions.as_ref().is_none_or(|(base, questions)| {
            host_questions::remember(self.cache, base, &self.roots, self.job, questions)
        })
    }

    /// Puts `tokens` first in the list of `set`. Best effort: if it fails, the next edit of a comment costs a
    /// preprocessing.
    fn keep_tokens(&self, set: &PathSet, tokens: TokenSet) {
        let key = TokenSet::key(&self.key, set);
        let list = self.cache.intermediate_record(&key);
        let older = list.as_deref().and_then(TokenSet::read_all);
        let list = tokens.write_before(&older.unwrap_or_default());
        self.cache.keep_intermediate_record(&key, &list);
    }

    fn record(
        &self,
        delivery: &Delivery,
        result: CompiledResult,
        needs: Needs,
    ) -> Option<DirectRecord> {
        let output = self.job.output.as_deref().map(Path::new);
        let mut outputs = Vec::with_capacity(delivery.outputs.len());
        for placed in &delivery.outputs {
            outputs.push(OutputRecord {
                path: (Some(placed.path.as_path()) != output).then(|| self.short(&placed.path)),
                mode: placed.mode,
                artefact: self.cache.keep_artefact(&placed.bytes)?,
            });
        }
        let named = self.job.dependencies.as_ref();
        let named = named.and_then(|requested| requested.file.as_deref().map(Path::new));
        let mut depfiles = Vec::with_capacity(delivery.depfiles.len());
        for (path, text) in &delivery.depfiles {
            let (text, _) = rules_text::stored(text, self.job, &self.roots)?;
            let path = (Some(path.as_path()) != named).then(|| self.short(path));
            depfiles.push((path, self.cache.keep_internal(&text)?));
        }
        let rules = match delivery.rules.as_slice() {
            [] => None,
            text => {
                let (text, _) = rules_text::stored(text, self.job, &self.roots)?;
                Some(self.cache.keep_internal(&text)?)
            }
        };
        let messages = verbose_text::stored(&delivery.printed, &self.roots);
        let [stdout, stderr] = messages.printed.keep(self.cache)?;
        Some(DirectRecord {
            schema: SCHEMA,
            needs,
            units: result.units,
            milliseconds: result.milliseconds,
            facts: result.facts,
            sources: self.sources(),
            outputs,
            depfiles,
            rules,
            kept: self.keep_files(&delivery.kept)?,
            stdout,
            stderr,
            are_messages_short: messages.are_short,
        })
    }

    fn keep_files(&self, files: &[(PathBuf, Vec<u8>)]) -> Option<Vec<(PathBuf, Artefact)>> {
        files
            .iter()
            .map(|(path, bytes)| Some((self.short(path), self.cache.keep_artefact(bytes)?)))
            .collect()
    }

    fn short(&self, path: &Path) -> PathBuf {
        let short = self.roots.shorten(path.as_os_str().as_bytes());
        short.map_or_else(
            || path.to_owned(),
            |short| OsString::from_vec(short.into_owned()).into(),
        )
    }

    /// Whether the files of a result are exactly those that this invocation may write.
    fn may_place(&self, delivery: &Delivery) -> bool {
        let places = Places::of(self.job, self.facts.keep.as_ref());
        let named = self.job.output.as_deref().map(Path::new);
        let outputs = delivery.outputs.iter().map(|output| output.path.as_path());
        let outputs = outputs.map(|path| (Some(path) != named).then_some(path));
        let depfiles = delivery.depfiles.iter().map(|(path, _)| path.as_path());
        places.are_outputs(&outputs.collect::<Vec<_>>())
            && places.are_depfiles(&depfiles.collect::<Vec<_>>())
            && places.are_kept(delivery.kept.iter().map(|(path, _)| path))
    }

    /// The sources in the form that the journal uses.
    pub(super) fn sources(&self) -> Vec<String> {
        let directory = &self.facts.directory.physical;
        let sources = self.job.inputs.iter();
        let paths = sources.map(|path| place(directory, path));
        paths.map(|path| text(path.as_os_str())).collect()
    }

    /// Puts `set` first in the list of path sets. If two processes do so at once, the set of one may be lost, which
    /// costs a preprocessing.
    fn keep_set(&self, set: PathSet) -> bool {
        let list = self.cache.path_sets(&self.key, false, || self.named());
        let older = list.as_deref().and_then(path_set::read_list);
        match path_set::list_with(set, older.unwrap_or_default()) {
            Some(list) => self.cache.keep(&self.key, &list),
            None => true,
        }
    }
}

/// The token digests of each of `files`.
fn tokens_of(files: &[PathBuf], reads: &ReadSet<'_>) -> Vec<Option<TokenDigests>> {
    let sources = &reads.reads.sources;
    let digests = files.iter().map(|path| tokens::digest(sources.get(path)?));
    digests.collect()
}
