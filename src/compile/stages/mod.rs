//! The stage cache: the result of each stage under a key of its own, so that a changed unit only
//! redoes what has changed. One stage at a time: `begin` takes it from the store or says what to
//! run, `end` stores it. Unaware of when stages run, and of the unit's own record.

pub mod portable;
mod record;
mod shape;
mod splice;
mod two_steps;

use super::Detour;
use super::commands::Outputs;
use super::environment::{self, Reader};
use super::evidence::{Doubt, RealFiles, are_unchanged, check_headers};
use super::messages;
use super::passes::Read;
use super::record::Source;
use super::semantic::Alike;
use super::unit::UnitWork;
use crate::exec::Command;
use crate::includes::moved;
use crate::key::{Digest, StageFacts};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, Piece, Split, Stage, Tool};
use crate::stats::{Counter, StageKind};
use crate::store::Artefact;
use crate::toolchain::Front;
use portable::mentions;
use record::{SCHEMA, StageOutput, StageRecord};
use sha2::{Digest as _, Sha256};
use shape::Written;
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use two_steps::TwoSteps;

/// The stages of one unit at work, whose passes have run.
pub struct Stages<'a> {
    work: &'a UnitWork<'a>,
    read: &'a Read,
    /// The passes without the numbers of lines; none where every byte counts.
    alike: Option<&'a Alike>,
    /// Of the portable form of each file in the workspace that a key may need.
    digests: HashMap<FileId, Digest>,
    /// Of the stages that run.
    keys: HashMap<usize, Keys>,
    served: BTreeSet<usize>,
    two_steps: Option<TwoSteps<'a>>,
    /// Every file that the unit's passes read; none where one has changed meanwhile.
    sources: OnceCell<Option<Vec<Source>>>,
}

impl<'a> Stages<'a> {
    /// Puts the module id where the front ends look for it. `split` is what the work's plan was made
    /// by, if its host compile has two steps.
    pub fn new(
        work: &'a UnitWork<'a>,
        read: &'a Read,
        alike: Option<&'a Alike>,
        id: &[u8],
        split: Option<&'a Split>,
    ) -> Result<Self, Fallback> {
        let mut digests = read.digests.clone();
        if let Some(file) = work.unit.module_id {
            write(&work.commands.workspace.locate(work.plan, file), id)?;
            digests.insert(file, Sha256::digest(id).into());
        }
        Ok(Self {
            work,
            read,
            alike,
            digests,
            keys: HashMap::new(),
            served: BTreeSet::new(),
            two_steps: split.map(TwoSteps::new),
            sources: OnceCell::new(),
        })
    }

