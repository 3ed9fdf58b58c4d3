//! `pcache config`: shows the settings in force, where each comes from, and which could not be used; changes the
//! configuration file.

use super::context::{Context, Status};
use super::screen::{complain, print_json, say};
use crate::config::{
    CHECKOUT_FILE, Config, ConfigProblem, ListedSetting, SETTINGS, Setting, SettingSource,
    config_file, nearest, set, setting, unknown_variables, unset,
};
use anyhow::{Context as _, Error, anyhow, bail};
use serde::Serialize;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What `pcache config` takes.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_long_help = settings_help()
)]
pub(super) struct ConfigArguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    show: ShowArguments,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show all settings and where each comes from; the default
    Show(ShowArguments),
    /// Print the value of one setting
    Get {
        /// The setting
        key: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Set a setting in the configuration file
    #[command(after_long_help = settings_help())]
    Set {
        /// The setting
        key: String,
        /// Its value, written as for the environment variable
        value: OsString,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a setting from the configuration file
    Unset {
        /// The setting
        key: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct ShowArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Every setting with what it takes, from the table that they are read by.
fn settings_help() -> String {
    let rows = SETTINGS.iter().map(setting_help);
    format!("Settings:\n{}", rows.collect::<String>())
}

fn setting_help(row: &Setting) -> String {
    let (kind, help) = (row.kind.replace('`', ""), row.help.replace('`', ""));
    format!("  {:<13}{kind}\n{:15}{help}\n", row.key, "")
}

pub(super) fn run(
    arguments: &ConfigArguments,
    context: &mut Context<'_>,
    problems: &[ConfigProblem],
) -> Result<Status, Error> {
    match &arguments.action {
        None => show(&arguments.show, context, problems),
        Some(Action::Show(arguments)) => show(arguments, context, problems),
        Some(Action::Get { key, json }) => get(find(key)?, *json, context),
        Some(Action::Set { key, value, json }) => {
            let row = find(key)?;
            let read = (row.read)(value);
            let value = read.map_err(|hint| anyhow!("{key} = {}: {hint}", value.display()))?;
            edit(row, *json, context, |text| Ok(set(text, row.key, &value)?))
        }
        Some(Action::Unset { key, json }) => {
            let row = find(key)?;
            edit(row, *json, context, |text| match unset(text, row.key)? {
                (text, true) => Ok(text),
                (_, false) => bail!("{key} is not set in the file"),
            })
        }
    }
    .map(|()| Status::Fine)
}

fn find(key: &str) -> Result<&'static Setting, Error> {
    setting(key).ok_or_else(|| match nearest(key) {
        Some(row) => anyhow!("there is no setting {key:?}; did you mean {}?", row.key),
        None => anyhow!("there is no setting {key:?}; `pcache config` lists all"),
    })
}

fn show(
    arguments: &ShowArguments,
    context: &mut Context<'_>,
    problems: &[ConfigProblem],
) -> Result<(), Error> {
    let file = config_file(context.env.var).map(|path| path.display().to_string());
    let listed = context.config.list();
    let unknown = unknown_variables(context.env.variables.iter().cloned());
    let problems: Vec<_> = problems
        .iter()
        .cloned()
        .chain(unknown.iter().map(|unknown| ConfigProblem {
            setting: unknown.name.clone(),
            value: String::new(),
            source: SettingSource::Environment,
            hint: format!("no program reads it; {}", unknown.advice()),
        }))
        .collect();
    if arguments.json {
        return print_json(
            &mut context.out,
            &ConfigReport::new(file, &listed, &problems),
        );
    }
    for ListedSetting {
        setting,
        value,
        source,
    } in &listed
    {
        let value = value.as_deref().unwrap_or("(none)");
        say(
            &mut context.out,
            format_args!("{:<13}{value}  ({source})", setting.key),
        )?;
    }
    let file = file.as_deref().unwrap_or("(no home directory is known)");
    say(&mut context.out, format_args!(""))?;
    say(&mut context.out, format_args!("configuration file: {file}"))?;
    for problem in &problems {
        say(&mut context.out, format_args!("problem: {problem}"))?;
    }
    Ok(())
}

/// The value alone, for scripts. A setting without a value is an error, so that scripts notice.
fn get(row: &Setting, json: bool, context: &mut Context<'_>) -> Result<(), Error> {
    let listed = context.config.list();
    let listed = listed.iter().find(|listed| listed.setting.key == row.key);
    let listed = listed.with_context(|| format!("{} is no setting", row.key))?;
    if json {
        return print_json(&mut context.out, &ConfigRow::new(listed));
    }
    let value = listed.value.as_deref();
    let value = value.with_context(|| format!("{} is not set", row.key))?;
    say(&mut context.out, format_args!("{value}"))
}

/// Replaces the text of the configuration file by what `change` makes of it, and with `json` prints the value that is
/// then in force.
fn edit(
    row: &Setting,
    json: bool,
    context: &mut Context<'_>,
    change: impl FnOnce(&str) -> Result<String, Error>,
) -> Result<(), Error> {
    let var = context.env.var;
    let path = config_file(var).context("no home directory is known; set XDG_CONFIG_HOME")?;
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("cannot read {path:?}"))?,
    };
    let text = change(&text).with_context(|| format!("cannot change {path:?}"))?;
    replace(&path, &text).with_context(|| format!("cannot write {path:?}"))?;
    let (config, _) = Config::load(var);
    let listed = config.list();
    let in_force = listed.iter().find(|listed| listed.setting.key == row.key);
    if let Some(winner) = in_force.and_then(|listed| overriding(row, listed.source)) {
        complain(
            &mut context.err,
            format_args!("{winner} overrides the file"),
        )?;
    }
    match in_force.filter(|_| json) {
        Some(listed) => print_json(&mut context.out, &ConfigRow::new(listed)),
        None => Ok(()),
    }
}

