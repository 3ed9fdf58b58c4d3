//! Runs one invocation from end to end: prepares it, runs its units, links, and delivers the outputs. Anything
//! unexpected is a [`Detour`], on which the caller runs the real nvcc with the original arguments.

use crate::cmdline::Job;
use crate::compile::deliver::delivery::keep_files;
use crate::compile::deliver::outputs::check_outputs;
use crate::compile::deliver::places::Places;
use crate::compile::deliver::shown_commands;
use crate::compile::detour::{Detour, work_directory};
use crate::compile::direct::lookup::{Direct, DirectHit};
use crate::compile::identify_once::IdentifyOnce;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::extra_passes::UnitPasses;
use crate::compile::inputs::host::{Answers, HostCompiler};
use crate::compile::inputs::host_questions;
use crate::compile::inputs::lookup_race::LookupRace;
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
use crate::key::Roots;
use crate::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use crate::plan::{self, Plan};
use crate::stat::CoarseTime;
use crate::stats::Counter;
use crate::toolchain::{HostDriver, HostFamily, PLACES_OF_TOOLS, Toolchain, recall};
use std::cell::RefCell;
use std::ffi::OsString;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::SystemTime;

/// How often stale work directories of killed processes are removed: once an hour, by one of all compiles.
const TIDY_SECONDS: u64 = 3600;

/// Compiles what `args` (without the program's name) ask for, through `cache`, with the real
/// `nvcc`. On success everything that nvcc would have written and printed is written and printed.
pub fn compile(
    nvcc: &Path,
    args: &[OsString],
    cache: &StoreView<'_>,
    recorder: &Recorder,
) -> Result<(), Detour> {
    environment::check()?;
    let job = read_job(args)?;
    let mut facts = facts(&job, cache.driver)?;
    introduce(&job, &facts, cache, recorder);
    // Beside the variables that reach every tool, so that whatever has those in its key has these.
    facts.environment.extend(keyed_settings(cache)?);
    if !cache.stages {
        // Such outputs hold nvcc's own module id, so they must not be mixed up with those of separate stages.
        facts.job.push(("one-step", Vec::new()));
    }
    // The fast path, before signal handlers and a work directory: a remembered toolchain and a direct hit.
    let ccbin = job.value_of("compiler-bindir");
    let remembered = recall(nvcc, ccbin, cache.memos.as_ref(), cache.digests);
    if let Some(toolchain) = &remembered
        && let Some(hit) = look_up(nvcc, (&job, &facts), toolchain, cache, recorder, true)
    {
        return serve(hit, (nvcc, args, &job), cache, recorder);
    }
    let signals = Signals::install().map_err(|error| work_directory(&error))?;
    let invocation = Invocation {
        nvcc,
        args,
        job: &job,
        facts: &facts,
        cache,
        signals: &signals,
        recorder,
    };
    let result = invocation.run(remembered);
    // A tool killed by the signal is not a failure of ours.
    match (result, signals.pending()) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(signal)) => Err(Detour::Interrupted(signal)),
        (Err(detour), None) => Err(detour),
    }
}

/// What settings add to every key.
fn keyed_settings(cache: &StoreView<'_>) -> Result<Vec<Vec<u8>>, Bypass> {
    let assignments = cache.keyed_settings.assignments(cache.digests);
    assignments.map_err(|error| Bypass::new(BypassReason::ExtraFile, error.to_string()))
}

/// Looks the invocation up in direct mode. It `may_go_on` until a distant server answers.
fn look_up(
    nvcc: &Path,
    (job, facts): (&Job, &RequestFacts),
    toolchain: &Toolchain,
    cache: &StoreView<'_>,
    recorder: &Recorder,
    may_go_on: bool,
) -> Option<DirectHit> {
    let request = DirectKeyInputs::new(nvcc, job, facts, toolchain, cache.base_dir);
    let direct =
        request.and_then(|request| Direct::new(&request, job, facts, toolchain, cache, None));
    match direct {
        Ok(direct) => direct.going_on(may_go_on).look_up(recorder),
        Err(why) => {
            recorder.note("direct", format_args!("not looked up: {why}"));
            None
        }
    }
}

