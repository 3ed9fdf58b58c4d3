//! Takes the stages of one unit from the store one at a time, or runs and stores them.

use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::QuotedSources;
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::preprocess::PassResults;
use crate::compile::run::commands::Outputs;
use crate::compile::run::printed::OutputStream;
use crate::compile::run::stage_names;
use crate::compile::run::workspace::write;
use crate::compile::stages::doubts;
use crate::compile::stages::host_texts::{self, KnownText};
use crate::compile::stages::keys::{Keys, StageInputs, StoredForm};
use crate::compile::stages::nameless::{self, Code};
use crate::compile::stages::requests::Requests;
use crate::compile::stages::shape::{self, Written};
use crate::compile::stages::stored::{self, HostTexts, StoredFile};
use crate::compile::stages::two_steps::TwoSteps;
use crate::exec::Command;
use crate::includes::lookups::NotStored;
use crate::key::{Digest, RootSet};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, Split, Stage, Tool};
use crate::remote::PendingFetch;
use crate::stats::{Counter, StageKind};
use sha2::{Digest as _, Sha256};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// The stages of one unit whose passes have run.
pub(crate) struct Stages<'a> {
    pub(super) inputs: StageInputs<'a>,
    /// The keys of the stages that run.
    keys: HashMap<usize, Keys>,
    /// The stages that came from the store.
    served: BTreeSet<usize>,
    /// The stages that have run, with those of an attempt before this one.
    ran: BTreeSet<usize>,
    pub(super) two_steps: Option<TwoSteps<'a>>,
    /// The stages that have begun in this attempt: what one of the two steps gets is made once.
    begun: BTreeSet<usize>,
    texts: HostTexts,
    /// The files that are known by their digests alone.
    left_out: BTreeSet<FileId>,
    /// Whether a stage had to read one of them.
    lacks_text: bool,
    /// The roots that they show.
    roots: RootSet,
    /// What distant servers were asked for.
    requests: Requests<'a>,
    /// Every file that the unit's passes read; `None` if one has changed since.
    pub(super) sources: OnceCell<Option<QuotedSources>>,
}

