//! `pcache remote`: the helper that talks to servers, and its queue.

use super::contents::Contents;
use super::context::{Context, Status};
use super::screen::{print_json, say};
use super::used_since::UsedSince;
use crate::config::Lifetime;
use crate::remote::{Pulled, RemoteControl, keygen, record_list};
use crate::store::{EntryKind, FileStore, Name, VisitAction, Worth};
use anyhow::{Context as _, Error, anyhow, bail};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// The classes of records that machines share.
const SHARED: [&str; 4] = ["path-sets", "direct-result", "result", "stage"];

/// What `pcache remote` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RemoteArguments {
    #[command(subcommand)]
    command: RemoteCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RemoteCommand {
    /// Show whether servers answer, and how much waits to be sent
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Wait until everything that was made here is sent, as at the end of a CI job
    Flush {
        /// Give up after TIME, such as 30s or 5m
        #[arg(long, value_name = "TIME", default_value = "60s")]
        timeout: Lifetime,
    },
    /// Send what the local cache holds, as to a server that is new or was emptied
    Push {
        /// Only what was used since then: 2h, 2026-11-22T16:25 in local time, or last-build
        #[arg(long, value_name = "WHEN")]
        used_since: Option<UsedSince>,
        /// Write a list of it under NAME, in place of the one before, for `pcache remote pull NAME`
        #[arg(long = "as", value_name = "NAME")]
        list: Option<String>,
    },
    /// Bring what a list names into the local cache, as before the first build of a machine
    Pull {
        /// The name that `pcache remote push --as` gave it
        name: String,
    },
    /// Write and read a small value on every server
    Test,
    /// End the helper; what waits to be sent is sent when the next compile starts it
    Stop,
    /// Make a key that signs what is sent, and print the public key for PCACHE_TRUSTED_KEYS
    Keygen {
        /// Its name, such as farm-1
        name: String,
        /// The new file for the secret key
        file: PathBuf,
    },
}

pub(super) fn run(arguments: &RemoteArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    match &arguments.command {
        RemoteCommand::Keygen { name, file } => {
            let file = std::path::absolute(file).with_context(|| format!("{file:?}"))?;
            ended(keygen(name, &file))
        }
        RemoteCommand::Status { json } => status(&control(context)?, *json, context),
        RemoteCommand::Push { used_since, list } => push(*used_since, list.as_deref(), context),
        RemoteCommand::Pull { name } => pull(name, context),
        RemoteCommand::Test => ended(control(context)?.test()),
        RemoteCommand::Stop => {
            let has_run = control(context)?.stop().context("cannot end the helper")?;
            let text = if has_run { "ended" } else { "no helper runs" };
            say(&mut context.out, format_args!("{text}"))?;
            Ok(Status::Fine)
        }
        RemoteCommand::Flush { timeout } => {
            let control = control(context)?;
            let timeout = Duration::from_secs(timeout.seconds());
            let left = control.flush(timeout).context("cannot send the queue")?;
            if left > 0 {
                bail!("{left} compiles still wait to be sent; pcache remote status says why");
            }
            say(&mut context.out, format_args!("everything is sent"))?;
            Ok(Status::Fine)
        }
    }
}

fn control(context: &Context<'_>) -> Result<RemoteControl, Error> {
    if context.config.remote.value.0.is_empty() {
        bail!("no server is set; set PCACHE_REMOTE, or remote in config.toml, to its URL");
    }
    let store = FileStore::from_config(context.config)?;
    let Some(own) = store.own_dir() else {
        bail!("this user has no directory of their own for this cache; pcache doctor says why");
    };
    Ok(RemoteControl::new(context.config, own))
}

