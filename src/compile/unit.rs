//! One translation unit from its passes to its product: by a hit, or by running its stages.

use super::commands::{Commands, template};
use super::environment;
use super::evidence::{Doubt, Known, are_unchanged, check_headers};
use super::flight::Turn;
use super::messages;
use super::passes::{Read, UnitPasses};
use super::record::{Kept, Output, Record, SCHEMA, Source, Stream};
use super::semantic::{self, Alike, Sight};
use super::stages::{self, Made};
use super::whole::Whole;
use super::{Cache, Detour, Facts};
use crate::cmdline::Observed;
use crate::exec::Signals;
use crate::includes::mounts::Mounts;
use crate::journal::{Account, place, text};
use crate::key::{Digest, Digester, Explanation, HostHeader, Pass, Sink, TuFacts, module_id};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, Stage, Tool, Unit};
use crate::store::Artefact;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Instant, SystemTime};

/// What a unit leaves behind.
#[derive(Debug, Default)]
pub struct Product {
    /// Outputs, and temporaries that link stages read.
    pub outputs: Vec<(FileId, Vec<u8>)>,
    /// Files for `--keep`, by name.
    pub kept: Vec<(String, Vec<u8>)>,
    /// What stages printed: stage, standard output, standard error; in the plan's order.
    pub streams: Vec<(usize, Vec<u8>, Vec<u8>)>,
    /// Wall time of the stages behind the passes when they ran, in milliseconds.
    pub milliseconds: u64,
    /// Files that the result quotes: it is right as long as each is what it was.
    pub sources: Vec<Source>,
}

/// How a unit's product came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// From the store, after preprocessing.
    Hit,
    /// The same, though lines have moved.
    Alike,
    /// From the store, after waiting for another process that made it.
    Coalesced,
    /// Compiled and stored.
    Miss,
    /// Compiled, and not stored for this reason.
    Unstored(String),
}

/// A unit at work.
pub struct UnitWork<'a> {
    /// Facts of the invocation.
    pub facts: &'a Facts,
    /// The plan.
    pub plan: &'a Plan,
    /// The unit.
    pub unit: &'a Unit,
    /// Its passes.
    pub passes: &'a UnitPasses,
    /// Makes commands.
    pub commands: &'a Commands<'a>,
    /// Where results are kept.
    pub cache: &'a Cache<'a>,
    /// Makes the unit in one step, where stages are not to be run by themselves.
    pub whole: Option<Whole<'a>>,
    /// Why every byte of the sources counts, if the invocation tells.
    pub exact: Option<&'a str>,
    /// Notices signals.
    pub signals: &'a Signals,
    /// A time before any pass, by the clock that stamps files.
    pub began: SystemTime,
    /// The mounts since then.
    pub mounts: &'a Mounts,
    /// Where it tells what it does.
    pub account: &'a Account,
}

/// What is known of a unit that is not in the store under its exact key.
struct Making<'a> {
    id: &'a [u8],
    key: Digest,
    /// The key without the numbers of lines that nobody sees; none where every byte counts.
    alike_key: Option<Digest>,
    commands: &'a [(Vec<u8>, usize)],
    read: &'a Read,
    alike: Option<&'a Alike>,
}

/// A unit's product and how it came about.
pub struct Finished {
    /// What it leaves behind.
    pub product: Product,
    /// How.
    pub ending: Ending,
    /// The key.
    pub key: Digest,
    /// The fields of the key.
    pub fields: Explanation,
    /// Wall time of the passes, in milliseconds.
    pub passes: u64,
    /// What its passes read.
    pub known: Known,
    /// What else than tokens the compile could see; none where every byte counts.
    pub sight: Option<Sight>,
    /// Why that is so, for people.
    pub exact_because: Option<String>,
}

