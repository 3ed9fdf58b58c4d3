//! One translation unit from its passes to its product: by a hit, or by running its stages.

use super::commands::{Commands, template};
use super::environment;
use super::evidence::{Doubt, Known, check_headers};
use super::flight::Turn;
use super::host::{Answers, HostCompiler};
use super::messages;
use super::passes::{Read, UnitPasses};
use super::record::Source;
use super::semantic::{self, Alike, Sight};
use super::stages::{self, Made};
use super::stored::Stored;
use super::tie::Tie;
use super::whole::Whole;
use super::{Cache, Detour, Facts};
use crate::cmdline::Observed;
use crate::exec::Signals;
use crate::includes::mounts::Mounts;
use crate::journal::{Account, place, text};
use crate::key::{Digest, Digester, Explanation, HostHeader, Pass, Sink, TuFacts};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, Stage, Tool, Unit};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
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
    /// What the host compiler says of the job's flags.
    pub host: &'a Answers,
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
    keys: &'a dyn Fn(Tie, &[Pass]) -> Digest,
    commands: &'a [(Vec<u8>, usize)],
    read: &'a Read,
    /// The passes without the numbers of lines that reach no output; `None` if every byte counts.
    alike: Option<&'a Alike>,
    /// Whether the passes have been counted.
    counted: Cell<bool>,
}

impl Making<'_> {
    fn key(&self, tie: Tie) -> Digest {
        (self.keys)(tie, &self.read.passes)
    }

    /// The key without the numbers of lines that reach no output.
    fn alike_key(&self, tie: Tie) -> Option<Digest> {
        let alike = self.alike?;
        Some(semantic::alike_key(&(self.keys)(tie, &alike.passes)))
    }
}

