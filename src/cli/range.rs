//! The options that choose a part of the journal, and what they choose.

use super::builds::builds;
use super::since::Since;
use super::zone::Zone;
use crate::journal::Compile;

/// The options that choose a part of the journal.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub(super) struct Range {
    /// Only compiles that began then or later, if the journal still has them: 2h, or 2026-11-22T16:25 in local time
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only the last build: compiles with no pause of 30 seconds between them, and each output once
    #[arg(long)]
    last_build: bool,
}

impl Range {
    /// Whether anything was chosen.
    pub(super) fn is_given(&self) -> bool {
        self.last_build || self.since.is_some()
    }

    /// The chosen ones of `all`, which are sorted by their beginnings; without a choice, all.
    pub(super) fn of<'a>(&self, all: &'a [Compile]) -> &'a [Compile] {
        match &self.since {
            _ if self.last_build => builds(all).pop().unwrap_or_default(),
            Some(since) => &all[all.partition_point(|compile| !since.includes(compile.start))..],
            None => all,
        }
    }

    /// The choice in words, when it has led to `chosen`, with times of `zone`.
    pub(super) fn text(&self, chosen: &[Compile], zone: &Zone) -> String {
        match (&self.since, chosen.first()) {
            (Some(since), _) => since.text(zone),
            (None, Some(first)) if self.last_build => {
                let began = zone.time(first.start);
                format!("the last build, which began {began}")
            }
            (None, _) if self.last_build => "the last build".to_owned(),
            (None, _) => "the beginning".to_owned(),
        }
    }
}
