//! Runs a graph of steps, as many side by side as a width and the slots allow, the longest way to the end first.
//! The first failure ends everything.

use super::child::Command;
use super::crew::{Crew, Meanwhile};
use super::failure::Failure;
use super::signals::Signals;
use super::slots::Slots;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ffi::OsString;

/// One step of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The steps whose ends it waits for.
    pub after: Vec<usize>,
    /// What it costs, by some guess in any unit.
    pub weight: u64,
}

/// What the steps of a schedule do.
pub trait Work {
    /// The error of a step that could not be prepared.
    type Error;

    /// Called once, when all steps before this one are done. `None`: so is this one, without anything
    /// to run; it needs no slot.
    fn begin(&mut self, step: usize) -> Result<Option<Command>, Self::Error>;

    /// Called when the command of this step has its slot and begins to run.
    fn started(&mut self, _step: usize) {}

    /// Called when the command of this step has ended well, before any step after it begins.
    fn end(&mut self, step: usize) -> Result<(), Self::Error>;

    /// Called, any number of times, while one command runs by itself and nothing else is ready: for
    /// what can be done on another core until then.
    fn meanwhile(&mut self) {}
}

/// Runs all steps, at most `width` commands at once, each in a slot, with `environment` set on top of
/// our own. The work is begun in the order of [`Step::weight`]s along the way to the end, and equal
/// ones in the order of `steps`.
///
/// # Panics
///
/// If steps wait for each other in a circle.
pub fn run_steps<W: Work>(
    steps: &[Step],
    work: &mut W,
    environment: &[(OsString, OsString)],
    width: usize,
    slots: &Slots,
    signals: &Signals,
) -> Result<(), Failure<W::Error>> {
    let mut graph = Graph::new(steps);
    let mut crew = Crew::new(environment, width, slots, signals);
    // Begun, and waiting for a slot.
    let mut commands = BTreeMap::new();
    while graph.left > 0 {
        if let Some(signal) = signals.pending() {
            crew.stop(signal.signal());
            return Err(Failure::Interrupted(signal));
        }
        if let Some(rank) = graph.ready.pop_last() {
            match work.begin(rank.step()).map_err(Failure::Work)? {
                Some(command) => drop(commands.insert(rank, command)),
                None => graph.finish(rank.step()),
            }
        }
        while let Some(first) = commands.last_entry()
            && let Some(slot) = crew.room()
        {
            let (rank, command) = first.remove_entry();
            crew.start(rank.step(), &command, slot)?;
            work.started(rank.step());
        }
        let meanwhile = match (
            graph.left == 0 || !graph.ready.is_empty(),
            commands.is_empty(),
        ) {
            (true, _) => Meanwhile::Work,
            (false, false) => Meanwhile::Start,
            (false, true) => Meanwhile::Nothing,
        };
        if meanwhile == Meanwhile::Nothing && crew.has_one() {
            work.meanwhile();
        }
        for step in crew.wait(meanwhile)? {
            work.end(step).map_err(Failure::Work)?;
            graph.finish(step);
        }
    }
    Ok(())
}

/// Runs commands that do not depend on each other, as [`run_steps`] does, in their order.
pub fn run_all(
    commands: &[Command],
    environment: &[(OsString, OsString)],
    width: usize,
    slots: &Slots,
    signals: &Signals,
) -> Result<(), Failure> {
    struct All<'a>(&'a [Command]);

    impl Work for All<'_> {
        type Error = Infallible;

        fn begin(&mut self, step: usize) -> Result<Option<Command>, Infallible> {
            Ok(Some(self.0[step].clone()))
        }

        fn end(&mut self, _step: usize) -> Result<(), Infallible> {
            Ok(())
        }
    }

    let steps = vec![Step::default(); commands.len()];
    run_steps(
        &steps,
        &mut All(commands),
        environment,
        width,
        slots,
        signals,
    )
}

/// The cost of the way from a step to the end, and the step: greater ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u64, Reverse<usize>);

impl Rank {
    fn step(self) -> usize {
        self.1.0
    }
}

/// What is left of the steps.
struct Graph {
    /// The steps that wait for each one.
    followers: Vec<Vec<usize>>,
    /// How many steps each one waits for.
    blockers: Vec<usize>,
    ranks: Vec<Rank>,
    ready: BTreeSet<Rank>,
    left: usize,
}

impl Graph {
    fn new(steps: &[Step]) -> Self {
        let mut followers = vec![Vec::new(); steps.len()];
        for (number, step) in steps.iter().enumerate() {
            for before in &step.after {
                followers[*before].push(number);
            }
        }
        let mut graph = Self {
            blockers: steps.iter().map(|step| step.after.len()).collect(),
            ranks: ranks(steps, &followers),
            followers,
            ready: BTreeSet::new(),
            left: steps.len(),
        };
        let free = (0..steps.len()).filter(|step| graph.blockers[*step] == 0);
        graph.ready = free.map(|step| graph.ranks[step]).collect();
        graph
    }

    fn finish(&mut self, step: usize) {
        self.left -= 1;
        for follower in &self.followers[step] {
            self.blockers[*follower] -= 1;
            if self.blockers[*follower] == 0 {
                self.ready.insert(self.ranks[*follower]);
            }
        }
    }
}

/// The rank of every step, found from the ends backwards.
fn ranks(steps: &[Step], followers: &[Vec<usize>]) -> Vec<Rank> {
    let mut unknown: Vec<_> = followers.iter().map(Vec::len).collect();
    let mut ends: Vec<_> = (0..steps.len())
        .filter(|step| unknown[*step] == 0)
        .collect();
    let mut known = 0;
    let mut ranks: Vec<_> = (0..steps.len())
        .map(|step| Rank(0, Reverse(step)))
        .collect();
    while let Some(step) = ends.pop() {
        known += 1;
        let behind = followers[step].iter().map(|follower| ranks[*follower].0);
        ranks[step].0 = steps[step].weight.saturating_add(behind.max().unwrap_or(0));
        for before in &steps[step].after {
            unknown[*before] -= 1;
            if unknown[*before] == 0 {
                ends.push(*before);
            }
        }
    }
    assert_eq!(known, steps.len(), "steps wait for each other in a circle");
    ranks
}
