//! One compile from end to end: request, toolchain, plan, passes, key, then a hit, or the stages
//! and a new entry. Anything unexpected is a [`Detour`], on which the caller runs the real nvcc with
//! the original arguments. `docs/architecture.md` follows the whole way.

mod additions;
mod assembly;
mod cache;
mod commands;
mod deliver;
mod direct;
mod directives;
mod dryrun;
mod environment;
mod evidence;
mod flight;
#[doc(hidden)]
pub mod formats;
mod host;
mod link;
mod make;
mod messages;
mod orders;
mod passes;
mod place;
mod places;
mod predefined;
mod printed;
mod record;
mod request;
mod schedule;
mod semantic;
mod stages;
mod stored;
mod symbols;
mod tie;
mod trail;
mod unit;
mod units;
mod whole;
mod why;
mod workspace;

pub use cache::Cache;
pub use environment::{PLANNING, is_keyed};
pub use workspace::sweep as sweep_work_directories;

use crate::cmdline::{self, CommandLine, Job, Observed};
use crate::exec::{Interrupted, Signals};
use crate::includes::digests::DigestTable;
use crate::includes::mounts::Mounts;
use crate::includes::settled;
use crate::journal::{self, Account, Level};
use crate::key::Digest;
use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, Tool};
use crate::stats::Counter;
use crate::toolchain::{Toolchain, driver_version, identify, recall};
use commands::{Commands, Diagnostics};
use direct::{Direct, Hit};
use dryrun::Planner;
use host::HostCompiler;
use passes::UnitPasses;
use place::Manner;
use request::Request;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;
use unit::UnitWork;
use whole::Whole;
use workspace::Workspace;

/// How often a compile looks for work directories of processes that were killed: once an hour, for all.
const TIDY_SECONDS: u64 = 3600;

/// Why a compile is handed to the real nvcc, or ends.
#[derive(Debug)]
pub enum Detour {
    /// Not for a cache.
    Bypass(Bypass),
    /// Begun, and not finished.
    Fallback(Fallback),
    /// A signal came.
    Interrupted(Interrupted),
}

impl From<Bypass> for Detour {
    fn from(bypass: Bypass) -> Self {
        Self::Bypass(bypass)
    }
}

impl From<Fallback> for Detour {
    fn from(fallback: Fallback) -> Self {
        Self::Fallback(fallback)
    }
}

/// `--keep` as the user gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keep {
    /// What nvcc puts before the names of intermediate files: empty, or the directory and a slash.
    prefix: OsString,
}

/// The facts of an invocation that every unit shares.
struct Facts {
    /// The canonical job without its inputs.
    job: Vec<(&'static str, Vec<Vec<u8>>)>,
    inputs: Vec<Vec<u8>>,
    driver: String,
    directories: [PathBuf; 2],
    environment: Vec<Vec<u8>>,
    diagnostics: Diagnostics,
    keep: Option<Keep>,
    /// What the options let a compile observe of its sources besides their tokens.
    observed: Observed,
    /// What `-t` says.
    threads: Option<usize>,
}

impl Facts {
    /// An intermediate file as `--keep` would have left it: text that names the work directory
    /// names the keep directory instead.
    fn as_kept(&self, workspace: &Workspace, name: &OsStr, bytes: Vec<u8>) -> Vec<u8> {
        const TEXT: &[&str] = &["c", "cpp", "gpu", "i", "ii", "ptx", "module_id"];
        let suffix = Path::new(name)
            .extension()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        match &self.keep {
            Some(keep) if TEXT.contains(&suffix) => {
                workspace.renamed(&bytes, keep.prefix.as_bytes())
            }
            _ => bytes,
        }
    }
}

/// Compiles what `args` (without the program's name) ask for, through `cache`, with the real
/// `nvcc`. On success everything that nvcc would have written and printed is in its place.
pub fn compile(
    nvcc: &Path,
    args: &[OsString],
    cache: &Cache<'_>,
    account: &Account,
) -> Result<(), Detour> {
    environment::check()?;
    let job = read_job(args)?;
    let mut facts = facts(&job)?;
    introduce(&job, &facts, cache, account);
    if !cache.stages {
        // nvcc's own module id is in what it makes.
        facts.job.push(("one-step", Vec::new()));
    }
    let ccbin = job.value_of("compiler-bindir");
    let known = recall(nvcc, ccbin, cache.memos.as_ref(), cache.digests);
    if let Some(toolchain) = &known
        && let Some(hit) = look_up(nvcc, (&job, &facts), toolchain, cache, account)
    {
        return serve(hit, cache, account);
    }
    let signals = Signals::install().map_err(|error| work_directory(&error))?;
    let invocation = Invocation {
        nvcc,
        job: &job,
        facts: &facts,
        cache,
        signals: &signals,
        account,
    };
    let ended = invocation.run(known);
    // A tool that a signal ended is no failure of ours.
    match (ended, signals.pending()) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(signal)) => Err(Detour::Interrupted(signal)),
        (Err(detour), None) => Err(detour),
    }
}

