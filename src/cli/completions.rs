//! `pcache completions`: scripts for shells, from the definitions that parse the command line.

use super::context::Status;
use super::screen::{Screen, say_text};
use crate::config::{SETTINGS, Setting};
use anyhow::{Context as _, Error};
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueHint};
use clap_complete::{Shell, generate};
use std::ffi::OsStr;

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
    command: Command,
    out: &mut Screen<'_>,
) -> Result<Status, Error> {
    let shell = match arguments.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let is_fish = matches!(arguments.shell, ShellName::Fish);
    let mut command = if is_fish {
        command
    } else {
        with_settings(command)
    };
    // `generate` panics where it cannot write.
    let mut script = Vec::new();
    generate(shell, &mut command, "pcache", &mut script);
    let mut script = String::from_utf8(script).context("the script is no text")?;
    if is_fish {
        script.push_str(&settings_in_fish());
    }
    say_text(out, &script)?;
    Ok(Status::Fine)
}

/// The definitions with settings and their values in the place of the arguments of `pcache config`. What a value may be
/// depends on the key before it, which a shell's script can tell only of commands; so each key stands as one.
fn with_settings(command: Command) -> Command {
    command.mut_subcommand("config", |config| {
        ["get", "set", "unset"]
            .into_iter()
            .fold(config, |config, action| {
                config.mut_subcommand(action, |old| with_keys(action, &old))
            })
    })
}

/// An action of `pcache config` with the keys as commands. Its options go on in front of them.
fn with_keys(name: &'static str, action: &Command) -> Command {
    let options = action.get_arguments().filter(|one| !one.is_positional());
    let keys = SETTINGS.iter().map(|row| {
        let key = Command::new(row.key)
            .about(row.help.replace('`', ""))
            .disable_help_flag(true);
        if name == "set" {
            key.arg(value_of(row))
        } else {
            key
        }
    });
    let about = action.get_about().cloned().unwrap_or_default();
    Command::new(name)
        .about(about)
        .args(options.cloned().collect::<Vec<_>>())
        .subcommands(keys.collect::<Vec<_>>())
        .disable_help_subcommand(true)
}

fn value_of(row: &Setting) -> Arg {
    let words = words(row);
    let value = Arg::new("value");
    if !words.is_empty() {
        value.value_parser(PossibleValuesParser::new(words))
    } else if row.kind.contains("path") {
        value.value_hint(ValueHint::AnyPath)
    } else {
        value
    }
}

/// The words that a setting takes. Its row also names examples, which have digits, and are not offered.
fn words(row: &Setting) -> Vec<&'static str> {
    let quoted = row.kind.split('`').skip(1).step_by(2);
    let is_word = |word: &&str| !word.contains(|letter: char| letter.is_ascii_digit());
    let is_taken = |word: &&str| (row.read)(OsStr::new(word)).is_ok();
    quoted.filter(is_word).filter(is_taken).collect()
}

/// Keys and values for fish, whose generator knows commands of two words and no positional arguments.
fn settings_in_fish() -> String {
    let after = |actions: &str| {
        format!(
            "__fish_pcache_using_subcommand config; and __fish_seen_subcommand_from {actions}; and"
        )
    };
    let keys: Vec<_> = SETTINGS.iter().map(|row| row.key).collect();
    let keys = keys.join(" ");
    let is_key = format!(
        "{} not __fish_seen_subcommand_from {keys}",
        after("get set unset")
    );
    let mut lines = String::new();
    for row in SETTINGS {
        let (key, words) = (row.key, words(row).join(" "));
        let help = row.help.replace('`', "").replace('\'', "\\'");
        lines += &format!("complete -c pcache -n \"{is_key}\" -f -a {key} -d '{help}'\n");
        if !words.is_empty() {
            let is_value = format!("{} __fish_seen_subcommand_from {key}", after("set"));
            lines += &format!("complete -c pcache -n \"{is_value}\" -f -a \"{words}\"\n");
        }
    }
    lines
}
