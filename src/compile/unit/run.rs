//! Compiles one translation unit: preprocesses it, takes it from the store by its key, or runs its stages and stores
//! the result.

use crate::compile::detour::Detour;
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::inputs::line_free::{self, Alike, Sight};
use crate::compile::inputs::preprocess::{self, PassResults};
use crate::compile::stages::make::{count_passes, make};
use crate::compile::stages::one_step::OneStep;
use crate::compile::stages::stage_cache::StageResults;
use crate::compile::unit::audit::audit;
use crate::compile::unit::key::{sorted_commands, write_key};
use crate::compile::unit::product::{Ending, Product};
use crate::compile::unit::result::{collect, quoted};
use crate::compile::unit::single_flight::take_turn;
use crate::compile::unit::stored::{StoredUnit, fetch, keep_tie, record};
use crate::compile::unit::tie::{self, Tie};
use crate::key::{Digest, Digester, Explanation, Pass};
use crate::store::Turn;
use std::cell::Cell;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// What is known of a unit that is not in the store under its exact key.
struct Making<'a> {
    keys: &'a dyn Fn(Tie, &[Pass]) -> Digest,
    commands: &'a [(Vec<u8>, usize)],
    read: &'a PassResults,
    /// The passes without the numbers of lines that reach no output; `None` if every byte counts.
    alike: Option<&'a Alike>,
    /// Whether the passes have been counted.
    counted: Cell<bool>,
}

impl Making<'_> {
    fn key(&self, tie: Tie) -> Digest {
        (self.keys)(tie, &self.read.passes)
    }

    /// The key without the numbers of lines that reach no output.
    fn alike_key(&self, tie: Tie) -> Option<Digest> {
        let alike = self.alike?;
        Some(line_free::alike_key(&(self.keys)(tie, &alike.passes)))
    }
}

/// What became of a unit that was looked up, or made, under one key.
enum Round {
    Done(Product, Ending, Tie),
    /// It has to be made, or taken, for this output.
    Tied,
}

/// A unit's product and how it came about.
pub(crate) struct Finished {
    /// What it leaves behind.
    pub product: Product,
    pub ending: Ending,
    pub key: Digest,
    /// The fields of the key.
    pub fields: Explanation,
    /// Wall time of the passes, in milliseconds.
    pub passes: u64,
    /// What its passes read.
    pub known: ReadFiles,
    /// Whether it is right for its output alone.
    pub tie: Tie,
    /// What else than tokens the compile could see; `None` if every byte counts.
    pub sight: Option<Sight>,
    /// Why that is so, for people.
    pub exact_because: Option<String>,
}

/// A unit that is looked up, or compiled.
struct UnitRun<'a> {
    work: &'a UnitContext<'a>,
    /// Compiles the unit in one step, where stages are not to be run by themselves.
    one_step: Option<&'a OneStep<'a>>,
}

/// Runs the passes of `work`, then takes the product from the store or makes it. `beside` is told what the
/// passes read, any number of times, when there is time while stages run.
pub(crate) fn compile_unit(
    work: &UnitContext<'_>,
    one_step: Option<&OneStep<'_>>,
    beside: &mut dyn FnMut(&ReadFiles),
) -> Result<Finished, Detour> {
    UnitRun { work, one_step }.run(beside)
}