/// What direct mode finds.
fn look_up(
    nvcc: &Path,
    (job, facts): (&Job, &Facts),
    toolchain: &Toolchain,
    cache: &Cache<'_>,
    account: &Account,
) -> Option<Hit> {
    let request = Request::new(nvcc, job, facts, toolchain)?;
    let direct = Direct::new(&request, job, facts, toolchain, cache, None)?;
    direct.look_up(account)
}

/// Tells the account what is asked for.
fn introduce(job: &Job, facts: &Facts, cache: &Cache<'_>, account: &Account) {
    account.tell(|found| {
        found.directory = journal::text(facts.directories[0].as_os_str());
        found.output = job.output.as_deref().map(journal::text);
        found.sources = job
            .inputs
            .iter()
            .map(|input| journal::text(input))
            .collect();
        found.recache = cache.recache;
    });
}

/// Delivers what direct mode has found.
fn serve(hit: Hit, cache: &Cache<'_>, account: &Account) -> Result<(), Detour> {
    hit.delivery.place(&hit.sites)?;
    hit.delivery.place_kept(&hit.kept_sites)?;
    hit.delivery.printed.show();
    cache.stats.add(Counter::DirectHit, hit.units);
    let how = match hit.is_semantic {
        true => "hit, with changes that no compiler sees",
        false => "hit",
    };
    if hit.is_semantic {
        cache.stats.add(Counter::SemanticHit, hit.units);
    }
    account.note("direct", format_args!("{how} ({})", hex::encode(hit.key)));
    account.tell(|found| {
        found.level = Level::DirectHit;
        found.semantic = hit.is_semantic;
        found.key = Some(hex::encode(hit.key));
        found.stored = hit.milliseconds;
        found.facts = hit.facts;
    });
    Ok(())
}

fn read_job(args: &[OsString]) -> Result<Job, Bypass> {
    let variable = |name| env::var_os(name);
    let (prepend, append) = (
        variable("NVCC_PREPEND_FLAGS"),
        variable("NVCC_APPEND_FLAGS"),
    );
    let line = CommandLine {
        args,
        prepend_flags: prepend.as_deref(),
        append_flags: append.as_deref(),
        // nvcc's to read, or not (12.4 does not know it): what comes of it is in the plan.
        ccbin: None,
    };
    cmdline::read(&line, &mut |path| fs::read(path))
}

/// An invocation that is not answered directly.
struct Invocation<'a> {
    nvcc: &'a Path,
    job: &'a Job,
    facts: &'a Facts,
    cache: &'a Cache<'a>,
    signals: &'a Signals,
    account: &'a Account,
}

