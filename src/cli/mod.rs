//! The commands of `pcache`: they show and tidy the cache, and explain what compiles did. They write only to the
//! streams that they are given, and run no compile themselves.

mod builds;
mod clear;
mod completions;
mod config;
mod contents;
mod context;
mod doctor;
mod env;
mod explain;
mod export;
mod gc;
mod import;
mod init;
mod installed_programs;
mod journal;
mod library;
mod links;
mod list;
mod man;
mod positive_count;
mod progress;
mod range;
mod recipes;
mod recompile;
mod remote;
mod removals;
mod report;
mod run;
mod screen;
mod selection;
mod since;
mod spans;
mod stats;
mod storability;
mod styles;
mod top;
mod trace;
mod trim;
mod used_since;
mod verify;
mod zone;

use crate::config::Config;
use anyhow::{Context as _, Error};
use clap::{CommandFactory, Parser, Subcommand};
use context::{Context, Status};
pub use env::{Colours, Env};
use screen::{Screen, complain};
use std::ffi::OsString;
use std::io::{self, Write};

/// Manage the pcache-nvcc compile cache.
#[derive(Debug, Parser)]
#[command(name = "pcache", version, disable_help_subcommand = true, after_help = STATUSES)]
struct Arguments {
    #[command(subcommand)]
    command: PcacheCommand,
}

#[derive(Debug, Subcommand)]
enum PcacheCommand {
    /// Show counters: hits, misses, and why compiles were passed on to nvcc
    Stats(stats::StatsArguments),
    /// Explain why recent compiles hit or missed
    Explain(explain::ExplainArguments),
    /// Write an HTML report of recent compiles
    Report(report::ReportArguments),
    /// Write recent compiles and their stages as a trace for Perfetto and similar viewers
    Trace(trace::TraceArguments),
    /// Show the compiles that run now, and what their build has found in the cache so far
    Top(top::TopArguments),
    /// Run a program with its NVRTC compiles cached
    Run(run::RunArguments),
    /// Make a cache, for yourself or for a group that shares it; or set a build up to use pcache-nvcc
    Init(init::InitArguments),
    /// List what is in the cache
    List(list::ListArguments),
    /// Remove expired entries, evict down to the size limit, and clean up after crashed processes
    Gc(gc::GcArguments),
    /// Remove what was not used since a moment, or evict down to a size, before a cache is saved
    Trim(trim::TrimArguments),
    /// Write the cache to one file, for `pcache import`
    Export(export::ExportArguments),
    /// Add what `pcache export` wrote to the cache; believes the file as much as the cache itself
    Import(import::ImportArguments),
    /// Remove everything from the cache, or a part of it; the counters stay
    Clear(clear::ClearArguments),
    /// Check every file in the cache, and remove damaged ones
    Verify(verify::VerifyArguments),
    /// Look after the servers that share results between machines
    Remote(remote::RemoteArguments),
    /// Check the set-up for problems, and say how to fix them
    Doctor(doctor::DoctorArguments),
    /// Show or change the settings
    Config(config::ConfigArguments),
    /// Print a script that completes command lines of pcache in a shell
    Completions(completions::CompletionsArguments),
    /// Print the manual page, or write all of them to a directory
    Man(man::ManArguments),
}

/// Exit status of a request that failed.
const FAILED: u8 = 1;
/// Exit status of a wrong command line.
const MISUSED: u8 = 2;
/// Exit status of [`Status::Findings`].
const FINDINGS: u8 = 3;
/// Exit status of [`Status::Trouble`].
const TROUBLE: u8 = 4;

const STATUSES: &str = "Exit status: 0 success; 1 the request failed, or doctor found errors; 2 the command \
    line is wrong; 3 verify found damage and removed it; 4 verify found damage that it did not remove, or compiles that \
    now give other bytes.";

/// The definition of the command line, for tests and pages.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs `pcache` with `arguments` (the program's name first) and gives its exit status.
pub fn run(arguments: &[OsString], env: &Env<'_>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut out = Screen::new(out, env.out_colours);
    let mut err = Screen::new(err, Colours::None);
    let (out, err) = (&mut out, &mut err);
    let command = match run::RunArguments::read(arguments) {
        Some(plain) => PcacheCommand::Run(plain),
        None => match Arguments::try_parse_from(from_ccache(arguments)) {
            Ok(parsed) => parsed.command,
            Err(refused) => return explain_usage(&refused, out, err),
        },
    };
    let done = execute(&command, env, out, err).and_then(|status| {
        out.flush().context("cannot write to standard output")?;
        Ok(status)
    });
    match done {
        Ok(Status::Fine) => 0,
        Ok(Status::Failed) => FAILED,
        Ok(Status::Findings) => FINDINGS,
        Ok(Status::Trouble) => TROUBLE,
        // As of `pcache list | head`, where the reader has seen enough.
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            // If stderr is closed too, there is nothing left to do.
            let _ = complain(err, format_args!("{error:#}"));
            FAILED
        }
    }
}