impl<'a> Stages<'a> {
    /// Writes the module id to the file that the front ends read. `split` is the origin of the plan in `work`, if its
    /// host compile has two steps, and says how texts are used then.
    pub(crate) fn new(
        work: &'a UnitContext<'a>,
        read: &'a PassResults,
        line_insensitive: Option<&'a LineInsensitive>,
        id: &'a [u8],
        split: Option<(&'a Split, HostTexts)>,
    ) -> Result<Self, Fallback> {
        let mut digests = read.digests.clone();
        if let Some(file) = work.unit.module_id {
            write(&work.commands.workspace.locate(work.plan, file), id)?;
            digests.insert(file, Sha256::digest(id).into());
        }
        Ok(Self {
            inputs: StageInputs {
                work,
                read,
                line_insensitive,
                id,
                digests,
                nameless: HashMap::new(),
            },
            keys: HashMap::new(),
            served: BTreeSet::new(),
            ran: BTreeSet::new(),
            two_steps: split.map(|(split, _)| TwoSteps::new(split)),
            begun: BTreeSet::new(),
            texts: split.map_or(HostTexts::Whole, |(_, texts)| texts),
            left_out: BTreeSet::new(),
            lacks_text: false,
            roots: RootSet::default(),
            requests: Requests::default(),
            sources: OnceCell::new(),
        })
    }

    /// While the stages run, servers answer these requests for the whole product.
    pub(crate) fn against(self, product: &'a [PendingFetch]) -> Self {
        let requests = Requests::of(self.inputs.work.plan, product);
        Self { requests, ..self }
    }

    /// Begins stage `number`, whose inputs are all in the workspace. Returns the command to run, or `None` if
    /// everything that it would have written and printed came from the store.
    pub(crate) fn begin(&mut self, number: usize) -> Result<Option<Command>, Detour> {
        let work = self.inputs.work;
        let stage = work.stage(number);
        work.commands.workspace.prepare(work.plan, &stage.writes)?;
        work.commands.workspace.forget_printed(number)?;
        // What was overtaken begins again, with the files that were written for it.
        let is_new = self.begun.insert(number);
        if let Some(two_steps) = self.two_steps.as_mut().filter(|_| is_new) {
            let form = two_steps.begin(work, stage)?;
            self.inputs.digests.extend(form);
        }
        let mut command = work
            .commands
            .command(work.plan, stage, number, Outputs::Private)?;
        if let Some(keys) = self.inputs.keys(stage, &command) {
            if !work.cache.recache && self.is_restored(stage, number, &keys)? {
                self.served.insert(number);
                self.note_compiled(stage, number);
                return Ok(None);
            }
            self.keys.insert(number, keys);
        }
        if self.lacks_text_of(stage) {
            self.lacks_text = true;
            let detail = "the text of cudafe++ is not stored";
            return Err(Fallback::new(FallbackReason::Stage, detail).into());
        }
        // What a distant server is asked for may yet be a hit.
        if !self.requests.has(number) {
            self.count_run(stage, number);
        }
        for (flag, path) in shape::added(work, stage, number) {
            command.args.push(flag.into());
            command.args.push(path.into());
        }
        Ok(Some(command))
    }

    fn count_run(&mut self, stage: &Stage, number: usize) {
        if self.ran.insert(number) {
            count(self.inputs.work, stage, Counter::StageMiss);
        }
    }

    /// Ends stage `number`, which has succeeded, and stores its result if possible.
    pub(crate) fn end(&mut self, number: usize) -> Result<(), Fallback> {
        let stage = self.inputs.work.stage(number);
        self.requests.forget(number);
        self.count_run(stage, number);
        if let Some(two_steps) = &mut self.two_steps {
            two_steps.end(self.inputs.work, stage, number)?;
        }
        self.keep(stage, number);
        Ok(())
    }

    /// Stores what stage `number` wrote, if possible, and notes the digests.
    fn keep(&mut self, stage: &Stage, number: usize) {
        let keys = self.keys.get(&number);
        let written = shape::written(self.inputs.work, stage, number);
        let (Some(keys), Some(written)) = (keys, written) else {
            return;
        };
        let contents: Option<Vec<_>> = written
            .into_iter()
            .filter(|file| file.needed || shape::is_shared(stage, &file.flag))
            .map(|file| {
                let bytes = file.mention.remove(fs::read(&file.path).ok()?)?;
                Some((file, bytes))
            })
            .collect();
        let Some(contents) = contents else {
            return;
        };
        let (contents, form) = self.formed(stage, keys, contents);
        let mut is_stored = false;
        let bytes: Vec<_> = contents.iter().map(|content| &content.bytes[..]).collect();
        let is_split = self.two_steps.is_some();
        let checked = doubts::worth_storing(stage, &bytes)
            .and_then(|()| doubts::check(&self.inputs, is_split, (stage, number), &bytes));
        let storable_form = checked
            .and_then(|()| form.ok_or_else(|| "the module id is in more than names".to_owned()));
        match storable_form {
            Ok(form) => {
                let stored = self.store(stage, number, (keys, form), &contents);
                is_stored = stored.is_some();
            }
            Err(doubt) => {
                let name = stage_names::name(stage);
                let recorder = self.inputs.work.runner.recorder;
                recorder.note("stage not stored", format_args!("{name}: {doubt}"));
            }
        }
        for content in contents {
            self.note_digests(content.file.file, &content.bytes, content.nameless);
        }
        if is_stored {
            self.note_compiled(stage, number);
        }
    }

    /// Notes which texts the host compile `stage`, which the store has, was made of. Not if it has messages, which are
    /// only repeated while what they quote is unchanged.
    fn note_compiled(&self, stage: &Stage, number: usize) {
        let printed = self.inputs.work.commands.workspace.printed(number);
        if self.two_steps.is_some() && stage.tool == Tool::HostCompile && printed.is_empty() {
            host_texts::note_compiled(&self.inputs, stage);
        }
    }

    /// Another attempt has run these stages before.
    pub(crate) fn after(self, ran: BTreeSet<usize>) -> Self {
        Self { ran, ..self }
    }

    /// Counts the stages that came from the store and did not run in another attempt. Returns those that ran, if this
    /// attempt has come to an end because a text is not stored.
    pub(crate) fn counted(&mut self) -> Option<BTreeSet<usize>> {
        if self.lacks_text {
            return Some(std::mem::take(&mut self.ran));
        }
        for number in self.served.difference(&self.ran) {
            let work = self.inputs.work;
            count(work, work.stage(*number), Counter::StageHit);
        }
        None
    }

    /// Adds the form without the module id to `contents`, if the stage has a key for that form and all files have it.
    /// Also returns the form in which they are stored; `None` if the stage only has a key for nameless results, and
    /// the result is not one.
    fn formed(
        &self,
        stage: &Stage,
        keys: &Keys,
        contents: Vec<(Written, Vec<u8>)>,
    ) -> (Vec<WrittenContent>, Option<StoredForm>) {
        let may_be_nameless = keys.nameless.is_some();
        let contents = contents.into_iter().map(|(file, bytes)| WrittenContent {
            nameless: may_be_nameless
                .then(|| self.without_id(stage, &file, &bytes))
                .flatten(),
            file,
            bytes,
        });
        let mut contents: Vec<_> = contents.collect();
        let is_nameless =
            may_be_nameless && contents.iter().all(|content| content.nameless.is_some());
        if !is_nameless {
            contents
                .iter_mut()
                .for_each(|content| content.nameless = None);
        }
        let form = match (is_nameless, &keys.named) {
            (true, _) => Some(StoredForm::Nameless),
            (false, Some(_)) => Some(StoredForm::Named),
            (false, None) => None,
        };
        (contents, form)
    }

    /// The content of a file without the module id; `None` if it has no such form.
    fn without_id(&self, stage: &Stage, file: &Written, bytes: &[u8]) -> Option<Vec<u8>> {
        let code = if stage.output.is_some() && file.file == stage.output {
            Code::Device
        } else {
            Code::Other
        };
        let is_plain = stage.tool == Tool::Ptxas || nameless::is_plain(bytes, code);
        is_plain
            .then(|| nameless::remove(bytes, self.inputs.id))
            .flatten()
    }

    /// Notes the digests of a file for the keys of later stages: of its portable form, and of the form without the
    /// module id.
    fn note_digests(&mut self, file: Option<FileId>, bytes: &[u8], nameless: Option<Vec<u8>>) {
        let Some(file) = file else {
            return;
        };
        self.inputs
            .digests
            .insert(file, Sha256::digest(bytes).into());
        if let Some(nameless) = nameless {
            self.inputs
                .nameless
                .insert(file, Sha256::digest(&nameless).into());
        }
    }

    /// The stages that came from the store, and what the assembler included if it ran separately.
    pub(crate) fn made(self) -> StageResults {
        StageResults {
            served: self.served,
            binaries: self.two_steps.map(TwoSteps::binaries),
            roots: self.roots,
        }
    }

    /// Whether the host compile cannot be done in two steps.
    pub(crate) fn are_misfit(&self) -> bool {
        self.two_steps.as_ref().is_some_and(TwoSteps::is_misfit)
    }

    /// Restores the stage from the store, where a near server may have put it just now. A distant one is asked, and the
    /// stage runs until it answers.
    fn is_restored(&mut self, stage: &Stage, number: usize, keys: &Keys) -> Result<bool, Fallback> {
        if self.is_restored_locally(stage, number, keys)? {
            return Ok(true);
        }
        let cache = self.inputs.work.cache;
        if self.lacks_text_of(stage) {
            // It cannot run until the answer comes.
            let mut keys_here = keys
                .all()
                .filter(|(key, _)| cache.stage_record(key).is_some());
            return Ok(keys_here.next().is_some() && self.is_restored_locally(stage, number, keys)?);
        }
        let brought = cache.brought();
        let asked = cache.ask_for_stage(keys.all().map(|(key, _)| key));
        self.requests.add(number, asked);
        Ok(cache.brought() > brought && self.is_restored_locally(stage, number, keys)?)
    }

    /// Whether a text that the stage reads is known by its digest alone.
    fn lacks_text_of(&self, stage: &Stage) -> bool {
        stage.reads.iter().any(|file| self.left_out.contains(file))
    }

    fn is_restored_locally(
        &mut self,
        stage: &Stage,
        number: usize,
        keys: &Keys,
    ) -> Result<bool, Fallback> {
        for (key, form) in keys.all() {
            if self.restore(stage, number, key, form)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What distant servers have yet to answer.
    pub(crate) fn rivals(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.requests.rivals()
    }

    /// Takes an answer. Returns the stage that need not run any more, if any.
    ///
    /// # Errors
    /// The whole product is in the store.
    pub(crate) fn overtaken_by(&mut self, rival: usize) -> Result<Option<usize>, Detour> {
        self.requests.answered(self.inputs.work.cache, rival)
    }

    /// Writes everything that the stored stage wrote and printed to the workspace. Returns whether all of it was in
    /// the store.
    fn restore(
        &mut self,
        stage: &Stage,
        number: usize,
        key: &Digest,
        form: StoredForm,
    ) -> Result<bool, Fallback> {
        let Some(stored) = stored::fetch(&self.inputs, (stage, number), key, self.texts) else {
            return Ok(false);
        };
        let workspace = self.inputs.work.commands.workspace;
        let id = self.inputs.id;
        for (file, stored) in stored.outputs {
            let bytes = match stored {
                StoredFile::Bytes(bytes) => bytes,
                StoredFile::Known(text) => {
                    self.leave_out(&file, &text);
                    continue;
                }
            };
            let (bytes, nameless) = match form {
                StoredForm::Named => (bytes, None),
                StoredForm::Nameless => (nameless::insert(&bytes, id), Some(bytes)),
            };
            self.note_digests(file.file, &bytes, nameless);
            write(&file.path, &file.mention.insert(bytes))?;
        }
        for (stream, text) in OutputStream::ALL.into_iter().zip(stored.printed.texts()) {
            if !text.is_empty() {
                let text = match form {
                    StoredForm::Named => text,
                    StoredForm::Nameless => &nameless::insert(text, id),
                };
                write(&workspace.stream(number, stream), text)?;
            }
        }
        Ok(true)
    }

    /// Notes what is known of a text that is not stored.
    fn leave_out(&mut self, file: &Written, text: &KnownText) {
        self.roots = self.roots.and(text.roots().unwrap_or_else(RootSet::all));
        self.left_out.extend(file.file);
        let digest = file.file.zip(text.digest());
        self.inputs.digests.extend(digest);
    }
}

/// How the stages of a unit were compiled.
#[derive(Debug, Default)]
pub(crate) struct StageResults {
    /// The stages that came from the store.
    pub served: BTreeSet<usize>,
    /// The files that the assembler included, if it ran separately.
    pub binaries: Option<Result<BTreeSet<PathBuf>, NotStored>>,
    /// The roots that texts show which the store does not hold.
    pub roots: RootSet,
}

/// A file that a stage wrote.
pub(super) struct WrittenContent {
    pub(super) file: Written,
    pub(super) bytes: Vec<u8>,
    /// The bytes without the module id, if all of the stage's files have that form.
    pub(super) nameless: Option<Vec<u8>>,
}

/// Adds one to the counter that `outcome` returns for the kind of `stage`, if statistics count that kind.
pub(crate) fn count(work: &UnitContext<'_>, stage: &Stage, outcome: impl Fn(StageKind) -> Counter) {
    if let Some(kind) = stage_names::kind(stage.tool) {
        work.cache.stats.add(outcome(kind), 1);
    }
}