impl Invocation<'_> {
    fn run(&self, known: Option<Toolchain>) -> Result<(), Detour> {
        let workspace = Workspace::new()?;
        if self.cache.stats.is_time_to_tidy(TIDY_SECONDS) {
            workspace::sweep();
        }
        let mounts = Mounts::watch();
        let start = SystemTime::now();
        let planning = settled::stamp_time();
        let (mut toolchain, asked) = match known {
            Some(known) => (known, None),
            None => {
                self.account
                    .note("toolchain", "not remembered, or changed; identified");
                let (toolchain, asked) = self.identify(&workspace)?;
                // Another user, or a build whose files are here, may have compiled this before.
                let asks = (self.job, self.facts);
                if let Some(hit) = look_up(self.nvcc, asks, &toolchain, self.cache, self.account) {
                    return serve(hit, self.cache, self.account);
                }
                (toolchain, asked)
            }
        };
        let planner = Planner {
            nvcc: self.nvcc,
            toolchain: &toolchain,
            cache: self.cache,
            facts: self.facts,
            began: planning,
            account: self.account,
        };
        let mut plan = planner.plan(self.job, &workspace, asked)?;
        check_variables(&plan, &toolchain)?;
        check_outputs(self.job, &plan)?;
        if !self.cache.stages {
            whole::check(&plan)?;
        }
        let mut streams = plan.stages.len();
        let passes = (0..plan.units.len())
            .map(|number| UnitPasses::add(&mut plan, number, &mut streams))
            .collect::<Result<Vec<_>, _>>()?;
        let compiler = HostCompiler {
            toolchain: &toolchain,
            digests: self.cache.digests,
        };
        let driver = toolchain.driver;
        let asked = || host::asked(&plan, &passes, driver);
        let host = compiler.ask(&host::questions(&plan, asked(), driver))?;
        compiler.check_evidence(&plan, asked())?;
        // A wrapper may start another compiler than when the toolchain was identified.
        toolchain.host = host.family.unwrap_or(toolchain.host);
        let commands = commands(&workspace, &toolchain, &plan, self.facts);
        // A build may have written a source just before it called us: the passes' beginning is no part of that tick.
        let began = settled::stamp_after(start);
        let exact = self.exact_because();
        let units = plan.units.iter().zip(&passes);
        let works: Vec<_> = units
            .map(|(unit, passes)| UnitWork {
                facts: self.facts,
                plan: &plan,
                unit,
                passes,
                commands: &commands,
                cache: self.cache,
                whole: (!self.cache.stages).then_some(Whole {
                    nvcc: self.nvcc,
                    job: self.job,
                }),
                exact: exact.as_deref(),
                host: &host,
                signals: self.signals,
                began,
                mounts: &mounts,
                account: self.account,
            })
            .collect();
        let request = Request::new(self.nvcc, self.job, self.facts, &toolchain);
        let direct = request.as_ref().and_then(|request| {
            let (facts, cache) = (self.facts, self.cache);
            Direct::new(request, self.job, facts, &toolchain, cache, Some(&host))
        });
        // Link stages always run, so that they are never answered directly.
        let direct = direct.filter(|_| plan.link.is_empty());
        let direct = direct.map(|direct| direct.counting_tokens(exact.is_none()));
        let (mut all, finished) = self.units(&works, direct.as_ref(), request.as_ref())?;
        let slots = &self.cache.slots;
        let link = link::Link {
            plan: &plan,
            commands: &commands,
            slots,
            signals: self.signals,
            account: self.account,
        };
        link.run(&mut all.printed)?;
        deliver::keep_files(self.facts, &plan, &workspace)?;
        all.printed.show();
        for (unit, finished) in plan.units.iter().zip(&finished) {
            let source = &plan.file(unit.source).path;
            finished.count(self.cache, self.account, source);
        }
        Ok(())
    }

    /// The toolchain of an invocation that nothing is known of, and beside it what nvcc says for a plan.
    fn identify(&self, workspace: &Workspace) -> Result<(Toolchain, Option<Vec<u8>>), Fallback> {
        let args = self.job.dryrun_args(&workspace.temporaries());
        let ccbin = self.job.value_of("compiler-bindir");
        let (nvcc, memos) = (self.nvcc, self.cache.memos.as_ref());
        thread::scope(|scope| {
            let asked = scope.spawn(|| dryrun::ask(nvcc, &args, workspace));
            let toolchain = identify(nvcc, ccbin, memos, &workspace.scratch());
            let asked = asked.join().unwrap_or_else(|panic| resume_unwind(panic));
            let toolchain = toolchain
                .map_err(|error| Fallback::new(FallbackReason::Toolchain, error.to_string()))?;
            Ok((toolchain, Some(asked?)))
        })
    }

    /// Why every byte of the sources counts, if the settings or the command line say so.
    fn exact_because(&self) -> Option<String> {
        match self.cache {
            Cache {
                semantic: false, ..
            } => Some("PCACHE_SEMANTIC is off".to_owned()),
            Cache { stages: false, .. } => Some("PCACHE_STAGES is off".to_owned()),
            _ => self.job.tells_lines(),
        }
    }
}

impl Keep {
    fn mapped(&self) -> OsString {
        let name = self.prefix.as_bytes().strip_suffix(b"/").unwrap_or(b".");
        OsStr::from_bytes(name).to_owned()
    }
}

