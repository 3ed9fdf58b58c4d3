//! `pcache completions`: scripts for shells, from the definitions that parse the command line.

use super::context::Status;
use super::screen::{Screen, say_text};
use anyhow::{Context as _, Error};
use clap_complete::{Shell, generate};

/// What `pcache completions` takes.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: ShellName,
}

/// The shells whose scripts are tested.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(
    arguments: &CompletionsArguments,
    mut command: clap::Command,
    out: &mut Screen<'_>,
) -> Result<Status, Error> {
    let shell = match arguments.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    // `generate` panics where it cannot write.
    let mut script = Vec::new();
    generate(shell, &mut command, "pcache", &mut script);
    let script = String::from_utf8(script).context("the script is no text")?;
    say_text(out, &script)?;
    Ok(Status::Fine)
}
