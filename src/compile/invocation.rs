//! One compile from end to end: prepares it, runs its units, links, and delivers. Anything unexpected is a
//! [`Detour`], on which the caller runs the real nvcc with the original arguments.

use crate::cmdline::Job;
use crate::compile::deliver::delivery::keep_files;
use crate::compile::deliver::outputs::check_outputs;
use crate::compile::detour::{Detour, work_directory};
use crate::compile::direct::lookup::{Direct, DirectHit};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::extra_passes::UnitPasses;
use crate::compile::inputs::host::{Answers, HostCompiler};
use crate::compile::inputs::host_questions;
use crate::compile::plan_memo::dryrun::{self, Planner};
use crate::compile::request::direct_key::DirectKeyInputs;
use crate::compile::request::environment;
use crate::compile::request::facts::{Keep, RequestFacts, facts, read_job};
use crate::compile::run::commands::Commands;
use crate::compile::run::link;
use crate::compile::run::runner::Runner;
use crate::compile::run::workspace::{self, Workspace};
use crate::compile::stages::one_step::{self, OneStep};
use crate::compile::store_view::StoreView;
use crate::compile::units::Units;
use crate::exec::Signals;
use crate::includes::mounts::Mounts;
use crate::journal::{self, CompileOutcome, Recorder};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::Plan;
use crate::stat::CoarseTime;
use crate::stats::Counter;
use crate::toolchain::{Toolchain, identify, recall};
use std::ffi::OsString;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::SystemTime;

/// How often a compile looks for work directories of processes that were killed: once an hour, for all.
const TIDY_SECONDS: u64 = 3600;

