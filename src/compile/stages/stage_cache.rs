//! The stages of one unit, taken from the store one at a time, or run and stored.

use crate::compile::detour::Detour;
use crate::compile::inputs::assembly::{check_assembly, check_line_files};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::evidence::check_headers;
use crate::compile::inputs::known_files::{QuotedSource, RealFiles, are_unchanged};
use crate::compile::inputs::line_insensitive::LineInsensitive;
use crate::compile::inputs::preprocess::PassResults;
use crate::compile::inputs::quoted_sources;
use crate::compile::run::commands::Outputs;
use crate::compile::run::mentions::mentions;
use crate::compile::run::printed::{OutputStream, Printed};
use crate::compile::run::stage_names;
use crate::compile::run::workspace::write;
use crate::compile::stages::keys::{Keys, StageInputs, StoredForm};
use crate::compile::stages::nameless::{self, Code};
use crate::compile::stages::record::{SCHEMA, StageOutput, StageRecord};
use crate::compile::stages::shape::{self, Written};
use crate::compile::stages::two_steps::TwoSteps;
use crate::exec::Command;
use crate::includes::lookups::Doubt;
use crate::key::Digest;
use crate::outcome::Fallback;
use crate::plan::{FileId, Split, Stage, Tool};
use crate::stats::{Counter, StageKind};
use sha2::{Digest as _, Sha256};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The stages of one unit at work, whose passes have run.
pub(crate) struct Stages<'a> {
    inputs: StageInputs<'a>,
    /// Of the stages that run.
    keys: HashMap<usize, Keys>,
    served: BTreeSet<usize>,
    two_steps: Option<TwoSteps<'a>>,
    /// Every file that the unit's passes read; `None` if one has changed meanwhile.
    sources: OnceCell<Option<Vec<QuotedSource>>>,
}