/// What became of a unit that was looked up, or made, under one key.
enum Round {
    Done(Product, Ending, Tie),
    /// It has to be made, or taken, for this output.
    Tied,
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
    /// Whether it is right for its output alone.
    pub tie: Tie,
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
        let commands = self.sorted_commands();
        let texts: Vec<_> = commands.iter().map(|(text, _)| text.clone()).collect();
        let output = self.output();
        let output = |tie| (tie == Tie::Output).then(|| output.as_bytes());
        let keys = |tie: Tie, passes: &[Pass]| {
            let mut key = Digester::default();
            self.write_key(output(tie), &texts, passes, &read.host_headers, &mut key);
            key.finish()
        };
        let exact_because = semantic::exact_because(self, &read);
        let is_exact = exact_because.is_some();
        let known = self.fetch_any(&|tie| keys(tie, &read.passes), &commands);
        let (product, ending, tie) = match known {
            (Some(product), tie) => (product, Ending::Hit, tie),
            (None, tie) => {
                let alike = (!is_exact).then(|| Alike::of(self)).flatten();
                let making = Making {
                    keys: &keys,
                    commands: &commands,
                    read: &read,
                    alike: alike.as_ref(),
                    counted: Cell::new(false),
                };
                self.fetch_alike_or_make(&making, tie, beside)?
            }
        };
        Ok(Finished {
            sight: (!is_exact).then(|| semantic::sight(self)).flatten(),
            exact_because,
            product,
            ending,
            fields: {
                let mut fields = Explanation::default();
                self.write_key(
                    output(tie),
                    &texts,
                    &read.passes,
                    &read.host_headers,
                    &mut fields,
                );
                fields
            },
            key: keys(tie, &read.passes),
            passes,
            tie,
            known: read.known,
        })
    }

    /// What is stored under the key for any output, or under the one for this output; and which of them
    /// it is.
    fn fetch_any(
        &self,
        key: &dyn Fn(Tie) -> Digest,
        commands: &[(Vec<u8>, usize)],
    ) -> (Option<Product>, Tie) {
        match self.fetch_unless_told(&key(Tie::Free), commands) {
            Some(Stored::Product(product)) => (Some(product), Tie::Free),
            None => (None, Tie::Free),
            Some(Stored::Tied) => {
                let found = self.fetch_unless_told(&key(Tie::Output), commands);
                (found.and_then(Stored::product), Tie::Output)
            }
        }
    }

    fn fetch_unless_told(&self, key: &Digest, commands: &[(Vec<u8>, usize)]) -> Option<Stored> {
        match self.cache.recache {
            true => None,
            false => self.fetch(key, commands),
        }
    }

    fn fetch_alike_or_make(
        &self,
        making: &Making<'_>,
        tie: Tie,
        beside: &mut dyn FnMut(&Known),
    ) -> Result<(Product, Ending, Tie), Detour> {
        let mut tie = tie;
        loop {
            match self.round(making, tie, beside)? {
                Round::Done(product, ending, tie) => return Ok((product, ending, tie)),
                Round::Tied => tie = Tie::Output,
            }
        }
    }

    /// Takes the unit from the store under the key without the numbers of lines, or makes it.
    fn round(
        &self,
        making: &Making<'_>,
        tie: Tie,
        beside: &mut dyn FnMut(&Known),
    ) -> Result<Round, Detour> {
        let Making {
            commands,
            read,
            alike,
            ..
        } = *making;
        if let Some(alike_key) = making.alike_key(tie)
            && let Some(stored) = self.fetch_unless_told(&alike_key, commands)
        {
            // The next time, the exact key will do.
            let record = self.cache.record(&alike_key);
            record.map(|record| self.cache.keep(&making.key(tie), &record));
            return Ok(ended(stored, Ending::Alike, tie));
        }
        // Held until the record is stored.
        let _lead = match self.take_turn(&making.key(tie), commands)? {
            Turn::Served(stored, ending) => return Ok(ended(stored, ending, tie)),
            Turn::Make(lead) => lead,
        };
        if !making.counted.replace(true) {
            self.count_passes();
        }
        let began = Instant::now();
        let id = self.module_id(read, alike, tie);
        let made = self.make(&id, read, alike, &mut || beside(&read.known))?;
        let mut product = self.collect()?;
        product.milliseconds = milliseconds(began);
        let found = match tie == Tie::Output || self.is_tied(&product, &id) {
            true => Tie::Output,
            false => Tie::Free,
        };
        if found != tie {
            let keys = [Some(making.key(tie)), making.alike_key(tie)];
            keys.iter().flatten().for_each(|key| self.keep_tie(key));
            if self.whole.is_none() {
                self.account
                    .note("module id", "each output of this source has its own");
                return Ok(Round::Tied);
            }
        }
        let ending = self.settle(making, &made, &mut product, found);
        Ok(Round::Done(product, ending, found))
    }

    /// Stores the product, if it was made of nothing but what its keys hold.
    fn settle(&self, making: &Making<'_>, made: &Made, product: &mut Product, tie: Tie) -> Ending {
        let known = &making.read.known;
        let settled = self.evidence(known, made).and_then(|()| {
            let sources = self.quoted(product, known, making.alike);
            sources.ok_or_else(|| "a source is gone".to_owned())
        });
        match settled {
            Ok(sources) => {
                product.sources = sources;
                match self.record(making.commands, product) {
                    Some(record) if self.cache.keep_record(&making.key(tie), &record) => {
                        let alike_key = making.alike_key(tie);
                        alike_key.map(|key| self.cache.keep_record(&key, &record));
                        Ending::Miss
                    }
                    _ => Ending::Unstored(self.cache.why_unstored()),
                }
            }
            Err(doubt) => Ending::Unstored(doubt),
        }
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
        output: Option<&[u8]>,
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
            host: &self.host.commands,
            machine: &machine,
            source: self.plan.file(self.unit.source).path.as_bytes(),
            output,
            commands,
            passes,
            host_headers,
        }
        .write(sink);
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
        self.check_host()?;
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

    /// The host compiler still answers as it did.
    pub fn check_host(&self) -> Result<(), Doubt> {
        let compiler = HostCompiler {
            toolchain: self.commands.toolchain,
            digests: self.cache.digests,
        };
        compiler.confirm(self.host)
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
}

fn ended(stored: Stored, ending: Ending, tie: Tie) -> Round {
    match stored {
        Stored::Product(product) => Round::Done(product, ending, tie),
        Stored::Tied => Round::Tied,
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
