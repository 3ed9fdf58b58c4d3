//! Looks results up in direct mode.
//!
//! Under the direct key lies a list of path sets, newest first. Under the digest of a set and the digests of its
//! files lies a [`DirectRecord`], or a pointer to it.

use crate::cmdline::Job;
use crate::compile::deliver::delivery::{Delivery, PlacedOutput};
use crate::compile::deliver::places::Places;
use crate::compile::deliver::write_output::OutputTarget;
use crate::compile::direct::explain;
use crate::compile::direct::record::{DirectRecord, Pointer, SCHEMA};
use crate::compile::direct::rules_text;
use crate::compile::direct::token_set::TokenSet;
use crate::compile::direct::verbose_text;
use crate::compile::inputs::host::{Answers, HostCompiler};
use crate::compile::inputs::host_questions::{self, HostQuestion};
use crate::compile::request::direct_key::DirectKeyInputs;
use crate::compile::request::facts::RequestFacts;
use crate::compile::request::{environment, messages};
use crate::compile::run::printed::Printed;
use crate::compile::store_view::StoreView;
use crate::compile::unit::needs::Needs;
use crate::includes::digests::DigestTable;
use crate::includes::lookups::NotStored;
use crate::includes::path_set::{self, Changed, PathSet};
use crate::journal::Recorder;
use crate::key::pointer::POINTER;
use crate::key::{Digest, Digester, ResultFacts, Roots, Sink, result_key};
use crate::stat::CoarseTime;
use crate::store::Artefact;
use crate::toolchain::{HostDriver, HostFamily, ToolForms, Toolchain};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

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
    /// Whether a server had it.
    pub is_served: bool,
    /// Milliseconds that the compile took.
    pub milliseconds: u64,
    /// The key of the facts of that compile, in hex.
    pub facts: Option<String>,
}

/// One invocation as direct mode sees it.
pub(crate) struct Direct<'a> {
    pub(super) key: Digest,
    /// The questions to clang or a program in front of the host compiler, and the key without its answers.
    pub(super) questions: Option<(Digest, BTreeSet<HostQuestion>)>,
    pub(super) job: &'a Job,
    pub(super) facts: &'a RequestFacts,
    pub(super) cache: &'a StoreView<'a>,
    pub(super) table: &'a DigestTable,
    /// Where paths are that keys and path sets hold below the names of roots.
    pub(super) roots: Roots,
    /// Whether semantic (token-only) matches are allowed.
    pub(super) counts_tokens: bool,
    /// Whether the compile runs its passes while a distant server answers.
    pub(super) may_go_on: bool,
}