/// Queues the records that machines share, and a list of them.
fn push(
    used_since: Option<UsedSince>,
    list: Option<&str>,
    context: &mut Context<'_>,
) -> Result<Status, Error> {
    let control = control(context)?;
    let store = FileStore::reading(context.config)?;
    check_names(&store)?;
    let since = used_since.map(|since| since.moment(&store)).transpose()?;
    let mut records = Vec::new();
    let mut trouble = None;
    store.survey(EntryKind::Record, |stored| {
        let is_used = since.is_none_or(|since| stored.read >= since);
        match is_used.then(|| Contents::of(stored)).transpose() {
            Ok(Some(contents)) if SHARED.contains(&contents.class) => {
                records.push((stored.tree.worth, stored.name));
            }
            Ok(_) => {}
            Err(error) => {
                trouble.get_or_insert(error);
            }
        }
        VisitAction::Keep
    })?;
    if let Some(error) = trouble {
        return Err(error.into());
    }
    if let Some(name) = list {
        let key = record_list::key(name);
        let store = FileStore::from_config(context.config)?;
        store.put_record(&key, &record_list::encode(&records))?;
        records.push((Worth::Result, Name::of(&key)));
    }
    let queued = control.push(&records).context("cannot write the queue")?;
    say(
        &mut context.out,
        format_args!("{queued} records are queued; pcache remote flush waits until they are sent"),
    )?;
    Ok(Status::Fine)
}

/// Fails if records have other names here than on servers.
fn check_names(store: &FileStore) -> Result<(), Error> {
    if !store.names_are_digests() {
        bail!("the names of records tell their keys only in a cache that is this user's alone");
    }
    Ok(())
}

/// Brings what a list names.
fn pull(name: &str, context: &mut Context<'_>) -> Result<Status, Error> {
    let control = control(context)?;
    let store = FileStore::from_config(context.config)?;
    check_names(&store)?;
    let directory = std::env::current_dir().context("cannot find the current directory")?;
    let pulled = control.pull(&record_list::key(name), &store, &directory);
    let pulled = pulled.map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "no server has a list called {name:?}; pcache remote push --as {name} writes one"
        ),
        _ => Error::from(error).context("cannot bring the list; pcache remote status may say why"),
    })?;
    let Pulled {
        listed,
        here,
        brought,
        absent,
        failed,
    } = pulled;
    say(
        &mut context.out,
        format_args!("of {listed} records, {brought} were brought and {here} were here"),
    )?;
    if absent > 0 {
        say(
            &mut context.out,
            format_args!("{absent} are on no server any more"),
        )?;
    }
    if failed > 0 {
        bail!("{failed} could not be brought; pcache remote status says why");
    }
    Ok(Status::Fine)
}

/// The helper has said what is wrong.
fn ended(status: std::io::Result<ExitStatus>) -> Result<Status, Error> {
    let status = status.context("cannot run the helper")?;
    Ok(if status.success() {
        Status::Fine
    } else {
        Status::Trouble
    })
}

fn status(control: &RemoteControl, json: bool, context: &mut Context<'_>) -> Result<Status, Error> {
    let said = control.status().context("the helper does not answer")?;
    let helper: Option<Value> = said.as_deref().map(serde_json::from_str).transpose()?;
    let waiting = control.waiting().context("cannot read the queue")?;
    if json {
        let report = json!({
            "directory": control.directory(),
            "queued": waiting,
            "helper": helper,
        });
        print_json(&mut context.out, &report)?;
        return Ok(Status::Fine);
    }
    let out = &mut context.out;
    say(out, format_args!("{:<20}{waiting}", "compiles to send"))?;
    let Some(helper) = helper else {
        say(
            out,
            format_args!("{:<20}does not run; a compile starts it", "helper"),
        )?;
        return Ok(Status::Fine);
    };
    let pid = &helper["pid"];
    say(
        out,
        format_args!("{:<20}process {pid}, for {} s", "helper", helper["seconds"]),
    )?;
    if let Some(key) = helper["signs_as"].as_str() {
        say(out, format_args!("{:<20}{key}", "signs as"))?;
    }
    let mut is_well = true;
    for server in helper["servers"].as_array().into_iter().flatten() {
        let url = server["url"].as_str().unwrap_or_default();
        let is_read_only = server["read_only"] == true;
        let state = match (server["is_asked"] == true, server["is_sent_to"] == true) {
            (true, true) => "answers",
            (true, false) if is_read_only => "answers; nothing is sent there",
            (true, false) => "answers, but takes nothing",
            (false, _) => "does not answer, and is left alone",
        };
        is_well &= server["last_error"].is_null();
        say(out, format_args!("{url}: {state}"))?;
        if let Some(error) = server["last_error"].as_str() {
            say(out, format_args!("    {error}"))?;
        }
    }
    Ok(if is_well {
        Status::Fine
    } else {
        Status::Findings
    })
}