/// Compiles what `args` (without the program's name) ask for, through `cache`, with the real
/// `nvcc`. On success everything that nvcc would have written and printed is in its place.
pub fn compile(
    nvcc: &Path,
    args: &[OsString],
    cache: &StoreView<'_>,
    recorder: &Recorder,
) -> Result<(), Detour> {
    environment::check()?;
    let job = read_job(args)?;
    let mut facts = facts(&job)?;
    introduce(&job, &facts, cache, recorder);
    if !cache.stages {
        // nvcc's own module id is in what it makes.
        facts.job.push(("one-step", Vec::new()));
    }
    let ccbin = job.value_of("compiler-bindir");
    let known = recall(nvcc, ccbin, cache.memos.as_ref(), cache.digests);
    if let Some(toolchain) = &known
        && let Some(hit) = look_up(nvcc, (&job, &facts), toolchain, cache, recorder)
    {
        return serve(hit, cache, recorder);
    }
    let signals = Signals::install().map_err(|error| work_directory(&error))?;
    let invocation = Invocation {
        nvcc,
        job: &job,
        facts: &facts,
        cache,
        signals: &signals,
        recorder,
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
    (job, facts): (&Job, &RequestFacts),
    toolchain: &Toolchain,
    cache: &StoreView<'_>,
    recorder: &Recorder,
) -> Option<DirectHit> {
    let request = DirectKeyInputs::new(nvcc, job, facts, toolchain)?;
    let direct = Direct::new(&request, job, facts, toolchain, cache, None)?;
    direct.look_up(recorder)
}

/// Tells the account what is asked for.
fn introduce(job: &Job, facts: &RequestFacts, cache: &StoreView<'_>, recorder: &Recorder) {
    recorder.tell(|found| {
        found.directory = journal::text(facts.directory.physical.as_os_str());
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
fn serve(hit: DirectHit, cache: &StoreView<'_>, recorder: &Recorder) -> Result<(), Detour> {
    hit.delivery.place(&hit.targets)?;
    hit.delivery.place_kept(&hit.kept_targets)?;
    hit.delivery.printed.show();
    cache.stats.add(Counter::DirectHit, hit.units);
    let how = if hit.is_semantic {
        "hit, with changes that no compiler sees"
    } else {
        "hit"
    };
    if hit.is_semantic {
        cache.stats.add(Counter::SemanticHit, hit.units);
    }
    recorder.note("direct", format_args!("{how} ({})", hex::encode(hit.key)));
    recorder.tell(|found| {
        found.level = CompileOutcome::DirectHit;
        found.semantic = hit.is_semantic;
        found.key = Some(hex::encode(hit.key));
        found.stored = hit.milliseconds;
        found.facts = hit.facts;
    });
    Ok(())
}

/// An invocation that is not answered directly.
struct Invocation<'a> {
    nvcc: &'a Path,
    job: &'a Job,
    facts: &'a RequestFacts,
    cache: &'a StoreView<'a>,
    signals: &'a Signals,
    recorder: &'a Recorder,
}

/// What is known of an invocation before its units run.
struct Prepared {
    toolchain: Toolchain,
    plan: Plan,
    /// Of each unit.
    passes: Vec<UnitPasses>,
    host: Answers,
    /// A time before any pass, by the clock that stamps files.
    started: CoarseTime,
}

/// How far preparing comes.
enum Preparing {
    Prepared(Box<Prepared>),
    /// Once the toolchain was identified, direct mode had the answer.
    Answered,
}

impl Invocation<'_> {
    fn run(&self, known: Option<Toolchain>) -> Result<(), Detour> {
        let workspace = Workspace::new()?;
        if self.cache.stats.is_time_to_tidy(TIDY_SECONDS) {
            workspace::sweep();
        }
        let mounts = Mounts::watch();
        match self.prepare(known, &workspace)? {
            Preparing::Answered => Ok(()),
            Preparing::Prepared(prepared) => self.compile(&prepared, &workspace, &mounts),
        }
    }

    /// Finds the toolchain, the plan, the passes, and what the host compiler answers to the job's flags.
    fn prepare(
        &self,
        known: Option<Toolchain>,
        workspace: &Workspace,
    ) -> Result<Preparing, Detour> {
        let start = SystemTime::now();
        let planning = CoarseTime::now();
        let (mut toolchain, asked) = match known {
            Some(known) => (known, None),
            None => {
                self.recorder
                    .note("toolchain", "not remembered, or changed; identified");
                let (toolchain, asked) = self.identify(workspace)?;
                // Another user, or a build whose files are here, may have compiled this before.
                let asks = (self.job, self.facts);
                if let Some(hit) = look_up(self.nvcc, asks, &toolchain, self.cache, self.recorder) {
                    serve(hit, self.cache, self.recorder)?;
                    return Ok(Preparing::Answered);
                }
                (toolchain, asked)
            }
        };
        let planner = Planner {
            nvcc: self.nvcc,
            toolchain: &toolchain,
            cache: self.cache,
            facts: self.facts,
            started: planning,
            recorder: self.recorder,
        };
        let mut plan = planner.plan(self.job, workspace, asked)?;
        check_variables(&plan, &toolchain)?;
        check_outputs(self.job, &plan)?;
        if !self.cache.stages {
            one_step::check(&plan)?;
        }
        let mut streams = plan.stages.len();
        let passes = (0..plan.units.len())
            .map(|number| UnitPasses::add(&mut plan, number, &mut streams))
            .collect::<Result<Vec<_>, _>>()?;
        let host = self.ask_host(&plan, &passes, &toolchain)?;
        // A wrapper may start another compiler than when the toolchain was identified.
        toolchain.host = host.family.unwrap_or(toolchain.host);
        // A build may have written a source just before it called us: the passes' beginning is no part of that tick.
        let started = CoarseTime::after(start);
        Ok(Preparing::Prepared(Box::new(Prepared {
            toolchain,
            plan,
            passes,
            host,
            started,
        })))
    }

    /// What the host compiler answers to the flags of the job's commands.
    fn ask_host(
        &self,
        plan: &Plan,
        passes: &[UnitPasses],
        toolchain: &Toolchain,
    ) -> Result<Answers, Detour> {
        let compiler = HostCompiler {
            toolchain,
            digests: self.cache.digests,
        };
        let driver = toolchain.driver;
        let asked = || host_questions::asked(plan, passes, driver);
        let answers = compiler.ask(&host_questions::questions(plan, asked(), driver))?;
        compiler.check_dependency_flags(plan, asked())?;
        Ok(answers)
    }

    /// Runs the units, links, and puts everything in its place.
    fn compile(
        &self,
        prepared: &Prepared,
        workspace: &Workspace,
        mounts: &Mounts,
    ) -> Result<(), Detour> {
        let Prepared {
            toolchain, plan, ..
        } = prepared;
        let commands = commands(workspace, toolchain, plan, self.facts);
        let runner = Runner {
            slots: &self.cache.slots,
            signals: self.signals,
            recorder: self.recorder,
            threads: self.facts.threads,
        };
        let exact = self.semantic_off_reason();
        let units = plan.units.iter().zip(&prepared.passes);
        let works: Vec<_> = units
            .map(|(unit, passes)| UnitContext {
                facts: self.facts,
                plan,
                unit,
                passes,
                commands: &commands,
                runner: &runner,
                cache: self.cache,
                exact: exact.as_deref(),
                host: &prepared.host,
                started: prepared.started,
                mounts,
            })
            .collect();
        let request = DirectKeyInputs::new(self.nvcc, self.job, self.facts, toolchain);
        let direct = request.as_ref();
        let direct = direct.and_then(|request| self.direct_mode(request, prepared));
        let direct = direct.map(|direct| direct.counting_tokens(exact.is_none()));
        let units = Units {
            job: self.job,
            works: &works,
            one_step: (!self.cache.stages).then_some(OneStep {
                nvcc: self.nvcc,
                job: self.job,
            }),
            direct: direct.as_ref(),
            request: request.as_ref(),
        };
        let (mut all, finished) = units.run()?;
        link::run(plan, &commands, &runner, &mut all.printed)?;
        keep_files(self.facts, plan, workspace)?;
        all.printed.show();
        for (unit, finished) in plan.units.iter().zip(&finished) {
            let source = &plan.file(unit.source).path;
            finished.count(self.cache, self.recorder, source);
        }
        Ok(())
    }

    /// What remembers the results for direct mode. `None` where it does not answer.
    fn direct_mode(
        &self,
        request: &DirectKeyInputs<'_>,
        prepared: &Prepared,
    ) -> Option<Direct<'_>> {
        let Prepared {
            toolchain, plan, ..
        } = prepared;
        let (facts, cache) = (self.facts, self.cache);
        let host = Some(&prepared.host);
        let direct = Direct::new(request, self.job, facts, toolchain, cache, host);
        // Link stages always run, so that they are never answered directly.
        direct.filter(|_| plan.link.is_empty())
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
    fn semantic_off_reason(&self) -> Option<String> {
        match self.cache {
            StoreView {
                semantic: false, ..
            } => Some("PCACHE_SEMANTIC is off".to_owned()),
            StoreView { stages: false, .. } => Some("PCACHE_STAGES is off".to_owned()),
            _ => self.job.tells_lines(),
        }
    }
}

fn commands<'a>(
    workspace: &'a Workspace,
    toolchain: &'a Toolchain,
    plan: &Plan,
    facts: &RequestFacts,
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