/// What overrides the user's file, if the value of `row` comes from there.
fn overriding(row: &Setting, source: &SettingSource) -> Option<String> {
    match source {
        SettingSource::Environment => Some(format!("{} in the environment", row.variable)),
        SettingSource::File(path) => path
            .ends_with(CHECKOUT_FILE)
            .then(|| path.display().to_string()),
        SettingSource::Default => None,
    }
}

/// Replaces the file as a whole or not at all. If it is a link, replaces the file that it leads to: many users keep their
/// settings in a repository.
fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = target.parent().map_or_else(PathBuf::new, Path::to_owned);
    fs::create_dir_all(&parent)?;
    let file = tempfile::NamedTempFile::new_in(&parent)?;
    fs::write(file.path(), text)?;
    if let Ok(found) = fs::metadata(&target) {
        file.as_file().set_permissions(found.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}

/// The shape of `pcache config --json`.
#[derive(Serialize)]
struct ConfigReport {
    file: Option<String>,
    settings: Vec<ConfigRow>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct ConfigRow {
    name: &'static str,
    variable: &'static str,
    value: Option<String>,
    source: &'static str,
    /// The file that the value comes from.
    path: Option<String>,
    help: &'static str,
}

#[derive(Serialize)]
struct Problem {
    setting: String,
    value: String,
    source: &'static str,
    path: Option<String>,
    hint: String,
}

impl ConfigRow {
    fn new(listed: &ListedSetting<'_>) -> Self {
        Self {
            name: listed.setting.key,
            variable: listed.setting.variable,
            value: listed.value.clone(),
            source: code(listed.source),
            path: path_of(listed.source),
            help: listed.setting.help,
        }
    }
}

impl Problem {
    fn new(problem: &ConfigProblem) -> Self {
        Self {
            setting: problem.setting.clone(),
            value: problem.value.clone(),
            source: code(&problem.source),
            path: path_of(&problem.source),
            hint: problem.hint.clone(),
        }
    }
}

impl ConfigReport {
    fn new(file: Option<String>, listed: &[ListedSetting<'_>], problems: &[ConfigProblem]) -> Self {
        Self {
            file,
            settings: listed.iter().map(ConfigRow::new).collect(),
            problems: problems.iter().map(Problem::new).collect(),
        }
    }
}

fn path_of(source: &SettingSource) -> Option<String> {
    match source {
        SettingSource::File(path) => Some(path.display().to_string()),
        SettingSource::Default | SettingSource::Environment => None,
    }
}

fn code(source: &SettingSource) -> &'static str {
    match source {
        SettingSource::Default => "default",
        SettingSource::File(_) => "file",
        SettingSource::Environment => "environment",
    }
}
