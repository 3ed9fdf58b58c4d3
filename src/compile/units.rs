//! The units of an invocation, one after the other: what they make is put in place, what all of them
//! read is remembered, and how each ended is counted and told.

use super::deliver::{self, Delivery};
use super::direct::{Direct, Followed, Made, Trail};
use super::evidence::Known;
use super::printed::Printed;
use super::request::Request;
use super::semantic::Sight;
use super::tie::Tie;
use super::unit::{Ending, Finished, UnitWork};
use super::why::{Collector, Explained};
use super::{Cache, Detour, Invocation};
use crate::includes::lookups::Doubt;
use crate::journal::{self, Account, Level, Unit};
use crate::key::Digest;
use crate::stats::Counter;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

/// How a unit of an invocation ended, when everything is in its place.
pub struct Ended {
    ending: Ending,
    key: Digest,
    /// Milliseconds that its stages took when they ran.
    milliseconds: u64,
}

impl Invocation<'_> {
    /// Runs every unit, puts what it makes in place, and remembers what all of them read.
    pub fn units<'w>(
        &self,
        works: &[UnitWork<'w>],
        direct: Option<&'w Direct<'w>>,
        request: Option<&Request<'_>>,
    ) -> Result<(Delivery, Vec<Ended>), Detour> {
        let mut tracks = Tracks {
            direct,
            trail: direct.map(|_| Trail::begin(works)),
            followed: None,
            sight: Some(Sight::default()),
            quoted: BTreeSet::new(),
        };
        let mut finished = Vec::with_capacity(works.len());
        for (number, work) in works.iter().enumerate() {
            self.account.enter_unit(Some(number));
            let is_only = works.len() == 1;
            let unit = work.run(&mut |known| {
                if is_only {
                    tracks.follow(known);
                }
            })?;
            tracks.add(&unit);
            if let Some(why) = &unit.exact_because {
                self.account
                    .note("semantic", format_args!("every byte counts: {why}"));
            }
            deliver::write_temporaries(work, &unit.product)?;
            finished.push(unit);
        }
        self.account.enter_unit(None);
        let mut all = Delivery {
            printed: Printed {
                stdout: Vec::new(),
                stderr: works
                    .first()
                    .map_or_else(Vec::new, |work| work.plan.notices.clone()),
            },
            ..Delivery::default()
        };
        let mut endings = Vec::new();
        for (work, unit) in works.iter().zip(&mut finished) {
            let product = std::mem::take(&mut unit.product);
            endings.push(Ended {
                ending: unit.ending.clone(),
                key: unit.key,
                milliseconds: product.milliseconds,
            });
            all.append(Delivery::of(self.job, work, product)?);
        }
        // Before outputs change the directories in which headers are looked for.
        self.remember(tracks, works, request, &finished, &endings, &all);
        if let Some(signal) = self.signals.pending() {
            return Err(Detour::Interrupted(signal));
        }
        all.place(&all.sites()?)?;
        Ok((all, endings))
    }

    /// Stores what the invocation depended on, for explanations, and its result for direct mode.
    fn remember(
        &self,
        mut tracks: Tracks<'_>,
        works: &[UnitWork<'_>],
        request: Option<&Request<'_>>,
        finished: &[Finished],
        endings: &[Ended],
        delivery: &Delivery,
    ) {
        let doubt = tracks.settle().err();
        let is_new = |ended: &Ended| matches!(ended.ending, Ending::Miss | Ending::Unstored(_));
        // Of a hit without direct mode there is nothing to explain.
        let tells = tracks.direct.is_some() || endings.iter().any(is_new);
        let collector = request.filter(|_| tells).zip(works.first());
        let facts = collector.and_then(|(request, work)| {
            let collector = Collector {
                request,
                job: self.job,
                toolchain: work.commands.toolchain,
                exact: finished
                    .iter()
                    .find_map(|unit| unit.exact_because.as_deref()),
                units: finished.iter().map(explained).collect(),
            };
            let followed = tracks.followed.as_ref();
            collector.keep(self.cache, followed.and_then(|found| found.as_ref().ok()))
        });
        let passes: u64 = finished.iter().map(|unit| unit.passes).sum();
        let stages: u64 = endings.iter().map(|ended| ended.milliseconds).sum();
        let made = Made {
            units: works.len() as u64,
            tie: match finished.iter().any(|unit| unit.tie == Tie::Output) {
                true => Tie::Output,
                false => Tie::Free,
            },
            milliseconds: passes + stages,
            facts: facts.clone(),
        };
        let doubt = doubt.or_else(|| tracks.keep(delivery, made).err());
        if let Some(doubt) = &doubt {
            self.account
                .note("direct", format_args!("not remembered: {doubt}"));
        }
        self.account.tell(|found| {
            found.facts = facts;
            found.forgotten = doubt;
        });
    }
}

