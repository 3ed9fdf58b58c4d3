//! `pcache trim`: leaves what was used since a moment, or so many bytes. For a cache that is saved after a job.

use super::context::{Context, Status};
use super::gc::{Gone, collect, say_gone, say_swept, tidy_own};
use super::screen::{print_json, say};
use super::used_since::UsedSince;
use crate::config::ByteSize;
use crate::store::Bounds;
use anyhow::Error;
use serde::Serialize;

/// What `pcache trim` takes.
#[derive(Debug, clap::Args)]
pub(super) struct TrimArguments {
    #[command(flatten)]
    bounds: TrimBounds,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is to be left. Without a bound, all would be, and a mistake would go unnoticed.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct TrimBounds {
    /// Remove what was not used since then: 2h, 2026-11-22T16:25 in local time, or last-build
    #[arg(long, value_name = "WHEN")]
    keep_used_since: Option<UsedSince>,
    /// Evict by the policy until at most SIZE is left, such as 500M
    #[arg(long, value_name = "SIZE")]
    max_size: Option<ByteSize>,
}

/// The shape of `pcache trim --json`.
#[derive(Debug, Default, Serialize)]
struct TrimReport {
    before_bytes: u64,
    after_bytes: u64,
    /// `null` without `--max-size`.
    max_bytes: Option<u64>,
    unused: Gone,
    expired: Gone,
    evicted: Gone,
    swept_bytes: u64,
    toolchains: Gone,
}

pub(super) fn run(arguments: &TrimArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let Some(store) = context.store_for("trim")? else {
        if arguments.json {
            print_json(&mut context.out, &TrimReport::default())?;
        } else {
            context.say_absent()?;
        }
        return Ok(Status::Fine);
    };
    let asked = &arguments.bounds;
    let used_since = asked.keep_used_since;
    let used_since = used_since.map(|since| since.moment(&store)).transpose()?;
    let bounds = Bounds::exactly(used_since, asked.max_size.map(ByteSize::bytes));
    let collected = collect(&store, Some(&bounds), context)?;
    let report = TrimReport {
        before_bytes: collected.before.bytes,
        after_bytes: collected.after.bytes,
        max_bytes: asked.max_size.map(ByteSize::bytes),
        unused: Gone::of(collected.unused),
        expired: Gone::of(collected.expired),
        evicted: Gone::of(collected.evicted),
        swept_bytes: collected.swept,
        toolchains: tidy_own(&store)?,
    };
    if arguments.json {
        print_json(&mut context.out, &report)?;
    } else {
        report.print(context)?;
    }
    Ok(Status::Fine)
}

impl TrimReport {
    fn print(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let rows = [
            ("unused", &self.unused),
            ("expired", &self.expired),
            ("evicted", &self.evicted),
            ("stale toolchains", &self.toolchains),
        ];
        say_gone(&rows, context)?;
        say_swept(self.swept_bytes, context)?;
        let [before, after] = [self.before_bytes, self.after_bytes].map(ByteSize::approximate);
        say(
            &mut context.out,
            format_args!("{:<20}{before} before, {after} now", "size"),
        )
    }
}
