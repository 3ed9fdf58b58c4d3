//! `pcache`, the program for people: what is in the cache, what was decided, and why. Writes only to
//! the streams that it is given. Does not know how a compile runs.

mod config;
mod explain;
mod journal;
mod since;
mod stats;

use crate::config::{ByteSize, Config, Environment};
use crate::store::FileStore;
use anyhow::{Context, Error};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

/// Looks after the cache of pcache-nvcc.
#[derive(Debug, Parser)]
#[command(name = "pcache", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what was counted: hits, misses, and why compiles were passed on to nvcc
    Stats(stats::StatsArguments),
    /// Say how compiles ended, and what differed where the cache had no result
    Explain(explain::ExplainArguments),
    /// Remove everything from the cache; the counters stay
    Clear,
    /// Show the settings in force and where each comes from
    Config(config::ConfigArguments),
}

/// Exit status of a request that failed.
const FAILED: u8 = 1;
/// Exit status of a command line that makes no sense.
const MISUSED: u8 = 2;

/// Runs `pcache` with `arguments` (the program's name first) and gives its exit status. Settings are
/// looked up through `env`.
pub fn run(
    arguments: &[OsString],
    env: &Environment<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(refused) => return explain_usage(&refused, out, err),
    };
    let done = execute(&parsed.command, env, out, err)
        .and_then(|()| out.flush().context("cannot write to standard output"));
    match done {
        Ok(()) => 0,
        // The reader has seen enough.
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            // Nothing is left to do when stderr is closed too.
            let _ = writeln!(err, "pcache: {error:#}");
            FAILED
        }
    }
}

fn execute(
    command: &Command,
    env: &Environment<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), Error> {
    let (config, problems) = Config::load(env);
    // `config` lists problems with the settings; the others go on without the bad values.
    if !matches!(command, Command::Config(_)) {
        for problem in &problems {
            writeln!(err, "pcache: {problem}").context("cannot write to standard error")?;
        }
    }
    match command {
        Command::Stats(arguments) => stats::run(arguments, &config, out, err),
        Command::Explain(arguments) => explain::run(arguments, &config, out),
        Command::Clear => clear(&config, out),
        Command::Config(arguments) => config::run(arguments, &config, &problems, env, out),
    }
}

fn clear(config: &Config, out: &mut dyn Write) -> Result<(), Error> {
    let root = &config.dir.value;
    if config.readonly.value {
        let from = &config.readonly.source;
        anyhow::bail!("cannot clear {root:?}: it is set to be read-only (readonly, from {from})");
    }
    if !is_there(root)? {
        return say(out, format_args!("there is no cache at {root:?}"));
    }
    let cleared = FileStore::open(root, config.max_size.value.bytes())?.clear()?;
    let size = ByteSize::approximate(cleared.bytes);
    let files = cleared.files;
    say(
        out,
        format_args!("removed {files} files ({size}) from {root:?}"),
    )
}

/// Whether the cache directory exists.
fn is_there(root: &Path) -> Result<bool, Error> {
    if root.as_os_str().is_empty() {
        anyhow::bail!("no home directory is known; set PCACHE_DIR to a directory for the cache");
    }
    let found = root.try_exists();
    found.with_context(|| format!("cannot look for the cache at {root:?}"))
}

fn say(out: &mut dyn Write, line: std::fmt::Arguments<'_>) -> Result<(), Error> {
    writeln!(out, "{line}").context("cannot write to standard output")
}

/// Prints `value` as JSON that people can read too.
fn print_json(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    say(out, format_args!("{text}"))
}

/// Help and version go to stdout, since they were asked for; mistakes to stderr, in our voice.
fn explain_usage(refused: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let text = refused.render().to_string();
    if refused.use_stderr() {
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let _ = write!(err, "pcache: {text}");
        MISUSED
    } else {
        let _ = write!(out, "{text}").and_then(|()| out.flush());
        0
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