fn explained(unit: &Finished) -> Explained<'_> {
    Explained {
        key: &unit.key,
        fields: &unit.fields,
        known: &unit.known,
    }
}

impl Ended {
    /// Counts a unit of an invocation that ended well; of another, only the detour counts.
    pub fn count(&self, cache: &Cache<'_>, account: &Account, source: &OsStr) {
        let (level, semantic, text) = match &self.ending {
            Ending::Hit => (Level::PreprocessedHit, false, "preprocessed hit"),
            Ending::Alike => (
                Level::PreprocessedHit,
                true,
                "preprocessed hit, with lines moved",
            ),
            Ending::Coalesced => (
                Level::Coalesced,
                false,
                "hit, after waiting for another process",
            ),
            Ending::Miss => (Level::Miss, false, "miss"),
            Ending::Unstored(_) => (Level::Miss, false, "miss, not stored"),
        };
        let counter = match level {
            Level::Coalesced => Counter::Coalesced,
            Level::Miss => Counter::Miss,
            _ => Counter::PreprocessedHit,
        };
        cache.stats.add(counter, 1);
        if semantic {
            cache.stats.add(Counter::SemanticHit, 1);
        }
        let unstored = match &self.ending {
            Ending::Unstored(why) => Some(why.clone()),
            _ => None,
        };
        if unstored.is_some() {
            cache.stats.add(Counter::Uncacheable, 1);
        }
        let why = unstored
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        let (shown, key) = (source.display(), hex::encode(self.key));
        account.note("unit", format_args!("{shown}: {text}{why} ({key})"));
        account.tell(|found| {
            // The worst of all; the first is better than what stood there before any.
            found.level = match found.units.is_empty() {
                true => level,
                false => found.level.max(level),
            };
            found.semantic |= semantic;
            found.stored += if level.is_hit() { self.milliseconds } else { 0 };
        });
        account.add_unit(Unit {
            source: journal::text(source),
            level,
            semantic,
            unstored,
            key,
        });
    }
}

/// What an ordinary compile finds out for direct mode.
struct Tracks<'a> {
    /// None where nothing is to be remembered.
    direct: Option<&'a Direct<'a>>,
    trail: Option<Result<Trail<'a>, Doubt>>,
    /// Where the trail of an only unit leads: found while its stages ran.
    followed: Option<Result<Followed<'a>, Doubt>>,
    /// What else than tokens the units could see; none where every byte counts.
    sight: Option<Sight>,
    /// Files of which every byte counts, since what is printed speaks of them.
    quoted: BTreeSet<PathBuf>,
}

impl Tracks<'_> {
    /// Follows the trail of the only unit, whose passes read `known`, once.
    fn follow(&mut self, known: &Known) {
        if let (Some(direct), None) = (self.direct, &self.followed)
            && let Some(Ok(trail)) = &mut self.trail
        {
            let added = trail.add(known);
            self.followed = Some(added.and_then(|()| direct.follow(trail)));
        }
    }

    /// Adds what a unit read, if its result may be remembered.
    fn add(&mut self, unit: &Finished) {
        self.sight = self
            .sight
            .zip(unit.sight)
            .map(|(one, other)| one.max(other));
        let quoted = unit.product.sources.iter();
        self.quoted.extend(quoted.map(|source| source.path.clone()));
        let trail = self.trail.take();
        self.trail = trail.map(|trail| match &unit.ending {
            Ending::Unstored(why) => Err(why.clone()),
            _ if self.followed.is_some() => trail,
            _ => trail.and_then(|mut trail| trail.add(&unit.known).map(|()| trail)),
        });
    }

    /// Follows the trail to its end, if that has not been done.
    fn settle(&mut self) -> Result<(), Doubt> {
        if let (Some(direct), Some(trail), None) = (self.direct, &self.trail, &self.followed) {
            let trail = trail.as_ref().map_err(Clone::clone);
            self.followed = Some(trail.and_then(|trail| direct.follow(trail)));
        }
        for found in [
            self.trail.as_ref().and_then(|trail| trail.as_ref().err()),
            self.followed
                .as_ref()
                .and_then(|found| found.as_ref().err()),
        ] {
            found.map_or(Ok(()), |doubt| Err(doubt.clone()))?;
        }
        Ok(())
    }

    /// Remembers the result; to be called when the trail has been followed without a doubt.
    fn keep(self, delivery: &Delivery, made: Made) -> Result<(), Doubt> {
        match (self.direct, self.followed) {
            (Some(direct), Some(followed)) => {
                let followed = followed?.with_quoted(&self.quoted);
                direct.keep(followed, self.sight, delivery, made)
            }
            _ => Ok(()),
        }
    }
}