impl UnitWork<'_> {
    /// Runs the passes, then takes the product from the store or makes it. `beside` is told what the
    /// passes read, any number of times, when there is time while stages run.
    pub fn run(&self, beside: &mut dyn FnMut(&Known)) -> Result<Finished, Detour> {
        let started = Instant::now();
        let read = self.passes.run(self)?;
        let passes = milliseconds(started);
        let id = self.module_id();
        let commands = self.sorted_commands();
        let texts: Vec<_> = commands.iter().map(|(text, _)| text.clone()).collect();
        let key = |passes: &[Pass]| {
            let mut key = Digester::default();
            self.write_key(&id, &texts, passes, &read.host_headers, &mut key);
            key.finish()
        };
        let exact = key(&read.passes);
        let exact_because = semantic::exact_because(self, &read);
        let is_exact = exact_because.is_some();
        let known = self.fetch_unless_told(&exact, &commands);
        let (product, ending) = match known {
            Some(product) => (product, Ending::Hit),
            None => {
                let alike = (!is_exact).then(|| Alike::of(self)).flatten();
                let made = Making {
                    id: &id,
                    alike_key: alike
                        .as_ref()
                        .map(|alike| semantic::alike_key(&key(&alike.passes))),
                    key: exact,
                    commands: &commands,
                    read: &read,
                    alike: alike.as_ref(),
                };
                self.fetch_alike_or_make(&made, beside)?
            }
        };
        Ok(Finished {
            sight: (!is_exact).then(|| semantic::sight(self)).flatten(),
            exact_because,
            product,
            ending,
            fields: {
                let mut fields = Explanation::default();
                self.write_key(&id, &texts, &read.passes, &read.host_headers, &mut fields);
                fields
            },
            key: exact,
            passes,
            known: read.known,
        })
    }

    fn fetch_unless_told(&self, key: &Digest, commands: &[(Vec<u8>, usize)]) -> Option<Product> {
        match self.cache.recache {
            true => None,
            false => self.fetch(key, commands),
        }
    }

    fn fetch_alike_or_make(
        &self,
        making: &Making<'_>,
        beside: &mut dyn FnMut(&Known),
    ) -> Result<(Product, Ending), Detour> {
        let Making {
            id,
            key,
            alike_key,
            commands,
            read,
            alike,
        } = making;
        if let Some(alike_key) = alike_key
            && let Some(product) = self.fetch_unless_told(alike_key, commands)
        {
            // The next time, the exact key will do.
            let record = self.cache.record(alike_key);
            record.map(|record| self.cache.keep(key, &record));
            return Ok((product, Ending::Alike));
        }
        // Held until the record is stored.
        let _lead = match self.take_turn(key, commands)? {
            Turn::Served(product, ending) => return Ok((product, ending)),
            Turn::Make(lead) => lead,
        };
        let began = Instant::now();
        let made = self.make(id, read, *alike, &mut || beside(&read.known))?;
        let mut product = self.collect()?;
        product.milliseconds = milliseconds(began);
        let settled = self.evidence(&read.known, &made).and_then(|()| {
            let sources = self.quoted(&product, &read.known, *alike);
            sources.ok_or_else(|| "a source is gone".to_owned())
        });
        let ending = match settled {
            Ok(sources) => {
                product.sources = sources;
                match self.record(commands, &product) {
                    Some(record) if self.cache.keep_record(key, &record) => {
                        alike_key.map(|alike_key| self.cache.keep_record(&alike_key, &record));
                        Ending::Miss
                    }
                    _ => Ending::Unstored("the store did not take it".to_owned()),
                }
            }
            Err(doubt) => Ending::Unstored(doubt),
        };
        Ok((product, ending))
    }

    /// A stage of the plan.
    pub fn stage(&self, number: usize) -> &Stage {
        &self.plan.stages[number]
    }

    /// The unit's source as the journal and its readers know it.
    pub fn source(&self) -> String {
        let source = &self.plan.file(self.unit.source).path;
        text(place(&self.facts.directories[0], source).as_os_str())
    }

    fn module_id(&self) -> Vec<u8> {
        let source = &self.plan.file(self.unit.source).path;
        let path = Path::new(&self.facts.directories[1]).join(source);
        let job = self
            .facts
            .job
            .iter()
            .map(|(name, values)| (*name, values.as_slice()));
        module_id(path.as_os_str().as_bytes(), job)
    }

    /// The unit's commands as text, sorted, each with its stage.
    fn sorted_commands(&self) -> Vec<(Vec<u8>, usize)> {
        let stages = self.unit.stages.iter();
        let mut commands: Vec<_> = stages
            .map(|number| (template(self.plan, self.stage(*number)), *number))
            .collect();
        commands.sort();
        commands
    }

    /// Writes the fields of the unit's key to `sink`.
    fn write_key(
        &self,
        id: &[u8],
        commands: &[Vec<u8>],
        passes: &[Pass],
        host_headers: &[HostHeader],
        sink: &mut impl Sink,
    ) {
        let facts = self.facts;
        let asks_native = |text: &Vec<u8>| text.windows(7).any(|word| word == b"=native");
        let machine = if commands.iter().any(asks_native) {
            environment::machine()
        } else {
            Vec::new()
        };
        TuFacts {
            common: facts.common(self.commands.toolchain),
            machine: &machine,
            source: self.plan.file(self.unit.source).path.as_bytes(),
            module_id: id,
            commands,
            passes,
            host_headers,
        }
        .write(sink);
    }

    /// The stored product, if all of it can be read and is what it was.
    pub fn fetch(&self, key: &Digest, commands: &[(Vec<u8>, usize)]) -> Option<Product> {
        let record: Record = serde_json::from_slice(&self.cache.record(key)?).ok()?;
        if record.schema != SCHEMA || !are_unchanged(&record.sources) {
            return None;
        }
        let stage_of = |command: usize| commands.get(command).map(|(_, number)| *number);
        let bytes = |artefact: &Option<Artefact>| match artefact {
            Some(artefact) => self.cache.artefact(artefact),
            None => Some(Vec::new()),
        };
        let mut product = Product {
            milliseconds: record.milliseconds,
            ..Product::default()
        };
        for output in &record.outputs {
            let file = self.stage(stage_of(output.command)?).output?;
            product
                .outputs
                .push((file, self.cache.artefact(&output.artefact)?));
        }
        let complete = self
            .unit
            .results
            .iter()
            .all(|result| product.outputs.iter().any(|(file, _)| file == result));
        for kept in &record.kept {
            product
                .kept
                .push((kept.name.clone(), self.cache.artefact(&kept.artefact)?));
        }
        for stream in &record.streams {
            let number = stage_of(stream.command)?;
            product
                .streams
                .push((number, bytes(&stream.stdout)?, bytes(&stream.stderr)?));
        }
        product.streams.sort_by_key(|(number, ..)| *number);
        product.sources = record.sources;
        complete.then_some(product)
    }

    fn collect(&self) -> Result<Product, Detour> {
        let mut product = Product::default();
        for file in &self.unit.results {
            let path = self.commands.workspace.locate(self.plan, *file);
            let bytes = fs::read(&path).map_err(|error| {
                let name = self.plan.file(*file).path.display();
                Fallback::new(FallbackReason::MissingOutput, format!("{name}: {error}"))
            })?;
            product
                .outputs
                .push((*file, self.without_work_directory(*file, bytes)));
        }
        if self.facts.keep.is_some() {
            product.kept = self.kept();
        }
        for number in &self.unit.stages {
            let stream = |suffix| {
                fs::read(self.commands.workspace.stream(*number, suffix)).unwrap_or_default()
            };
            let (stdout, stderr) = (stream("out"), stream("err"));
            if self.stage(*number).is_check() {
                self.check_words(&[&stdout, &stderr])?;
            }
            if !(stdout.is_empty() && stderr.is_empty()) {
                product.streams.push((*number, stdout, stderr));
            }
        }
        Ok(product)
    }

    /// A check reads the user's own file, and its messages name that. They must not name ours.
    fn check_words(&self, printed: &[&[u8]]) -> Result<(), Fallback> {
        let root = self.commands.workspace.root().as_os_str().as_bytes();
        let names_ours = |words: &&[u8]| stages::portable::mentions(words, root);
        match printed.iter().any(names_ours) {
            true => Err(Fallback::new(
                FallbackReason::Stage,
                "a check of the output names its file",
            )),
            false => Ok(()),
        }
    }

    /// The output as it is the same on every run: line markers in the text that `-cuda` gives name
    /// the work directory.
    fn without_work_directory(&self, file: FileId, bytes: Vec<u8>) -> Vec<u8> {
        let mut stages = self.unit.stages.iter().map(|number| self.stage(*number));
        let preprocessed =
            |stage: &Stage| stage.tool == Tool::HostPreprocess && stage.output == Some(file);
        if !stages.any(preprocessed) {
            return bytes;
        }
        let prefix = self.facts.keep.as_ref().map(|keep| keep.prefix.as_bytes());
        self.commands
            .workspace
            .renamed(&bytes, prefix.unwrap_or_default())
    }

    /// The unit's temporaries that exist, as `--keep` leaves them.
    fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let files = intermediates(self.plan, self.unit).into_iter();
        let temps = files.filter(|file| self.plan.file(*file).kind == FileKind::Temp);
        temps
            .filter_map(|file| {
                let name = self.plan.file(file).path.to_str()?.to_owned();
                let bytes = fs::read(self.commands.workspace.locate(self.plan, file)).ok()?;
                let bytes = self
                    .facts
                    .as_kept(self.commands.workspace, OsStr::new(&name), bytes);
                Some((name, bytes))
            })
            .collect()
    }

    /// Whether the stages read only what the key holds. Those that came from the store did when they
    /// were stored.
    fn evidence(&self, known: &Known, made: &Made) -> Result<(), Doubt> {
        let files = known.resolve()?;
        if let Some(assembled) = &made.assembled {
            assembled.clone()?;
        }
        if let Some(whole) = &self.whole {
            whole.evidence(self, known)?;
        }
        for number in &self.unit.stages {
            if self.stage(*number).tool == Tool::Ptxas {
                self.check_line_files(self.stage(*number), &files)?;
            }
        }
        let ran = self.unit.stages.iter();
        for number in ran.filter(|number| !made.served.contains(number)) {
            let stage = self.stage(*number);
            match stage.tool {
                Tool::HostCompile | Tool::HostPreprocess => {
                    check_headers(self.commands.workspace, *number, &files)?;
                }
                Tool::StubCompile => return Err("a stub's headers are in no pass".to_owned()),
                _ => {}
            }
            if stage.tool == Tool::HostCompile && made.assembled.is_none() {
                self.check_assembly(stage, *number)?;
            }
        }
        self.mounts.check()?;
        files.check_settled(self.began)
    }

    /// The sources of which the product holds lines as they are written, or may.
    fn quoted(
        &self,
        product: &Product,
        known: &Known,
        alike: Option<&Alike>,
    ) -> Option<Vec<Source>> {
        // What the host compiler reads itself it may warn of or digest as it is written, whatever a pass shows.
        let whole = self.passes.compile_sources();
        if whole || self.copies_sources() || self.measures_sources() {
            return messages::all(known);
        }
        // ptxas speaks of the PTX.
        let speaks = |number| !matches!(self.stage(number).tool, Tool::Ptxas | Tool::Fatbinary);
        let streams = product.streams.iter();
        let printed: Vec<_> = streams
            .filter(|(number, ..)| speaks(*number))
            .flat_map(|(_, stdout, stderr)| [stdout.as_slice(), stderr])
            .collect();
        let named = alike.filter(|alike| !alike.renames);
        match named.and_then(|_| messages::named(known, &printed)) {
            _ if printed.is_empty() => Some(Vec::new()),
            None => messages::all(known),
            named => named,
        }
    }

    /// Whether device code holds lines of the sources as they are written, or may.
    pub fn copies_sources(&self) -> bool {
        self.facts.observed >= Observed::Text
    }

    /// Whether device code tells the sizes of the sources, or may: ptxas looks at the files that line
    /// information names.
    pub fn measures_sources(&self) -> bool {
        self.facts.observed >= Observed::Sizes
    }

    /// Stores the product's bytes and describes it.
    fn record(&self, commands: &[(Vec<u8>, usize)], product: &Product) -> Option<Record> {
        let command_of = |number: usize| commands.iter().position(|(_, stage)| *stage == number);
        let mut record = Record {
            schema: SCHEMA,
            outputs: Vec::new(),
            kept: Vec::new(),
            streams: Vec::new(),
            sources: product.sources.clone(),
            milliseconds: product.milliseconds,
            source: self.source(),
        };
        for (file, bytes) in &product.outputs {
            let writer = |number: &&usize| self.stage(**number).output == Some(*file);
            let command = command_of(*self.unit.stages.iter().find(writer)?)?;
            let artefact = self.cache.keep_artefact(bytes)?;
            record.outputs.push(Output { command, artefact });
        }
        for (name, bytes) in &product.kept {
            let artefact = self.cache.keep_artefact(bytes)?;
            record.kept.push(Kept {
                name: name.clone(),
                artefact,
            });
        }
        let stream = |bytes: &[u8]| match bytes {
            [] => Some(None),
            bytes => self.cache.keep_artefact(bytes).map(Some),
        };
        for (number, stdout, stderr) in &product.streams {
            let command = command_of(*number)?;
            let (stdout, stderr) = (stream(stdout)?, stream(stderr)?);
            record.streams.push(Stream {
                command,
                stdout,
                stderr,
            });
        }
        Some(record)
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The files that the unit's stages write and `--keep` leaves. cicc, where it makes the output itself,
/// removes the module id that it has made.
pub fn intermediates(plan: &Plan, unit: &Unit) -> BTreeSet<FileId> {
    let stages = unit.stages.iter().map(|number| &plan.stages[*number]);
    let ends_in_cicc = stages.clone().any(|stage| {
        stage.tool == Tool::Cicc
            && stage
                .output
                .is_some_and(|file| unit.results.contains(&file))
    });
    let written = stages.flat_map(|stage| stage.writes.iter().copied());
    written
        .chain(unit.module_id.filter(|_| !ends_in_cicc))
        .collect()
}