impl<'a> Direct<'a> {
    /// A program in front of the host compiler, or clang's driver, is queried unless its `answers` are known: clang's
    /// depend on configuration files and on the GCCs that are installed.
    ///
    /// # Errors
    /// Direct mode is off, or cannot determine what the invocation depends on. That is so for a host compiler other
    /// than GCC and clang, as only their header lookups are known; and for a script as nvcc or as a part of the host
    /// compiler, whose effect only an ordinary compile sees.
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
            roots: request.roots.clone(),
            counts_tokens: false,
            may_go_on: job.inputs.len() == 1,
        };
        let mut family = Some(toolchain.host);
        let is_own = toolchain.driver == HostDriver::Own;
        if !is_own || toolchain.host == HostFamily::Clang {
            let answers = match answers {
                Some(answers) => answers,
                None => &direct
                    .ask(toolchain)
                    .ok_or("what the host compiler was asked is not known")?,
            };
            family = answers.family.filter(|_| answers.doubt.is_none());
            direct.questions = Some((direct.key, answers.questions.clone()));
            direct.key = answers.key(&direct.key, &direct.roots);
        }
        match family {
            Some(HostFamily::Gnu) => Ok(direct),
            Some(HostFamily::Clang) if is_own => Ok(direct),
            _ => Err("the host compiler is neither GCC nor clang".to_owned()),
        }
    }

    /// Asks clang or the program in front of the host compiler the questions of an earlier compile.
    fn ask(&self, toolchain: &Toolchain) -> Option<Answers> {
        let compiler = HostCompiler {
            toolchain,
            digests: Some(self.table),
        };
        compiler
            .ask(&host_questions::recall(
                self.cache,
                &self.key,
                &self.roots,
                self.job,
            )?)
            .ok()
    }

    /// Sets whether semantic (token-only) matches are allowed.
    pub(crate) fn counting_tokens(self, counts_tokens: bool) -> Self {
        Self {
            counts_tokens,
            ..self
        }
    }

    /// Sets whether the compile goes on while a distant server answers, if it is of one source.
    pub(crate) fn going_on(self, may_go_on: bool) -> Self {
        let may_go_on = self.may_go_on && may_go_on;
        Self { may_go_on, ..self }
    }

    /// The same invocation's unit `number`, whose results have keys of their own.
    pub(crate) fn of_unit(&self, number: usize) -> Self {
        let mut sink = Digester::default();
        sink.one("schema", b"pcache-nvcc direct unit 1");
        sink.one("direct", &self.key);
        sink.one("unit", &(number as u64).to_le_bytes());
        Self {
            key: sink.finish(),
            questions: self.questions.clone(),
            roots: self.roots.clone(),
            may_go_on: false,
            ..*self
        }
    }

    /// The stored result, if nothing that it depends on has changed. Logs to `recorder` why there is none.
    pub(crate) fn look_up(&self, recorder: &Recorder) -> Option<DirectHit> {
        self.look_through(
            recorder,
            &|set, contents| self.fetch(set, contents).map(|(hit, _)| hit),
            &|set, contents| self.fetch_alike(set, contents),
        )
    }

    /// What `fetch` returns for a path set that holds, or else what `fetch_alike` returns for one whose files have
    /// other contents than any result.
    pub(super) fn look_through<T>(
        &self,
        recorder: &Recorder,
        fetch: &dyn Fn(&PathSet, &[Digest]) -> Option<T>,
        fetch_alike: &dyn Fn(&PathSet, &[Digest]) -> Option<T>,
    ) -> Option<T> {
        if self.cache.recache {
            recorder.note("direct", "not looked up: PCACHE_RECACHE is set");
            return None;
        }
        let (cache, may_go_on) = (self.cache, self.may_go_on);
        let Some(list) = cache.path_sets(&self.key, may_go_on, || self.named()) else {
            recorder.note("direct", "no such command line was compiled before");
            return None;
        };
        let found = self.look_through_list(&list, recorder, fetch, fetch_alike);
        found.or_else(|| {
            let list = cache.extended_path_sets(&self.key, may_go_on, || self.named())?;
            recorder.note("direct", "other machines have more path sets");
            self.look_through_list(&list, recorder, fetch, fetch_alike)
        })
    }

    fn look_through_list<T>(
        &self,
        list: &[u8],
        recorder: &Recorder,
        fetch: &dyn Fn(&PathSet, &[Digest]) -> Option<T>,
        fetch_alike: &dyn Fn(&PathSet, &[Digest]) -> Option<T>,
    ) -> Option<T> {
        let started = CoarseTime::now();
        let sets = path_set::read_list(list)?;
        // Several path sets share most of their files, so digests are kept between their checks.
        let mut memo = (sets.len() > 1).then(HashMap::new);
        let mut unmatched = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            let nth = || format!("path set {} of {}", number + 1, sets.len());
            let contents = match set.check(self.table, memo.as_mut(), started, &self.roots) {
                Ok(contents) => contents,
                Err(Changed(path)) => {
                    let path = path.display();
                    recorder.note("direct", format_args!("{}: {path} has changed", nth()));
                    continue;
                }
            };
            if let Some(found) = fetch(set, &contents) {
                return Some(found);
            }
            unmatched.push((set, contents));
            recorder.note(
                "direct",
                format_args!("{}: no result of these contents", nth()),
            );
        }
        // Only now, since token digests mean reading files.
        let mut unmatched = unmatched.iter().filter(|_| self.cache.semantic);
        let found = unmatched.find_map(|(set, contents)| fetch_alike(set, contents));
        if found.is_none() && recorder.keeps_notes() {
            let reason = if self.cache.semantic {
                "no earlier state of these files had the same tokens"
            } else {
                "PCACHE_SEMANTIC is off"
            };
            recorder.note("direct", reason);
        }
        found
    }

    /// The result of an earlier state of the files with the same tokens. Stores it under the present contents too.
    fn fetch_alike(&self, set: &PathSet, contents: &[Digest]) -> Option<DirectHit> {
        let fetch = |then: &[Digest]| self.fetch(set, then);
        let ((hit, mut record), tokens) = self.of_equal_tokens(set, contents, fetch)?;
        let base = record.facts.take();
        record.facts = base.and_then(|base| {
            let paths = set.files(&self.roots)?;
            explain::keep_later(self.cache, base, tokens.changed(&paths, contents))
        });
        if let Ok(bytes) = serde_json::to_vec(&record) {
            self.keep_scoped(set, contents, record.needs, &bytes);
        }
        Some(DirectHit {
            is_semantic: true,
            facts: record.facts,
            ..hit
        })
    }

    /// What `fetch` finds for the contents of an earlier state of the files with the same tokens, and that state.
    pub(super) fn of_equal_tokens<T>(
        &self,
        set: &PathSet,
        contents: &[Digest],
        fetch: impl Fn(&[Digest]) -> Option<T>,
    ) -> Option<(T, TokenSet)> {
        let key = TokenSet::key(&self.key, set);
        let list = self.cache.intermediate_record(&key)?;
        let paths = set.files(&self.roots)?;
        let token_sets = TokenSet::read_all(&list)?.into_iter();
        let mut matching = token_sets.filter(|tokens| tokens.hold(&paths, contents));
        matching.find_map(|tokens| Some((fetch(&tokens.contents())?, tokens)))
    }

    /// The key of the result of `set` with these `contents`, which depends on `needs` too.
    pub(super) fn result_key(&self, set: &PathSet, contents: &[Digest], needs: Needs) -> Digest {
        let output = needs.output.then(|| self.output());
        let messages = needs
            .messages
            .then(|| messages::facts(self.facts.diagnostics));
        let time = needs
            .time
            .then(|| environment::source_date().unwrap_or_default());
        let facts = ResultFacts {
            output: output.as_deref(),
            messages: messages.as_deref().unwrap_or_default(),
            time: time.as_deref(),
            places: &self.roots.paths(needs.roots),
        };
        result_key(&self.key, &set.digest, contents, &facts)
    }

    /// The path of the output, as module ids have it. Without `-o`, the working directory: the output's name then
    /// follows from the source, which is in the key.
    fn output(&self) -> Vec<u8> {
        let output = self.job.output.as_deref().unwrap_or_default();
        self.facts.module_path(output, &self.roots)
    }

    /// The record of `set` with these `contents`, and its key: the one without further parts, or the one to which a
    /// pointer under it leads.
    pub(super) fn read<R: DeserializeOwned>(
        &self,
        set: &PathSet,
        contents: &[Digest],
        needs_of: impl Fn(&R) -> (u32, Needs),
    ) -> Option<(Digest, R)> {
        let mut key = self.result_key(set, contents, Needs::default());
        let mut stored = self.cache.direct_record(&key, self.may_go_on)?;
        let mut needs = Needs::default();
        if stored.starts_with(POINTER) {
            let pointer: Pointer = serde_json::from_slice(&stored[POINTER.len()..]).ok()?;
            needs = (pointer.schema == SCHEMA).then_some(pointer.needs)?;
            key = self.result_key(set, contents, needs);
            stored = self.cache.direct_record(&key, self.may_go_on)?;
        }
        let record: R = serde_json::from_slice(&stored).ok()?;
        (needs_of(&record) == (SCHEMA, needs)).then_some((key, record))
    }

    /// The result of `set` with these `contents`, and its record.
    fn fetch(&self, set: &PathSet, contents: &[Digest]) -> Option<(DirectHit, DirectRecord)> {
        let brought = self.cache.brought();
        let read = self.read(set, contents, |record: &DirectRecord| {
            (record.schema, record.needs)
        });
        let (key, record) = read?;
        let delivery = self.delivery(&record)?;
        let hit = DirectHit {
            // On an output that only nvcc can write properly, an ordinary compile reports the bypass.
            targets: delivery.targets().ok()?,
            kept_targets: delivery.kept_targets().ok()?,
            delivery,
            units: record.units.min(self.job.inputs.len() as u64),
            key,
            is_semantic: false,
            is_served: self.cache.brought() > brought,
            milliseconds: record.milliseconds,
            facts: record.facts.clone(),
        };
        Some((hit, record))
    }

    /// The path that a record holds below the name of a root.
    fn path(&self, short: &Path) -> Option<PathBuf> {
        let path = self.roots.expand_text(short.as_os_str().as_bytes())?;
        Some(PathBuf::from(OsString::from_vec(path)))
    }

    /// The make rules that are stored as `artefact`, as nvcc would write them here.
    fn rules(&self, artefact: &Artefact) -> Option<Vec<u8>> {
        rules_text::present(&self.cache.artefact(artefact)?, self.job, &self.roots)
    }

    /// What nvcc would print here.
    fn printed(&self, record: &DirectRecord) -> Option<Printed> {
        let printed = Printed::fetch(self.cache, [&record.stdout, &record.stderr])?;
        verbose_text::present(printed, record.are_messages_short, &self.roots)
    }

    /// Reads all artefacts of `record`. `None` if one is no longer in the store, or this invocation may not write a
    /// file of the result.
    fn delivery(&self, record: &DirectRecord) -> Option<Delivery> {
        let mut paths = Vec::with_capacity(record.outputs.len());
        for output in &record.outputs {
            paths.push(match &output.path {
                Some(short) => Some(self.path(short)?),
                None => None,
            });
        }
        let named = self.job.dependencies.as_ref();
        let named = named.and_then(|requested| requested.file.as_ref());
        let mut depfiles = Vec::with_capacity(record.depfiles.len());
        for (short, artefact) in &record.depfiles {
            let path = match short {
                Some(short) => self.path(short)?,
                None => named?.into(),
            };
            depfiles.push((path, *artefact));
        }
        let mut kept = Vec::with_capacity(record.kept.len());
        for (short, artefact) in &record.kept {
            kept.push((self.path(short)?, *artefact));
        }
        let places = Places::of(self.job, self.facts.keep.as_ref());
        let outputs: Vec<_> = paths.iter().map(Option::as_deref).collect();
        let names: Vec<_> = depfiles.iter().map(|(path, _)| path.as_path()).collect();
        let may_write = places.are_outputs(&outputs)
            && places.are_depfiles(&names)
            && places.are_kept(kept.iter().map(|(path, _)| path));
        if !may_write {
            return None;
        }
        let mut outputs = Vec::with_capacity(paths.len());
        for (path, output) in paths.into_iter().zip(&record.outputs) {
            let opened = self.cache.open_artefact(&output.artefact)?;
            outputs.push(PlacedOutput {
                path: match path {
                    Some(path) => path,
                    None => self.job.output.clone()?.into(),
                },
                mode: output.mode,
                bytes: opened.bytes,
                source: opened.file,
            });
        }
        let mut delivery = Delivery {
            outputs,
            printed: self.printed(record)?,
            ..Delivery::default()
        };
        for (path, artefact) in depfiles {
            delivery.depfiles.push((path, self.rules(&artefact)?));
        }
        if let Some(artefact) = &record.rules {
            delivery.rules = self.rules(artefact)?;
        }
        for (path, artefact) in kept {
            delivery.kept.push((path, self.cache.artefact(&artefact)?));
        }
        Some(delivery)
    }
}
