//! `pcache top`: what compiles do while a build runs. It reads what is there anyway: the kernel's list of processes, the
//! locks of slots and the journal. Compiles do nothing for it.

mod keys;
mod processes;
mod view;

use super::builds::builds;
use super::context::{Context, Status, is_there};
use super::journal::compiles;
use super::screen::say;
use super::stats::units;
use super::zone::Zone;
use crate::exec::used_slots;
use crate::journal::Compile;
use anyhow::{Context as _, Error};
use keys::RawTerminal;
use processes::running_compiles;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use view::{BuildSoFar, LiveView};

/// How often the view is drawn.
const TICK: Duration = Duration::from_secs(1);

/// What `pcache top` takes.
#[derive(Debug, clap::Args)]
pub(super) struct TopArguments {
    /// Print the view once, as when standard output is no terminal
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &TopArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let is_dumb = (context.env.var)("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let terminal = if arguments.once || is_dumb || !context.env.out_is_terminal {
        None
    } else {
        RawTerminal::enter().context("cannot read keys from the terminal")?
    };
    let Some(terminal) = terminal else {
        for line in look(context)?.lines(usize::MAX) {
            say(&mut context.out, format_args!("{line}"))?;
        }
        return Ok(Status::Fine);
    };
    let shown = watch(&terminal, context);
    // Whatever happened, the terminal is as it was before.
    let left = context.out.leave_view();
    drop(terminal);
    shown.and(left.context("cannot write to standard output"))?;
    Ok(Status::Fine)
}

/// Draws the view until a key ends it.
fn watch(terminal: &RawTerminal, context: &mut Context<'_>) -> Result<(), Error> {
    let failed = "cannot write to standard output";
    context.out.enter_view().context(failed)?;
    loop {
        let lines = look(context)?.lines(terminal.rows());
        context.out.draw_view(&lines).context(failed)?;
        if terminal.is_ended_within(TICK) {
            return Ok(());
        }
    }
}

/// Everything that is shown, as it is now.
fn look(context: &Context<'_>) -> Result<LiveView, Error> {
    let zone = Zone::local();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
    let store = if is_there(context.root())? {
        context.store_for_reading()?
    } else {
        None
    };
    let known = match &store {
        Some(store) => compiles(store)?,
        None => Vec::new(),
    };
    let jobs = context.config.jobs.value.number();
    let own = store.as_ref().and_then(|store| store.own_dir());
    Ok(LiveView {
        time: zone.second(now),
        slots: own.and_then(|own| used_slots(own, jobs)),
        build: builds(&known).pop().map(|build| so_far(build, &zone)),
        compiles: running_compiles(),
    })
}

/// The numbers of the last build. A compile is in the journal once it has ended.
fn so_far(build: &[Compile], zone: &Zone) -> BuildSoFar {
    let [direct, preprocessed, coalesced, misses] = units(build);
    let saved = build.iter().map(Compile::saved);
    BuildSoFar {
        began: zone.second(build.first().map_or(0, |compile| compile.start)),
        hits: direct + preprocessed + coalesced,
        misses,
        saved: Duration::from_millis(saved.fold(0, u64::saturating_add)),
    }
}