/// Records in the journal what is asked for.
fn introduce(job: &Job, facts: &RequestFacts, cache: &StoreView<'_>, recorder: &Recorder) {
    recorder.update(|record| {
        record.directory = journal::text(facts.directory.physical.as_os_str());
        let output = Places::of(job, None).only_output();
        record.output = output.as_deref().map(journal::text);
        record.sources = job
            .inputs
            .iter()
            .map(|input| journal::text(input))
            .collect();
        record.recache = cache.recache;
    });
}

/// Delivers a direct hit, counts it and records it.
fn serve(
    mut hit: DirectHit,
    (nvcc, args, job): (&Path, &[OsString], &Job),
    cache: &StoreView<'_>,
    recorder: &Recorder,
) -> Result<(), Detour> {
    shown_commands::add(&mut hit.delivery, job, nvcc, args)?;
    hit.delivery.write(&hit.targets)?;
    hit.delivery.write_kept(&hit.kept_targets)?;
    hit.delivery.show();
    cache.stats.add(Counter::DirectHit, hit.units);
    let how = if hit.is_semantic {
        "hit, with changes that cannot reach the output"
    } else {
        "hit"
    };
    if hit.is_semantic {
        cache.stats.add(Counter::SemanticHit, hit.units);
    }
    if hit.is_served {
        cache.stats.add(Counter::RemoteServed, hit.units);
    }
    recorder.note("direct", format_args!("{how} ({})", hex::encode(hit.key)));
    recorder.update(|record| {
        record.level = CompileOutcome::DirectHit;
        record.semantic = hit.is_semantic;
        record.remote = hit.is_served;
        record.key = Some(hex::encode(hit.key));
        record.stored = hit.milliseconds;
        record.facts = hit.facts;
    });
    Ok(())
}

/// An invocation for which direct mode had no hit with the remembered toolchain.
struct Invocation<'a> {
    nvcc: &'a Path,
    /// As they were given.
    args: &'a [OsString],
    job: &'a Job,
    facts: &'a RequestFacts,
    cache: &'a StoreView<'a>,
    signals: &'a Signals,
    recorder: &'a Recorder,
}

/// All that an invocation needs before its units run.
struct Prepared {
    toolchain: Toolchain,
    plan: Plan,
    /// The passes of each unit, in the plan's order.
    passes: Vec<UnitPasses>,
    host: Answers,
    /// A time before any pass, by the clock that stamps files.
    started: CoarseTime,
}

/// The result of [`Invocation::prepare`].
enum Preparing {
    Prepared(Box<Prepared>),
    /// Direct mode had a hit once the toolchain was identified; it has been delivered.
    Answered,
}

