//! `pcache config`: the settings in force, where each comes from, and what could not be used.

use super::{print_json, say};
use crate::config::{Config, ConfigProblem, Environment, Listed, Source, config_file};
use anyhow::Error;
use serde::Serialize;
use std::io::Write;

/// What `pcache config` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    arguments: &ConfigArguments,
    config: &Config,
    problems: &[ConfigProblem],
    env: &Environment<'_>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let file = config_file(env).map(|path| path.display().to_string());
    let listed = config.list();
    if arguments.json {
        return print_json(out, &Report::new(file, &listed, problems));
    }
    for Listed {
        setting,
        value,
        source,
    } in &listed
    {
        let value = value.as_deref().unwrap_or("(none)");
        say(out, format_args!("{:<10}{value}  ({source})", setting.key))?;
    }
    let file = file.as_deref().unwrap_or("(no home directory is known)");
    say(out, format_args!("\nconfiguration file: {file}"))?;
    for problem in problems {
        say(out, format_args!("problem: {problem}"))?;
    }
    Ok(())
}

/// The shape of `pcache config --json`.
#[derive(Serialize)]
struct Report {
    file: Option<String>,
    settings: Vec<Row>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    variable: &'static str,
    value: Option<String>,
    source: &'static str,
    help: &'static str,
}

#[derive(Serialize)]
struct Problem {
    setting: String,
    value: String,
    source: &'static str,
    hint: String,
}

impl Report {
    fn new(file: Option<String>, listed: &[Listed<'_>], problems: &[ConfigProblem]) -> Self {
        let row = |listed: &Listed<'_>| Row {
            name: listed.setting.key,
            variable: listed.setting.variable,
            value: listed.value.clone(),
            source: code(listed.source),
            help: listed.setting.help,
        };
        let problem = |problem: &ConfigProblem| Problem {
            setting: problem.setting.clone(),
            value: problem.value.clone(),
            source: code(&problem.source),
            hint: problem.hint.clone(),
        };
        Self {
            file,
            settings: listed.iter().map(row).collect(),
            problems: problems.iter().map(problem).collect(),
        }
    }
}

/// The file's path is the report's `file`.
fn code(source: &Source) -> &'static str {
    match source {
        Source::Default => "default",
        Source::File(_) => "file",
        Source::Environment => "environment",
    }
}