impl<'a> Stages<'a> {
    /// Puts the module id where the front ends look for it. `split` is what the work's plan was made
    /// by, if its host compile has two steps.
    pub(crate) fn new(
        work: &'a UnitContext<'a>,
        read: &'a PassResults,
        line_insensitive: Option<&'a LineInsensitive>,
        id: &'a [u8],
        split: Option<&'a Split>,
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
            two_steps: split.map(TwoSteps::new),
            sources: OnceCell::new(),
        })
    }

    /// Begins stage `number`, whose inputs are all in the workspace: the command to run, or none
    /// where everything that it would have written and printed has come from the store.
    pub(crate) fn begin(&mut self, number: usize) -> Result<Option<Command>, Detour> {
        let work = self.inputs.work;
        let stage = work.stage(number);
        work.commands.workspace.prepare(work.plan, &stage.writes)?;
        if let Some(two_steps) = &mut self.two_steps {
            let form = two_steps.begin(work, stage)?;
            self.inputs.digests.extend(form);
        }
        let mut command = work
            .commands
            .command(work.plan, stage, number, Outputs::Private)?;
        if let Some(keys) = self.inputs.keys(stage, &command) {
            for (key, form) in keys.all().filter(|_| !work.cache.recache) {
                if self.restore(stage, number, key, form)? {
                    self.served.insert(number);
                    count(work, stage, Counter::StageHit);
                    return Ok(None);
                }
            }
            self.keys.insert(number, keys);
        }
        count(work, stage, Counter::StageMiss);
        for (flag, path) in shape::added(work, stage, number) {
            command.args.push(flag.into());
            command.args.push(path.into());
        }
        Ok(Some(command))
    }

    /// Ends stage `number`, which has run well: stores what may be stored.
    pub(crate) fn end(&mut self, number: usize) -> Result<(), Fallback> {
        let stage = self.inputs.work.stage(number);
        if let Some(two_steps) = &mut self.two_steps {
            two_steps.end(self.inputs.work, stage, number)?;
        }
        self.keep(stage, number);
        Ok(())
    }

    /// Stores what stage `number` wrote, where it may be stored, and notes its digests.
    fn keep(&mut self, stage: &Stage, number: usize) {
        let keys = self.keys.get(&number);
        let written = shape::written(self.inputs.work, stage, number);
        let (Some(keys), Some(written)) = (keys, written) else {
            return;
        };
        let wanted = written
            .into_iter()
            .filter(|file| file.needed || shape::is_shared(stage, &file.flag));
        let contents: Option<Vec<_>> = wanted
            .map(|file| {
                let bytes = file.mention.remove(fs::read(&file.path).ok()?)?;
                Some((file, bytes))
            })
            .collect();
        let Some(contents) = contents else {
            return;
        };
        let (contents, form) = self.formed(stage, keys, contents);
        let form = self
            .may_be_stored(stage, number, &contents)
            .and_then(|()| form.ok_or_else(|| "the module id is in more than names".to_owned()));
        if let Err(doubt) = &form {
            let name = stage_names::name(stage);
            let text = format_args!("{name}: {doubt}");
            self.inputs
                .work
                .runner
                .recorder
                .note("stage not stored", text);
        }
        if let Ok(form) = form {
            self.store(stage, number, (keys, form), &contents);
        }
        for content in contents {
            self.note_digests(content.file.file, &content.bytes, content.nameless);
        }
    }

    /// The contents, each without the module id too where the stage's key may do without it, and the form
    /// in which they are stored; `None` if only one without the id could be, and there is none.
    fn formed(
        &self,
        stage: &Stage,
        keys: &Keys,
        contents: Vec<(Written, Vec<u8>)>,
    ) -> (Vec<WrittenContent>, Option<StoredForm>) {
        let is_carried = keys.nameless.is_some();
        let without = |file: &Written, bytes: &[u8]| {
            let code = if stage.output.is_some() && file.file == stage.output {
                Code::Device
            } else {
                Code::Other
            };
            let is_plain = stage.tool == Tool::Ptxas || nameless::is_plain(bytes, code);
            is_plain
                .then(|| nameless::remove(bytes, self.inputs.id))
                .flatten()
        };
        let contents = contents.into_iter().map(|(file, bytes)| WrittenContent {
            nameless: is_carried.then(|| without(&file, &bytes)).flatten(),
            file,
            bytes,
        });
        let mut contents: Vec<_> = contents.collect();
        let is_nameless = is_carried && contents.iter().all(|content| content.nameless.is_some());
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

    /// Notes of a file what a later stage's key needs: its content in portable form, and that without
    /// the module id.
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

    /// The stages that came from the store, and what is known of an assembly by itself.
    pub(crate) fn made(self) -> StageResults {
        StageResults {
            served: self.served,
            assembled: self.two_steps.map(TwoSteps::assembled),
        }
    }

    /// Whether the host compile cannot be done in two steps.
    pub(crate) fn are_misfit(&self) -> bool {
        self.two_steps.as_ref().is_some_and(TwoSteps::is_misfit)
    }

    /// Puts everything that the stored stage wrote and printed into the workspace; false if it is not
    /// all there.
    fn restore(
        &mut self,
        stage: &Stage,
        number: usize,
        key: &Digest,
        form: StoredForm,
    ) -> Result<bool, Fallback> {
        let Some(stored) = self.fetch(stage, number, key) else {
            return Ok(false);
        };
        let workspace = self.inputs.work.commands.workspace;
        let id = self.inputs.id;
        let named = |bytes: &[u8]| nameless::insert(bytes, id);
        for (file, bytes) in stored.outputs {
            let (bytes, nameless) = match form {
                StoredForm::Named => (bytes, None),
                StoredForm::Nameless => (named(&bytes), Some(bytes)),
            };
            self.note_digests(file.file, &bytes, nameless);
            write(&file.path, &file.mention.insert(bytes))?;
        }
        for (stream, text) in OutputStream::ALL.into_iter().zip(stored.printed.texts()) {
            if !text.is_empty() {
                let text = match form {
                    StoredForm::Named => text,
                    StoredForm::Nameless => &named(text),
                };
                write(&workspace.stream(number, stream), text)?;
            }
        }
        Ok(true)
    }

    /// The stored stage, verified, with all files that are needed here.
    fn fetch(&self, stage: &Stage, number: usize, key: &Digest) -> Option<StoredStage> {
        let cache = self.inputs.work.cache;
        let record: StageRecord = serde_json::from_slice(&cache.record(key)?).ok()?;
        if record.schema != SCHEMA || !are_unchanged(&record.sources) {
            return None;
        }
        let written = shape::written(self.inputs.work, stage, number)?;
        let outputs = written.into_iter().filter(|file| file.needed).map(|file| {
            let output = record
                .outputs
                .iter()
                .find(|known| known.flag == file.flag)?;
            let bytes = cache.artefact(&output.artefact)?;
            Some((file, bytes))
        });
        Some(StoredStage {
            outputs: outputs.collect::<Option<_>>()?,
            printed: Printed {
                stdout: cache.artefact_or_empty(record.stdout.as_ref())?,
                stderr: cache.artefact_or_empty(record.stderr.as_ref())?,
            },
        })
    }

    /// A doubt where the result depends on something that the key does not hold.
    fn may_be_stored(
        &self,
        stage: &Stage,
        number: usize,
        contents: &[WrittenContent],
    ) -> Result<(), Doubt> {
        let work = self.inputs.work;
        work.mounts.check()?;
        let workspace = work.commands.workspace;
        let root = workspace.root().as_os_str().as_bytes();
        let printed = workspace.printed(number);
        let bytes = contents.iter().map(|content| content.bytes.as_slice());
        if bytes
            .chain(printed.texts())
            .any(|bytes| mentions(bytes, root))
        {
            return Err("it names the work directory".to_owned());
        }
        match stage.tool {
            Tool::Cudafe => self.check_stub_name(stage, &printed),
            Tool::Ptxas => {
                check_line_files(work, stage, &self.inputs.read.known.resolve()?)?;
                if shape::names_count(stage) {
                    return Ok(());
                }
                let files = stage.reads.iter().chain(&stage.writes);
                let mut names = files.map(|file| shape::base_name(&work.plan.file(*file).path));
                let mentions = |name: &[u8]| {
                    let mut cubins = contents.iter().map(|content| &content.bytes);
                    cubins.any(|cubin| mentions(cubin, name))
                };
                match names.find(|name| mentions(name.as_bytes())) {
                    Some(name) => Err(format!("it names {}", name.display())),
                    None => Ok(()),
                }
            }
            Tool::HostCompile => {
                let headers = self.inputs.read.host_headers.iter();
                let headers =
                    headers.map(|header| Path::new(std::ffi::OsStr::from_bytes(&header.path)));
                let headers = RealFiles::of(headers)?;
                check_headers(workspace, number, &headers)?;
                work.check_host()?;
                if self.two_steps.is_none() {
                    check_assembly(work, stage, number)?;
                }
                headers.check_unchanged(work.started)
            }
            _ => Ok(()),
        }
    }

    /// Wherever the text mentions the stub, it is because of the flag: neither the source nor another
    /// argument does. Nor does what was `printed`, which is stored as it is.
    fn check_stub_name(&self, stage: &Stage, printed: &Printed) -> Result<(), Doubt> {
        let work = self.inputs.work;
        let Some(name) = shape::stub_name(stage).map(|name| name.as_bytes()) else {
            return Ok(());
        };
        let arguments = shape::arguments(work, stage);
        let mut texts = arguments.iter().map(Vec::as_slice).chain(printed.texts());
        let mut elsewhere = texts.any(|text| mentions(text, name));
        for file in &stage.reads {
            let path = work.commands.workspace.locate(work.plan, *file);
            let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            elsewhere |= mentions(&text, name);
        }
        if elsewhere {
            Err("the source mentions its stub".to_owned())
        } else {
            Ok(())
        }
    }

    /// Stores the stage's result under the keys of its form. What is not stored is run again.
    fn store(
        &self,
        stage: &Stage,
        number: usize,
        (keys, form): (&Keys, StoredForm),
        contents: &[WrittenContent],
    ) -> Option<()> {
        let cache = self.inputs.work.cache;
        let printed = self.inputs.work.commands.workspace.printed(number);
        // CUDA's own tools quote the preprocessed text, which is their input.
        let quotes = match stage.tool {
            // Messages quote lines.
            Tool::HostCompile => !printed.is_empty(),
            Tool::Cicc => self.inputs.work.copies_sources(),
            Tool::Ptxas => self.inputs.work.measures_sources(),
            _ => false,
        };
        let sources = if quotes { self.sources()? } else { Vec::new() };
        let mut outputs = Vec::with_capacity(contents.len());
        for content in contents {
            let bytes = content.nameless.as_ref().unwrap_or(&content.bytes);
            outputs.push(StageOutput {
                flag: content.file.flag.clone(),
                artefact: cache.keep_artefact(bytes)?,
            });
        }
        let printed_form = self.in_form(&printed, form)?;
        let record = StageRecord {
            schema: SCHEMA,
            outputs,
            stdout: cache.keep_unless_empty(&printed_form.stdout)?,
            stderr: cache.keep_unless_empty(&printed_form.stderr)?,
            sources,
            source: self.inputs.work.source(),
        };
        let keys = match form {
            StoredForm::Named => keys.named.as_ref()?,
            StoredForm::Nameless => keys.nameless.as_ref()?,
        };
        cache.keep(&keys.exact, &serde_json::to_vec(&record).ok()?);
        if let Some(line_insensitive) = &keys.line_insensitive
            && let Some(sources) = self.named(&printed)
        {
            let record = StageRecord { sources, ..record };
            cache.keep(line_insensitive, &serde_json::to_vec(&record).ok()?);
        }
        Some(())
    }

    /// The files that `printed` may mention; `None` if that cannot be told.
    fn named(&self, printed: &Printed) -> Option<Vec<QuotedSource>> {
        if printed.is_empty() {
            return Some(Vec::new());
        }
        self.inputs
            .line_insensitive
            .filter(|line_insensitive| !line_insensitive.renames)?;
        self.sources()?;
        quoted_sources::named(&self.inputs.read.known, &printed.texts())
    }

    /// What a stage printed, in the form in which it is stored.
    fn in_form(&self, printed: &Printed, form: StoredForm) -> Option<Printed> {
        match form {
            StoredForm::Named => Some(printed.clone()),
            StoredForm::Nameless => Some(Printed {
                stdout: nameless::remove(&printed.stdout, self.inputs.id)?,
                stderr: nameless::remove(&printed.stderr, self.inputs.id)?,
            }),
        }
    }

    /// Every file that the unit's passes read, as it was when they read it.
    fn sources(&self) -> Option<Vec<QuotedSource>> {
        let take = || {
            let files = self.inputs.read.known.resolve().ok()?;
            let sources = files.sources()?;
            files.check_unchanged(self.inputs.work.started).ok()?;
            Some(sources)
        };
        self.sources.get_or_init(take).clone()
    }
}

/// How a unit's stages were made.
#[derive(Debug, Default)]
pub(crate) struct StageResults {
    /// The stages that came from the store.
    pub served: BTreeSet<usize>,
    /// Whether the assembler read only what it was given, if it ran by itself.
    pub assembled: Option<Result<(), Doubt>>,
}

/// A file that a stage wrote.
struct WrittenContent {
    file: Written,
    bytes: Vec<u8>,
    /// The bytes without the module id, if all of the stage's files have that form.
    nameless: Option<Vec<u8>>,
}

struct StoredStage {
    /// Files with their bytes, in the form in which they are stored.
    outputs: Vec<(Written, Vec<u8>)>,
    printed: Printed,
}

/// Counts a stage's outcome.
pub(crate) fn count(work: &UnitContext<'_>, stage: &Stage, outcome: impl Fn(StageKind) -> Counter) {
    if let Some(kind) = stage_names::kind(stage.tool) {
        work.cache.stats.add(outcome(kind), 1);
    }
}
