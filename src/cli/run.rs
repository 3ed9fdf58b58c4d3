//! `pcache run`: starts a program in which kernels that are compiled at run time are cached. Knows how
//! ld.so is told of the library for that; not what it does there.

use super::context::{Context, Status};
use super::library;
use crate::config::Config;
use crate::remote::Remote;
use crate::store::FileStore;
use anyhow::{Context as _, Error};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What `pcache run` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    /// The program, and its arguments
    #[arg(
        value_name = "PROGRAM",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

impl RunArguments {
    /// Reads `pcache run [--] PROGRAM…` without clap, whose definitions of all other commands would take longer than
    /// the rest of this one. `None` for any other command line.
    pub(super) fn read(arguments: &[OsString]) -> Option<Self> {
        let (name, rest) = arguments.get(1..)?.split_first()?;
        let (first, others) = rest.split_first()?;
        let command = match first.as_bytes() {
            b"--" => others,
            option if option.starts_with(b"-") => return None,
            _ => rest,
        };
        let is_plain = name == "run" && !command.is_empty();
        is_plain.then(|| Self {
            command: command.to_vec(),
        })
    }
}

/// Becomes the program; returns only if that fails.
pub(super) fn run(arguments: &RunArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let (program, rest) = arguments
        .command
        .split_first()
        .context("no program given")?;
    let mut command = Command::new(program);
    command.args(rest);
    if context.config.nvrtc.value
        && let Some(library) = library::find(context)?
    {
        for variable in ["LD_AUDIT", "LD_PRELOAD"] {
            let given = (context.env.var)(variable);
            command.env(variable, listed(&library, given.as_deref()));
        }
        start_helper(context.config);
    }
    let refused = command.exec();
    Err(Error::new(refused).context(format!("cannot start {program:?}")))
}

/// Has the helper run that talks to servers, if there are any, since the library starts none within the program. Best
/// effort: without it, the program's compiles ask no server.
fn start_helper(config: &Config) {
    if config.remote.value.0.is_empty() {
        return;
    }
    let Ok(store) = FileStore::from_config(config) else {
        return;
    };
    let own = store.own_dir().filter(|_| !config.readonly.value);
    if let Some(remote) = own.and_then(|own| Remote::new(config, own, store.stats())) {
        remote.start_helper();
    }
}

/// `library` before what the variable names already: ours must be there before any libnvrtc.
fn listed(library: &Path, given: Option<&OsStr>) -> OsString {
    let own = library.as_os_str();
    let given = given.map(OsStr::as_bytes).unwrap_or_default();
    let others = given.split(|byte| b": ".contains(byte));
    let mut list = own.to_owned();
    for other in others.filter(|name| !name.is_empty() && *name != own.as_bytes()) {
        list.push(":");
        list.push(OsStr::from_bytes(other));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::{RunArguments, listed};
    use crate::cli::{Arguments, PcacheCommand};
    use clap::Parser;
    use std::ffi::{OsStr, OsString};
    use std::path::Path;

    #[track_caller]
    fn assert_listed(given: Option<&str>, expected: &str) {
        let list = listed(Path::new("/lib/p.so"), given.map(OsStr::new));
        assert_eq!(list, expected);
    }

    #[test]
    fn the_library_comes_first_and_once() {
        assert_listed(None, "/lib/p.so");
        assert_listed(Some(""), "/lib/p.so");
        assert_listed(Some("a.so b.so"), "/lib/p.so:a.so:b.so");
        assert_listed(Some("a.so:/lib/p.so"), "/lib/p.so:a.so");
    }

    /// `RunArguments::read` accepts only what clap accepts, and reads it alike.
    #[test]
    fn command_lines_are_read_as_defined() {
        for (line, is_plain) in [
            ("pcache run -- a -b c", true),
            ("pcache run a -b -- c", true),
            ("pcache run -- -a", true),
            ("pcache run -- -- a", true),
            ("pcache run a --help", true),
            ("pcache run --", false),
            ("pcache run", false),
            ("pcache run --help", false),
            ("pcache run -a", false),
            ("pcache stats", false),
            ("pcache", false),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let read = RunArguments::read(&arguments).map(|read| read.command);
            assert_eq!(read.is_some(), is_plain, "{line}");
            if let Some(read) = read {
                let PcacheCommand::Run(defined) = Arguments::parse_from(&arguments).command else {
                    panic!("{line} is not run")
                };
                assert_eq!(read, defined.command, "{line}");
            }
        }
    }
}
