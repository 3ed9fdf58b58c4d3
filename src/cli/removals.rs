//! Why a result is not in the cache any more, though nothing differs from the compile that made it.

use super::journal::{output, sources};
use super::selection::names;
use super::zone::Zone;
use crate::journal::{Compile, CompileOutcome, Removal};
use crate::stats::Counter;
use crate::store::FileStore;
use glob::Pattern;

/// What has removed results: the clearings that the journal has, and evictions, of which only the number is known.
pub(super) struct Removals {
    cleared: Vec<Removal>,
    evicted: u64,
}

impl Removals {
    /// Those that the journal and the counters of `store` know.
    pub(super) fn of(store: &FileStore, noted: &[String]) -> Self {
        let cleared = noted.iter().filter_map(|text| Removal::from_text(text));
        Self {
            cleared: cleared.collect(),
            evicted: store.stats().snapshot().get(Counter::Evicted),
        }
    }

    /// That the result of `compile` has been removed since, if a clearing has certainly done so, with times of `zone`.
    pub(super) fn since(&self, compile: &Compile, zone: &Zone) -> Option<String> {
        let has_result = compile.level.is_hit() || compile.level == CompileOutcome::Miss;
        let mut cleared = self.cleared.iter();
        let cleared = cleared.find(|one| {
            one.cleared > 0 && one.start > compile.end() && takes(one, compile) && has_result
        })?;
        let (command, when) = (cleared.command(), zone.time(cleared.start));
        Some(format!(
            "`{command}` removed the result at {when}: the next compile makes it again"
        ))
    }

    /// What became of the result of `former` until `compile` looked for it, with times of `zone`.
    pub(super) fn between(&self, former: &Compile, compile: &Compile, zone: &Zone) -> String {
        if former.end() > compile.start {
            return "nothing differs: the former result was not stored yet".to_owned();
        }
        let during = former.start..=compile.start;
        let mut cleared = self.cleared.iter().rev();
        let cleared = cleared.find(|one| one.cleared > 0 && during.contains(&one.start));
        match cleared {
            Some(one) if takes(one, former) => {
                let (command, when) = (one.command(), zone.time(one.start));
                format!("cleared: the former result was removed by `{command}` at {when}")
            }
            Some(one) => {
                let (command, when) = (one.command(), zone.time(one.start));
                format!(
                    "cleared or evicted: since the former compile there was `{command}` at {when}"
                )
            }
            None if self.evicted > 0 => {
                "evicted: the former result is not in the cache any more".to_owned()
            }
            None => "nothing differs: the former result was removed by hand".to_owned(),
        }
    }
}

/// Whether it certainly removed the result of `former`.
fn takes(removal: &Removal, former: &Compile) -> bool {
    let glob = removal.matching.as_deref().map(Pattern::new);
    match (&removal.older_than, glob) {
        (None, None) => true,
        (None, Some(Ok(glob))) => {
            let mut files = sources(former).into_iter().chain(output(former));
            files.any(|file| names(&glob, &file))
        }
        _ => false,
    }
}