impl UnitRun<'_> {
    /// Runs the passes, then takes the product from the store or makes it. `beside` is told what the
    /// passes read, any number of times, when there is time while stages run.
    fn run(&self, beside: &mut dyn FnMut(&ReadFiles)) -> Result<Finished, Detour> {
        let started = Instant::now();
        let read = preprocess::preprocess(self.work)?;
        let passes = milliseconds(started);
        let commands = sorted_commands(self.work);
        let texts: Vec<_> = commands.iter().map(|(text, _)| text.clone()).collect();
        let output = tie::output(self.work);
        let output = |tie| (tie == Tie::Output).then(|| output.as_bytes());
        let keys = |tie: Tie, passes: &[Pass]| {
            let mut key = Digester::default();
            write_key(
                self.work,
                output(tie),
                &texts,
                passes,
                &read.host_headers,
                &mut key,
            );
            key.finish()
        };
        let exact_because = line_free::exact_because(self.work, &read);
        let is_exact = exact_because.is_some();
        let known = self.fetch_any(&|tie| keys(tie, &read.passes), &commands);
        let (product, ending, tie) = match known {
            (Some(product), tie) => (product, Ending::Hit, tie),
            (None, tie) => {
                let alike = (!is_exact).then(|| Alike::of(self.work)).flatten();
                let making = Making {
                    keys: &keys,
                    commands: &commands,
                    read: &read,
                    alike: alike.as_ref(),
                    counted: Cell::new(false),
                };
                self.fetch_alike_or_make(&making, tie, beside)?
            }
        };
        Ok(Finished {
            sight: (!is_exact).then(|| line_free::sight(self.work)).flatten(),
            exact_because,
            product,
            ending,
            fields: {
                let mut fields = Explanation::default();
                write_key(
                    self.work,
                    output(tie),
                    &texts,
                    &read.passes,
                    &read.host_headers,
                    &mut fields,
                );
                fields
            },
            key: keys(tie, &read.passes),
            passes,
            tie,
            known: read.known,
        })
    }

    /// What is stored under the key for any output, or under the one for this output; and which of them
    /// it is.
    fn fetch_any(
        &self,
        key: &dyn Fn(Tie) -> Digest,
        commands: &[(Vec<u8>, usize)],
    ) -> (Option<Product>, Tie) {
        match self.fetch_unless_told(&key(Tie::Free), commands) {
            Some(StoredUnit::Product(product)) => (Some(product), Tie::Free),
            None => (None, Tie::Free),
            Some(StoredUnit::Tied) => {
                let found = self.fetch_unless_told(&key(Tie::Output), commands);
                (found.and_then(StoredUnit::product), Tie::Output)
            }
        }
    }

    fn fetch_unless_told(&self, key: &Digest, commands: &[(Vec<u8>, usize)]) -> Option<StoredUnit> {
        if self.work.cache.recache {
            None
        } else {
            fetch(self.work, key, commands)
        }
    }

    fn fetch_alike_or_make(
        &self,
        making: &Making<'_>,
        tie: Tie,
        beside: &mut dyn FnMut(&ReadFiles),
    ) -> Result<(Product, Ending, Tie), Detour> {
        let mut tie = tie;
        loop {
            match self.round(making, tie, beside)? {
                Round::Done(product, ending, tie) => return Ok((product, ending, tie)),
                Round::Tied => tie = Tie::Output,
            }
        }
    }

    /// Takes the unit from the store under the key without the numbers of lines, or makes it.
    fn round(
        &self,
        making: &Making<'_>,
        tie: Tie,
        beside: &mut dyn FnMut(&ReadFiles),
    ) -> Result<Round, Detour> {
        let commands = making.commands;
        if let Some(alike_key) = making.alike_key(tie)
            && let Some(stored) = self.fetch_unless_told(&alike_key, commands)
        {
            // The next time, the exact key will do.
            let record = self.work.cache.record(&alike_key);
            record.map(|record| self.work.cache.keep(&making.key(tie), &record));
            return Ok(ended(stored, Ending::Alike, tie));
        }
        // Held until the record is stored.
        let _lead = match take_turn(self.work, &making.key(tie), commands)? {
            Turn::Found { value, waited } => {
                let ending = if waited {
                    Ending::Coalesced
                } else {
                    Ending::Hit
                };
                return Ok(ended(value, ending, tie));
            }
            Turn::Make(lead) => lead,
        };
        self.make_here(making, tie, beside)
    }

    /// Runs the stages, and stores what they made.
    fn make_here(
        &self,
        making: &Making<'_>,
        tie: Tie,
        beside: &mut dyn FnMut(&ReadFiles),
    ) -> Result<Round, Detour> {
        let Making { read, alike, .. } = *making;
        if !making.counted.replace(true) && self.one_step.is_none() {
            count_passes(self.work);
        }
        let began = Instant::now();
        let id = tie::module_id(self.work, read, alike, tie);
        let made = make(self.work, self.one_step, &id, read, alike, &mut || {
            beside(&read.known)
        })?;
        let mut product = collect(self.work)?;
        product.milliseconds = milliseconds(began);
        let found = if tie == Tie::Output
            || tie::is_tied(self.work, &product, &id, self.one_step.is_some())
        {
            Tie::Output
        } else {
            Tie::Free
        };
        if found != tie {
            let keys = [Some(making.key(tie)), making.alike_key(tie)];
            keys.iter()
                .flatten()
                .for_each(|key| keep_tie(self.work, key));
            if self.one_step.is_none() {
                self.work
                    .runner
                    .account
                    .note("module id", "each output of this source has its own");
                return Ok(Round::Tied);
            }
        }
        let ending = self.settle(making, &made, &mut product, found);
        Ok(Round::Done(product, ending, found))
    }

    /// Stores the product, if it was made of nothing but what its keys hold.
    fn settle(
        &self,
        making: &Making<'_>,
        made: &StageResults,
        product: &mut Product,
        tie: Tie,
    ) -> Ending {
        let known = &making.read.known;
        let settled = audit(self.work, self.one_step, known, made).and_then(|()| {
            let sources = quoted(self.work, product, known, making.alike);
            sources.ok_or_else(|| "a source is gone".to_owned())
        });
        match settled {
            Ok(sources) => {
                product.sources = sources;
                match record(self.work, making.commands, product) {
                    Some(record) if self.work.cache.keep_record(&making.key(tie), &record) => {
                        let alike_key = making.alike_key(tie);
                        alike_key.map(|key| self.work.cache.keep_record(&key, &record));
                        Ending::Miss
                    }
                    _ => Ending::Unstored(self.work.cache.why_unstored()),
                }
            }
            Err(doubt) => Ending::Unstored(doubt),
        }
    }
}

fn ended(stored: StoredUnit, ending: Ending, tie: Tie) -> Round {
    match stored {
        StoredUnit::Product(product) => Round::Done(product, ending, tie),
        StoredUnit::Tied => Round::Tied,
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