    /// Begins stage `number`, whose inputs are all in the workspace: the command to run, or none
    /// where everything that it would have written and printed has come from the store.
    pub fn begin(&mut self, number: usize) -> Result<Option<Command>, Detour> {
        let work = self.work;
        let stage = work.stage(number);
        work.commands.workspace.prepare(work.plan, &stage.writes)?;
        if let Some(two_steps) = &mut self.two_steps {
            let form = two_steps.begin(work, stage)?;
            self.digests.extend(form);
        }
        let mut command = work
            .commands
            .command(work.plan, stage, number, Outputs::Private)?;
        if let Some(keys) = self.keys(stage, &command) {
            for key in keys.all().filter(|_| !work.cache.recache) {
                if self.restore(stage, number, key)? {
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
    pub fn end(&mut self, number: usize) -> Result<(), Fallback> {
        let stage = self.work.stage(number);
        if let Some(two_steps) = &mut self.two_steps {
            two_steps.end(self.work, stage, number)?;
        }
        self.keep(stage, number);
        Ok(())
    }

    /// Stores what stage `number` wrote, where it may be stored, and notes its digests.
    fn keep(&mut self, stage: &Stage, number: usize) {
        let keys = self.keys.get(&number);
        let written = shape::written(self.work, stage, number);
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
        let doubt = self.may_be_stored(stage, number, &contents).err();
        if let Some(doubt) = &doubt {
            let name = name(stage);
            let text = format_args!("{name}: {doubt}");
            self.work.account.note("stage not stored", text);
        }
        let artefacts = doubt
            .is_none()
            .then(|| self.store(stage, number, keys, &contents));
        let artefacts = artefacts.flatten().unwrap_or_default();
        for (index, (file, bytes)) in contents.iter().enumerate() {
            let known = artefacts.get(index).map(|artefact| artefact.sha256);
            let digest = || known.unwrap_or_else(|| Sha256::digest(bytes).into());
            self.digests.extend(file.file.map(|file| (file, digest())));
        }
    }

    /// The stages that came from the store, and what is known of an assembly by itself.
    pub fn made(self) -> Made {
        Made {
            served: self.served,
            assembled: self.two_steps.map(TwoSteps::assembled),
        }
    }

    /// Whether the host compile cannot be done in two steps.
    pub fn are_misfit(&self) -> bool {
        self.two_steps.as_ref().is_some_and(TwoSteps::is_misfit)
    }

    /// The stage's keys; none for one that always runs, or reads what nobody has digested.
    fn keys(&self, stage: &Stage, command: &Command) -> Option<Keys> {
        Some(Keys {
            exact: self.key(stage, command, &self.digests)?,
            alike: self
                .without_lines(stage)
                .and_then(|digests| self.key(stage, command, &digests)),
        })
    }

    /// The digests of what the stage reads, without the numbers of lines that do not reach what it
    /// writes; none where they do, or where every byte counts. cudafe++ writes them all.
    fn without_lines(&self, stage: &Stage) -> Option<HashMap<FileId, Digest>> {
        let alike = self.alike?;
        let mut digests = self.digests.clone();
        match stage.tool {
            Tool::Cicc => digests.extend(&alike.texts),
            Tool::HostCompile => {
                for &file in &stage.reads {
                    if let Some(text) = self.generated(file) {
                        digests.insert(file, moved::marker_free(&text?).ok()?.digest);
                    }
                }
            }
            _ => return None,
        }
        Some(digests)
    }

    /// The text of a file of C++ that cudafe++ or cicc has written, whatever its stub is called here; none
    /// inside where there is no such text.
    fn generated(&self, file: FileId) -> Option<Option<Vec<u8>>> {
        let mut stages = self.work.unit.stages.iter().copied();
        let writer = stages.find(|&number| {
            let stage = self.work.stage(number);
            matches!(stage.tool, Tool::Cudafe | Tool::Cicc) && stage.writes.contains(&file)
        })?;
        let written = shape::written(self.work, self.work.stage(writer), writer);
        let written = written.and_then(|files| {
            let mut files = files.into_iter();
            files.find(|written| written.file == Some(file))
        });
        Some(written.and_then(|written| written.mention.rename(fs::read(&written.path).ok()?)))
    }

    fn key(
        &self,
        stage: &Stage,
        command: &Command,
        digests: &HashMap<FileId, Digest>,
    ) -> Option<Digest> {
        let work = self.work;
        if work.cache.store.is_none() || shape::reads_sources(work, stage) {
            return None;
        }
        let tool = self.tool(stage, &command.program)?;
        let host = stage.tool == Tool::HostCompile;
        let named = shape::names_count(stage);
        let mut inputs = Vec::with_capacity(stage.reads.len());
        for file in &stage.reads {
            let name = shape::base_name(&work.plan.file(*file).path);
            let name = if named { name.as_bytes() } else { b"" };
            inputs.push((name.to_vec(), *digests.get(file)?));
        }
        let mut arguments = shape::arguments(work, stage);
        let directories = [&work.facts.directories[0], &work.facts.directories[1]];
        let directories = directories.map(|path| path.as_os_str().as_bytes());
        let located = named || matches!(stage.tool, Tool::Cudafe | Tool::Cicc);
        let reader = if host {
            // Compilers look for their parts beside themselves.
            arguments.insert(0, stage.program.as_bytes().to_vec());
            Reader::HostCompiler
        } else {
            Reader::CudaTool
        };
        let asks_native = |text: &Vec<u8>| mentions(text, b"=native");
        let facts = StageFacts {
            tool: &tool,
            inputs: &inputs,
            directory: if located { &directories } else { &[] },
            environment: &environment::reaching(reader, &work.facts.environment),
            machine: &match arguments.iter().any(asks_native) {
                true => environment::machine(),
                false => Vec::new(),
            },
            diagnostics: match host {
                true => work.commands.diagnostics.name(),
                false => b"plain",
            },
            debug_directory: host.then(|| work.commands.mapped.as_bytes()),
            host_headers: match host {
                true => &self.read.host_headers,
                false => &[],
            },
            arguments: &arguments,
        };
        Some(facts.key())
    }

    /// The identity of the stage's tool; none for tools whose stages always run.
    fn tool(&self, stage: &Stage, program: &Path) -> Option<Digest> {
        const HOST: [&str; 4] = ["host", "cc1plus", "cc1", "as"];
        let toolchain = self.work.commands.toolchain;
        let real = fs::canonicalize(program).ok()?;
        match stage.tool {
            Tool::Cudafe => toolchain.part("cudafe++", &real, |role| role == "cudafe++"),
            Tool::Cicc => {
                // And libdevice.
                let is_part = |role: &str| role == "cicc" || role.ends_with(".bc");
                toolchain.part("cicc", &real, is_part)
            }
            Tool::Ptxas => toolchain.part("ptxas", &real, |role| role == "ptxas"),
            Tool::Fatbinary | Tool::EmptyFatbinary => {
                toolchain.part("fatbinary", &real, |role| role == "fatbinary")
            }
            // A script may do something else each time; the passes, which show it, are not in the key.
            Tool::HostCompile if toolchain.front == Front::Programs => {
                toolchain.part("host", &real, |role| HOST.contains(&role))
            }
            _ => None,
        }
    }

    /// Puts everything that the stored stage wrote and printed into the workspace; false if it is not
    /// all there.
    fn restore(&mut self, stage: &Stage, number: usize, key: &Digest) -> Result<bool, Fallback> {
        let Some(found) = self.fetch(stage, number, key) else {
            return Ok(false);
        };
        let workspace = self.work.commands.workspace;
        for (file, sha256, bytes) in found.outputs {
            write(&file.path, &file.mention.insert(bytes))?;
            self.digests.extend(file.file.map(|file| (file, sha256)));
        }
        for (suffix, bytes) in [("out", found.stdout), ("err", found.stderr)] {
            if !bytes.is_empty() {
                write(&workspace.stream(number, suffix), &bytes)?;
            }
        }
        Ok(true)
    }

    /// The stored stage, verified, with all files that are needed here.
    fn fetch(&self, stage: &Stage, number: usize, key: &Digest) -> Option<Found> {
        let cache = self.work.cache;
        let record: StageRecord = serde_json::from_slice(&cache.record(key)?).ok()?;
        if record.schema != SCHEMA || !are_unchanged(&record.sources) {
            return None;
        }
        let stream = |artefact: &Option<Artefact>| match artefact {
            Some(artefact) => cache.artefact(artefact),
            None => Some(Vec::new()),
        };
        let written = shape::written(self.work, stage, number)?;
        let outputs = written.into_iter().filter(|file| file.needed).map(|file| {
            let output = record
                .outputs
                .iter()
                .find(|known| known.flag == file.flag)?;
            let bytes = cache.artefact(&output.artefact)?;
            Some((file, output.artefact.sha256, bytes))
        });
        Some(Found {
            outputs: outputs.collect::<Option<_>>()?,
            stdout: stream(&record.stdout)?,
            stderr: stream(&record.stderr)?,
        })
    }

    /// A doubt where the result depends on something that the key does not hold.
    fn may_be_stored(
        &self,
        stage: &Stage,
        number: usize,
        contents: &[(Written, Vec<u8>)],
    ) -> Result<(), Doubt> {
        let work = self.work;
        work.mounts.check()?;
        let workspace = work.commands.workspace;
        let root = workspace.root().as_os_str().as_bytes();
        let printed = [self.printed(number, "out"), self.printed(number, "err")];
        let bytes = contents.iter().map(|(_, bytes)| bytes);
        if bytes.chain(&printed).any(|bytes| mentions(bytes, root)) {
            return Err("it names the work directory".to_owned());
        }
        match stage.tool {
            Tool::Cudafe => self.check_stub_name(stage, &printed),
            Tool::Ptxas => {
                work.check_line_files(stage, &self.read.known.resolve()?)?;
                if shape::names_count(stage) {
                    return Ok(());
                }
                let files = stage.reads.iter().chain(&stage.writes);
                let mut names = files.map(|file| shape::base_name(&work.plan.file(*file).path));
                let mentions =
                    |name: &[u8]| contents.iter().any(|(_, cubin)| mentions(cubin, name));
                match names.find(|name| mentions(name.as_bytes())) {
                    Some(name) => Err(format!("it names {}", name.display())),
                    None => Ok(()),
                }
            }
            Tool::HostCompile => {
                let headers = self.read.host_headers.iter();
                let headers =
                    headers.map(|header| Path::new(std::ffi::OsStr::from_bytes(&header.path)));
                let headers = RealFiles::of(headers)?;
                check_headers(workspace, number, &headers)?;
                if self.two_steps.is_none() {
                    work.check_assembly(stage, number)?;
                }
                headers.check_settled(work.began)
            }
            _ => Ok(()),
        }
    }

    /// Wherever the text mentions the stub, it is because of the flag: neither the source nor another
    /// argument does. Nor does what was `printed`, which is stored as it is.
    fn check_stub_name(&self, stage: &Stage, printed: &[Vec<u8>]) -> Result<(), Doubt> {
        let work = self.work;
        let Some(name) = shape::stub_name(stage).map(|name| name.as_bytes()) else {
            return Ok(());
        };
        let arguments = shape::arguments(work, stage);
        let mut texts = arguments.iter().chain(printed);
        let mut elsewhere = texts.any(|text| mentions(text, name));
        for file in &stage.reads {
            let path = work.commands.workspace.locate(work.plan, *file);
            let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            elsewhere |= mentions(&text, name);
        }
        match elsewhere {
            true => Err("the source mentions its stub".to_owned()),
            false => Ok(()),
        }
    }

    /// Stores the stage's result; the artefacts in the order of `contents`.
    fn store(
        &self,
        stage: &Stage,
        number: usize,
        keys: &Keys,
        contents: &[(Written, Vec<u8>)],
    ) -> Option<Vec<Artefact>> {
        let cache = self.work.cache;
        let (stdout, stderr) = (self.printed(number, "out"), self.printed(number, "err"));
        // Messages tell lines.
        let is_silent = stdout.is_empty() && stderr.is_empty();
        // CUDA's own tools quote the preprocessed text, which is their input.
        let quotes = match stage.tool {
            Tool::HostCompile => !is_silent,
            Tool::Cicc => self.work.copies_sources(),
            Tool::Ptxas => self.work.measures_sources(),
            _ => false,
        };
        let sources = if quotes { self.sources()? } else { Vec::new() };
        let artefacts: Option<Vec<_>> = contents
            .iter()
            .map(|(_, bytes)| cache.keep_artefact(bytes))
            .collect();
        let artefacts = artefacts?;
        let stream = |bytes: &[u8]| match bytes {
            [] => Some(None),
            bytes => cache.keep_artefact(bytes).map(Some),
        };
        let outputs = contents.iter().zip(&artefacts);
        let record = StageRecord {
            schema: SCHEMA,
            outputs: outputs
                .map(|((file, _), artefact)| StageOutput {
                    flag: file.flag.clone(),
                    artefact: *artefact,
                })
                .collect(),
            stdout: stream(&stdout)?,
            stderr: stream(&stderr)?,
            sources,
            source: self.work.source(),
        };
        // What is not stored is run again.
        cache.keep(&keys.exact, &serde_json::to_vec(&record).ok()?);
        if let Some(alike) = &keys.alike
            && let Some(sources) = self.named(&[&stdout, &stderr])
        {
            let record = StageRecord { sources, ..record };
            cache.keep(alike, &serde_json::to_vec(&record).ok()?);
        }
        Some(artefacts)
    }

    /// The files of which `printed` may speak; none where nobody can tell.
    fn named(&self, printed: &[&[u8]]) -> Option<Vec<Source>> {
        if printed.iter().all(|text| text.is_empty()) {
            return Some(Vec::new());
        }
        self.alike.filter(|alike| !alike.renames)?;
        self.sources()?;
        messages::named(&self.read.known, printed)
    }

    fn printed(&self, number: usize, suffix: &str) -> Vec<u8> {
        // What printed nothing may have no file.
        fs::read(self.work.commands.workspace.stream(number, suffix)).unwrap_or_default()
    }

    /// Every file that the unit's passes read, as it was when they read it.
    fn sources(&self) -> Option<Vec<Source>> {
        let take = || {
            let files = self.read.known.resolve().ok()?;
            let sources = files.sources()?;
            files.check_settled(self.work.began).ok()?;
            Some(sources)
        };
        self.sources.get_or_init(take).clone()
    }
}

/// How a unit's stages were made.
#[derive(Debug, Default)]
pub struct Made {
    /// The stages that came from the store.
    pub served: BTreeSet<usize>,
    /// Whether the assembler read only what it was given, if it ran by itself.
    pub assembled: Option<Result<(), Doubt>>,
}

/// The keys of one stage.
struct Keys {
    exact: Digest,
    /// Without the numbers of lines that do not reach what the stage writes; none where they do.
    alike: Option<Digest>,
}

impl Keys {
    fn all(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.exact).chain(&self.alike)
    }
}

/// A stored stage.
struct Found {
    /// Files with the digests of their portable forms, and these.
    outputs: Vec<(Written, Digest, Vec<u8>)>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Fallback> {
    fs::write(path, bytes).map_err(|error| {
        let text = format!("{}: {error}", path.display());
        Fallback::new(FallbackReason::WorkDirectory, text)
    })
}

/// Counts a stage's outcome.
pub fn count(work: &UnitWork<'_>, stage: &Stage, outcome: impl Fn(StageKind) -> Counter) {
    if let Some(kind) = kind(stage.tool) {
        work.cache.stats.add(outcome(kind), 1);
    }
}

/// What people call the stage: as the statistics do, where they count it.
pub fn name(stage: &Stage) -> &'static str {
    match stage.tool {
        Tool::HostPreprocess => "host_preprocess",
        Tool::StubCompile => "stub_compile",
        Tool::EmptyFatbinary => "empty_fatbinary",
        Tool::Assemble => "assemble",
        Tool::HostLink => "host_link",
        Tool::Archive => "archive",
        Tool::Remove => "remove",
        tool => kind(tool).map_or("other", StageKind::code),
    }
}

/// The architecture that the stage compiles for, as its flags name it.
pub fn arch(stage: &Stage) -> Option<String> {
    let mut words = stage.args.iter().map(|argument| match &argument.0[..] {
        [Piece::Text(text)] => text.to_str().unwrap_or_default(),
        _ => "",
    });
    match stage.tool {
        Tool::Preprocess => {
            let number = words.find_map(|word| word.strip_prefix("-D__CUDA_ARCH__="))?;
            let number = number.strip_suffix('0').unwrap_or(number);
            Some(format!("compute_{number}"))
        }
        Tool::Cicc | Tool::Ptxas | Tool::Nvlink => {
            let found = words.find(|word| word.trim_start_matches('-').starts_with("arch"))?;
            let joined = found.split_once('=').map(|(_, arch)| arch.to_owned());
            joined.or_else(|| words.next().map(str::to_owned))
        }
        _ => None,
    }
}

fn kind(tool: Tool) -> Option<StageKind> {
    match tool {
        Tool::Preprocess | Tool::HostPreprocess => Some(StageKind::Preprocess),
        Tool::Cudafe => Some(StageKind::Cudafe),
        Tool::Cicc => Some(StageKind::Cicc),
        Tool::Ptxas => Some(StageKind::Ptxas),
        Tool::Fatbinary => Some(StageKind::Fatbinary),
        Tool::Nvlink => Some(StageKind::Nvlink),
        Tool::HostCompile | Tool::StubCompile => Some(StageKind::HostCompile),
        Tool::EmptyFatbinary | Tool::Assemble | Tool::HostLink | Tool::Archive | Tool::Remove => {
            None
        }
    }
}
