//! One compile from end to end: request, toolchain, plan, passes, key, then a hit, or the stages
//! and a new entry. Anything unexpected is a [`Detour`], on which the caller runs the real nvcc with
//! the original arguments. `docs/architecture.md` follows the whole way.

mod cache;
mod commands;
mod deliver;
mod dryrun;
mod environment;
mod evidence;
mod flight;
mod link;
mod passes;
mod place;
mod record;
mod unit;
mod workspace;

pub use cache::Cache;

use crate::cmdline::{self, CommandLine, Job};
use crate::exec::{Interrupted, Signals};
use crate::key::Digest;
use crate::log::Block;
use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan, Tool};
use crate::stats::Counter;
use crate::toolchain::{Toolchain, driver_version, identify};
use commands::{Commands, Diagnostics};
use passes::UnitPasses;
use place::Manner;
use sha2::{Digest as _, Sha256};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use unit::{Ending, Product, UnitWork};
use workspace::Workspace;

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
struct Facts<'a> {
    job: Vec<(&'static str, Vec<Vec<u8>>)>,
    driver: &'a str,
    directories: [PathBuf; 2],
    environment: Vec<Vec<u8>>,
    keep: Option<Keep>,
}

impl Facts<'_> {
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
    block: &mut Block,
) -> Result<(), Detour> {
    environment::check()?;
    let job = read_job(args)?;
    let signals = Signals::install().map_err(|error| work_directory(&error))?;
    let ended = run(nvcc, &job, cache, &signals, block);
    // A tool that a signal ended is no failure of ours.
    match (ended, signals.pending()) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(signal)) => Err(Detour::Interrupted(signal)),
        (Err(detour), None) => Err(detour),
    }
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

fn run(
    nvcc: &Path,
    job: &Job,
    cache: &Cache<'_>,
    signals: &Signals,
    block: &mut Block,
) -> Result<(), Detour> {
    let workspace = Workspace::new()?;
    let ccbin = job.value_of("compiler-bindir");
    let toolchain = identify(nvcc, ccbin, cache.memo.as_deref(), &workspace.scratch())
        .map_err(|error| Fallback::new(FallbackReason::Toolchain, error.to_string()))?;
    let mut plan = dryrun::plan(nvcc, job, &workspace)?;
    check_variables(&plan, &toolchain)?;
    check_outputs(job, &plan)?;
    let mut streams = plan.stages.len();
    let passes = (0..plan.units.len())
        .map(|number| UnitPasses::add(&mut plan, number, &mut streams))
        .collect::<Result<Vec<_>, _>>()?;
    let driver = driver_version(env::var_os("LD_LIBRARY_PATH").as_deref());
    let facts = facts(job, &driver)?;
    let commands = commands(&workspace, &toolchain, &plan, facts.keep.as_ref());
    let mut printed = Printed {
        stdout: Vec::new(),
        stderr: plan.notices.clone(),
    };
    let mut endings = Vec::new();
    for (unit, passes) in plan.units.iter().zip(&passes) {
        let work = UnitWork {
            facts: &facts,
            plan: &plan,
            unit,
            passes,
            commands: &commands,
            cache,
            signals,
        };
        let (product, ending, key) = work.run()?;
        deliver::deliver(job, &work, &product)?;
        printed.add(&product);
        endings.push((unit, ending, key));
    }
    link::run(&plan, &commands, signals, &mut printed)?;
    deliver::keep_files(&facts, &plan, &workspace)?;
    printed.show();
    for (unit, ending, key) in &endings {
        count(cache, block, &plan.file(unit.source).path, ending, key);
    }
    Ok(())
}

/// What nvcc and its stages print.
#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Printed {
    fn add(&mut self, product: &Product) {
        for (_, stdout, stderr) in &product.streams {
            self.stdout.extend(stdout);
            self.stderr.extend(stderr);
        }
    }

    fn show(&self) {
        // A reader that went away is not the compile's failure.
        let _ = io::stdout().lock().write_all(&self.stdout);
        let _ = io::stderr().lock().write_all(&self.stderr);
    }
}

impl Keep {
    fn mapped(&self) -> OsString {
        let name = self.prefix.as_bytes().strip_suffix(b"/").unwrap_or(b".");
        OsStr::from_bytes(name).to_owned()
    }
}

fn facts<'a>(job: &Job, driver: &'a str) -> Result<Facts<'a>, Fallback> {
    // The other sources of the command are other units; this one's is a field of its own.
    let canonical = job
        .canonical()
        .into_iter()
        .filter(|(name, _)| *name != "input");
    let bytes = |values: Vec<OsString>| values.into_iter().map(OsString::into_vec).collect();
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
            .map(|(name, values)| (name, bytes(values)))
            .collect(),
        driver,
        directories: environment::directories().map_err(|error| work_directory(&error))?,
        environment: environment::keyed(),
        keep,
    })
}

fn commands<'a>(
    workspace: &'a Workspace,
    toolchain: &'a Toolchain,
    plan: &Plan,
    keep: Option<&Keep>,
) -> Commands<'a> {
    let mut environment = plan.env.clone();
    environment.push(("TMPDIR".into(), workspace.scratch().into()));
    Commands {
        workspace,
        toolchain,
        diagnostics: diagnostics(),
        environment,
        mapped: keep.map_or_else(|| ".".into(), Keep::mapped),
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

/// Counts a unit of an invocation that ended well; of another, only the detour counts.
fn count(cache: &Cache<'_>, block: &mut Block, source: &OsStr, ending: &Ending, key: &Digest) {
    let source = source.display();
    let text = match ending {
        Ending::Hit => {
            cache.stats.add(Counter::PreprocessedHit, 1);
            "preprocessed hit".to_owned()
        }
        Ending::Coalesced => {
            cache.stats.add(Counter::Coalesced, 1);
            "hit, after waiting for another process".to_owned()
        }
        Ending::Miss => {
            cache.stats.add(Counter::Miss, 1);
            "miss".to_owned()
        }
        Ending::Unstored(why) => {
            cache.stats.add(Counter::Miss, 1);
            cache.stats.add(Counter::Uncacheable, 1);
            format!("miss, not stored: {why}")
        }
    };
    block.note(
        "unit",
        format_args!("{source}: {text} ({})", hex::encode(key)),
    );
}

fn work_directory(error: &dyn std::fmt::Display) -> Fallback {
    Fallback::new(FallbackReason::WorkDirectory, error.to_string())
}

fn digest_file(path: &Path) -> io::Result<Digest> {
    Ok(Sha256::digest(fs::read(path)?).into())
}