fn facts(job: &Job) -> Result<Facts, Fallback> {
    let (inputs, canonical): (Vec<_>, Vec<_>) = job
        .canonical()
        .into_iter()
        .partition(|(name, _)| *name == "input");
    let bytes =
        |values: Vec<OsString>| -> Vec<_> { values.into_iter().map(OsString::into_vec).collect() };
    let keep = job.keep.as_ref().map(|directory| {
        let mut prefix = directory.clone();
        match directory.as_bytes() {
            b"." | b"" => prefix.clear(),
            [.., b'/'] => {}
            _ => prefix.push("/"),
        }
        Keep { prefix }
    });
    Ok(Facts {
        job: canonical
            .into_iter()
            .map(|(name, values)| (name, bytes(values)))
            .collect(),
        inputs: inputs
            .into_iter()
            .flat_map(|(_, values)| bytes(values))
            .collect(),
        driver: driver_version(env::var_os("LD_LIBRARY_PATH").as_deref()),
        directories: environment::directories().map_err(|error| work_directory(&error))?,
        environment: environment::keyed(),
        diagnostics: diagnostics(),
        keep,
        observed: job.observed(),
        threads: job
            .threads
            .as_deref()
            .and_then(OsStr::to_str)
            .and_then(|text| text.parse().ok()),
    })
}

fn commands<'a>(
    workspace: &'a Workspace,
    toolchain: &'a Toolchain,
    plan: &Plan,
    facts: &Facts,
) -> Commands<'a> {
    let mut environment = plan.env.clone();
    environment.push(("TMPDIR".into(), workspace.scratch().into()));
    Commands {
        workspace,
        toolchain,
        diagnostics: facts.diagnostics,
        environment,
        mapped: facts.keep.as_ref().map_or_else(|| ".".into(), Keep::mapped),
    }
}

fn diagnostics() -> Diagnostics {
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    if io::stderr().is_terminal() && !dumb {
        Diagnostics::Colour
    } else {
        Diagnostics::Plain
    }
}

/// The job's tools lie where the toolchain was found: no option has moved them.
fn check_variables(plan: &Plan, toolchain: &Toolchain) -> Result<(), Fallback> {
    for (name, wanted) in &toolchain.variables {
        let named = plan
            .env
            .iter()
            .rev()
            .find(|(known, _)| known.as_os_str() == name.as_str());
        if let Some((_, value)) = named
            && value.as_os_str() != wanted.as_str()
        {
            let text = format!("{name}={}", value.display());
            return Err(Fallback::new(FallbackReason::UnknownTool, text));
        }
    }
    Ok(())
}

/// Whether every output can be placed as nvcc would write it.
fn check_outputs(job: &Job, plan: &Plan) -> Result<(), Bypass> {
    if let Some(directory) = &job.keep
        && !Path::new(directory).is_dir()
    {
        let text = format!("{}: no such keep directory", directory.display());
        return Err(Bypass::new(BypassReason::OutputSpecial, text));
    }
    for unit in &plan.units {
        if let Some(path) = &unit.depfile {
            place::check_depfile(Path::new(path))?;
        }
        for file in unit.results.iter().filter(|file| is_output(plan, **file)) {
            place::check(Path::new(&plan.file(*file).path), manner(plan, *file))?;
        }
    }
    Ok(())
}

fn is_output(plan: &Plan, file: FileId) -> bool {
    plan.file(file).kind == FileKind::Output
}

/// The assembler makes objects anew; everything else is written in place.
fn manner(plan: &Plan, file: FileId) -> Manner {
    let writer = plan
        .stages
        .iter()
        .find(|stage| stage.writes.contains(&file));
    match writer.map(|stage| stage.tool) {
        Some(Tool::HostCompile) => Manner::Replace,
        _ => Manner::Rewrite,
    }
}

fn work_directory(error: &dyn std::fmt::Display) -> Fallback {
    Fallback::new(FallbackReason::WorkDirectory, error.to_string())
}

fn digest_file(path: &Path) -> io::Result<Digest> {
    // Not `fs::read`: a record may name a pipe, a device, or a file larger than memory.
    let found = DigestTable::nowhere().digest_of(path);
    found.map(|(_, digest)| digest).map_err(io::Error::other)
}