/// Options of ccache for what users of compile caches do by habit, and the same here.
const HABITS: [(&[&str], &[&str]); 5] = [
    (&["-s", "--show-stats"], &["stats"]),
    (&["-z", "--zero-stats"], &["stats", "--zero"]),
    (&["-p", "--show-config"], &["config"]),
    (&["-c", "--cleanup"], &["gc"]),
    (&["-C", "--clear"], &["clear"]),
];

/// The command line with what stands for a habit of ccache's users in its place.
fn from_ccache(arguments: &[OsString]) -> Vec<OsString> {
    let [program, option] = arguments else {
        return arguments.to_vec();
    };
    let habit = HABITS
        .iter()
        .find(|(options, _)| options.iter().any(|habit| option == habit));
    match habit {
        Some((_, request)) => {
            let request = request.iter().map(OsString::from);
            std::iter::once(program.clone()).chain(request).collect()
        }
        None => arguments.to_vec(),
    }
}

fn execute(
    command: &PcacheCommand,
    env: &Env<'_>,
    out: &mut Screen<'_>,
    err: &mut Screen<'_>,
) -> Result<Status, Error> {
    // These need no settings, so they must not complain of bad ones.
    match command {
        PcacheCommand::Completions(arguments) => {
            return completions::run(arguments, Arguments::command(), out);
        }
        PcacheCommand::Man(arguments) => return man::run(arguments, Arguments::command(), out),
        _ => {}
    }
    let (config, problems) = Config::load(env.var);
    // These list problems with the settings; the others go on without the bad values.
    if !matches!(command, PcacheCommand::Config(_) | PcacheCommand::Doctor(_)) {
        for problem in &problems {
            complain(err, format_args!("{problem}"))?;
        }
    }
    let mut context = Context {
        config: &config,
        env,
        out: out.lend(),
        err: err.lend(),
    };
    match command {
        PcacheCommand::Stats(arguments) => {
            stats::run(arguments, &config, &mut context.out, &mut context.err)
                .map(|()| Status::Fine)
        }
        PcacheCommand::Explain(arguments) => explain::run(arguments, &mut context),
        PcacheCommand::Report(arguments) => report::run(arguments, &mut context),
        PcacheCommand::Trace(arguments) => trace::run(arguments, &mut context),
        PcacheCommand::Top(arguments) => top::run(arguments, &mut context),
        PcacheCommand::Run(arguments) => run::run(arguments, &mut context),
        PcacheCommand::Init(arguments) => init::run(arguments, &mut context),
        PcacheCommand::List(arguments) => list::run(arguments, &mut context),
        PcacheCommand::Gc(arguments) => gc::run(arguments, &mut context),
        PcacheCommand::Trim(arguments) => trim::run(arguments, &mut context),
        PcacheCommand::Export(arguments) => export::run(arguments, &mut context),
        PcacheCommand::Import(arguments) => import::run(arguments, &mut context),
        PcacheCommand::Clear(arguments) => clear::run(arguments, &mut context),
        PcacheCommand::Verify(arguments) => verify::run(arguments, &mut context),
        PcacheCommand::Remote(arguments) => remote::run(arguments, &mut context),
        PcacheCommand::Doctor(arguments) => doctor::run(arguments, &mut context, &problems),
        PcacheCommand::Config(arguments) => config::run(arguments, &mut context, &problems),
        PcacheCommand::Completions(_) | PcacheCommand::Man(_) => Ok(Status::Fine),
    }
}

/// Help and version go to stdout, since they were asked for; mistakes to stderr, in our voice.
fn explain_usage(refused: &clap::Error, out: &mut Screen<'_>, err: &mut Screen<'_>) -> u8 {
    let text = refused.render().to_string();
    if refused.use_stderr() {
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let _ = err.text(&format!("pcache: {text}"));
        MISUSED
    } else {
        let _ = out.text(&text).and_then(|()| out.flush());
        0
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