impl Invocation<'_> {
    fn run(&self, remembered: Option<Toolchain>) -> Result<(), Detour> {
        let workspace = Workspace::new()?;
        if self.cache.stats.is_time_to_tidy(TIDY_SECONDS) {
            workspace::sweep();
        }
        let mounts = Mounts::watch();
        match self.prepare(remembered, &workspace)? {
            Preparing::Answered => Ok(()),
            Preparing::Prepared(prepared) => self.compile(&prepared, &workspace, &mounts),
        }
    }

    /// Determines the toolchain (unless it is `remembered`), the plan, the passes, and the host compiler's answers
    /// about the job's flags.
    fn prepare(
        &self,
        remembered: Option<Toolchain>,
        workspace: &Workspace,
    ) -> Result<Preparing, Detour> {
        let start = SystemTime::now();
        let planning = CoarseTime::now();
        let (mut toolchain, dryrun_output) = match remembered {
            Some(toolchain) => (toolchain, None),
            None => {
                self.recorder
                    .note("toolchain", "not remembered, or changed");
                let (toolchain, dryrun_output) = self.identify(workspace)?;
                // Another user, or another build with the same files, may have compiled this before.
                if let Some(hit) = self.look_up(&toolchain, true) {
                    self.serve(hit)?;
                    return Ok(Preparing::Answered);
                }
                (toolchain, dryrun_output)
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
        let mut plan = planner.plan(self.job, workspace, dryrun_output)?;
        // What the stages cannot do as nvcc would is refused now, before any of them runs.
        check_variables(&plan, &toolchain)?;
        check_outputs(self.job, &plan)?;
        if !self.cache.stages {
            one_step::check(&plan)?;
        }
        // Behind the numbers of the plan's stages, and of those that a host compile in two steps adds.
        let mut streams = plan.stages.len() + plan::ADDED_STAGES;
        let passes = (0..plan.units.len())
            .map(|number| UnitPasses::add(&mut plan, number, &mut streams))
            .collect::<Result<Vec<_>, _>>()?;
        let host = self.ask_host(&plan, &passes, &toolchain)?;
        // A wrapper may start another compiler than it did when the toolchain was identified.
        toolchain.host = host.family.unwrap_or(toolchain.host);
        // A build may have written a source just before it called us, so the passes start in a later clock tick.
        let started = CoarseTime::after(start);
        Ok(Preparing::Prepared(Box::new(Prepared {
            toolchain,
            plan,
            passes,
            host,
            started,
        })))
    }

    /// Queries the host compiler about the flags of the job's commands.
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
        let stages = || host_questions::asked(plan, passes, driver);
        let mut questions = host_questions::questions(plan, stages(), driver);
        let is_clang = (toolchain.host, driver) == (HostFamily::Clang, HostDriver::Own);
        if questions.is_empty() && is_clang {
            questions.extend(host_questions::about_search(plan, passes));
        }
        let answers = compiler.ask(&questions)?;
        compiler.check_dependency_flags(plan, stages())?;
        Ok(answers)
    }

    /// Compiles, unless a distant server has a direct hit first.
    fn compile(
        &self,
        prepared: &Prepared,
        workspace: &Workspace,
        mounts: &Mounts,
    ) -> Result<(), Detour> {
        let found = RefCell::new(None);
        let look_up = || {
            // What the answer leads to is waited for: that is probably there, too.
            found.replace(self.look_up(&prepared.toolchain, false));
            found.borrow().is_some()
        };
        let lookup_race = self.lookup_race(&prepared.plan, &look_up);
        let compiled = self.run_units(prepared, workspace, mounts, lookup_race.as_ref());
        match (compiled, found.take()) {
            (Err(Detour::Overtaken(_)), Some(mut hit)) => {
                hit.is_served = true;
                self.serve(hit)
            }
            (compiled, _) => compiled,
        }
    }

    fn look_up(&self, toolchain: &Toolchain, may_go_on: bool) -> Option<DirectHit> {
        let request = (self.job, self.facts);
        let (nvcc, cache) = (self.nvcc, self.cache);
        look_up(nvcc, request, toolchain, cache, self.recorder, may_go_on)
    }

    fn serve(&self, hit: DirectHit) -> Result<(), Detour> {
        let asked = (self.nvcc, self.args, self.job);
        serve(hit, asked, self.cache, self.recorder)
    }

    /// Runs the units, links, writes the kept files, and prints what the tools printed.
    fn run_units(
        &self,
        prepared: &Prepared,
        workspace: &Workspace,
        mounts: &Mounts,
        lookup_race: Option<&LookupRace<'_>>,
    ) -> Result<(), Detour> {
        let (toolchain, plan) = (&prepared.toolchain, &prepared.plan);
        let commands = commands(workspace, toolchain, plan, self.facts);
        let runner = self.runner();
        let exact = self.semantic_off_reason();
        let (job, base_dir) = (self.job, self.cache.base_dir);
        let request = DirectKeyInputs::new(self.nvcc, job, self.facts, toolchain, base_dir).ok();
        let no_roots = Roots::default();
        let roots = request.as_ref().map_or(&no_roots, |request| &request.roots);
        let contexts = plan.units.iter().zip(&prepared.passes);
        let contexts: Vec<_> = contexts
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
                roots,
                started: prepared.started,
                mounts,
                lookup_race,
            })
            .collect();
        let direct = request
            .as_ref()
            .and_then(|request| self.direct_mode(request, prepared))
            .map(|direct| direct.counting_tokens(exact.is_none()));
        let units = Units {
            job: self.job,
            works: &contexts,
            one_step: (!self.cache.stages).then_some(OneStep {
                nvcc: self.nvcc,
                job: self.job,
            }),
            direct: direct.as_ref(),
            request: request.as_ref(),
        };
        let (mut delivery, finished) = units.run()?;
        link::run(plan, &commands, &runner, &mut delivery.printed)?;
        keep_files(self.facts, plan, workspace)?;
        shown_commands::add(&mut delivery, job, self.nvcc, self.args)?;
        delivery.show();
        // Only now: if something above fails, the invocation counts as one fallback, and none of its units.
        for (unit, finished) in plan.units.iter().zip(&finished) {
            let source = &plan.file(unit.source).path;
            finished.count(self.cache, self.recorder, source);
        }
        Ok(())
    }

    /// What a distant server may yet have for direct mode, if that can answer the invocation as a whole.
    fn lookup_race<'l>(
        &'l self,
        plan: &Plan,
        look_up: &'l dyn Fn() -> bool,
    ) -> Option<LookupRace<'l>> {
        let pending = self.cache.take_lookups();
        let is_whole = plan.units.len() == 1 && plan.link.is_empty();
        (is_whole && !pending.is_empty()).then_some(LookupRace {
            cache: self.cache,
            pending,
            look_up,
        })
    }

    fn runner(&self) -> Runner<'_> {
        Runner {
            slots: &self.cache.slots,
            signals: self.signals,
            recorder: self.recorder,
            threads: self.facts.threads,
        }
    }

    /// Direct mode for this invocation, to store its result for. `None` if direct mode cannot answer it.
    fn direct_mode(
        &self,
        request: &DirectKeyInputs<'_>,
        prepared: &Prepared,
    ) -> Option<Direct<'_>> {
        let Prepared { toolchain, .. } = prepared;
        let (facts, cache) = (self.facts, self.cache);
        let host = Some(&prepared.host);
        Direct::new(request, self.job, facts, toolchain, cache, host).ok()
    }

    /// Identifies the toolchain, which is not remembered, and runs `nvcc --dryrun` at the same time. Returns the
    /// toolchain and what nvcc printed.
    fn identify(&self, workspace: &Workspace) -> Result<(Toolchain, Option<Vec<u8>>), Detour> {
        let args = self.job.dryrun_args(&workspace.temporaries());
        let nvcc = self.nvcc;
        thread::scope(|scope| {
            let dryrun = scope.spawn(|| dryrun::ask(nvcc, &args, workspace));
            let ccbin = self.job.value_of("compiler-bindir");
            let scratch = workspace.scratch();
            let one = IdentifyOnce {
                nvcc,
                ccbin,
                cache: self.cache,
                signals: self.signals,
                recorder: self.recorder,
            };
            let toolchain = one.identify(&scratch);
            let dryrun_output = dryrun.join().unwrap_or_else(|panic| resume_unwind(panic));
            Ok((toolchain?, Some(dryrun_output?)))
        })
    }

    /// Why the settings or the command line turn semantic matching off, if they do.
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

/// Checks that no option has moved the job's tools away from where the toolchain was found.
fn check_variables(plan: &Plan, toolchain: &Toolchain) -> Result<(), Fallback> {
    for name in PLACES_OF_TOOLS {
        let assignments = plan.env.iter().rev();
        let mut assignments = assignments.filter(|(variable, _)| variable.as_os_str() == name);
        let expected = toolchain.variables.get(name);
        if let Some((_, value)) = assignments.next()
            && expected.is_none_or(|expected| value.as_os_str() != expected.as_str())
        {
            let detail = format!("{name}={}", value.display());
            return Err(Fallback::new(FallbackReason::UnknownTool, detail));
        }
    }
    Ok(())
}
