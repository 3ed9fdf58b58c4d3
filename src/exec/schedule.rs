//! Runs a graph of steps, as many in parallel as a width and the slots allow. Steps on the longest path to the end run
//! first. The first failure ends the schedule.

use super::child::Command;
use super::crew::{Crew, Meanwhile};
use super::failure::Failure;
use super::signals::Signals;
use super::slots::Slots;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;

/// One step of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The steps that must be done before it.
    pub after: Vec<usize>,
    /// Its estimated cost, in any unit.
    pub weight: u64,
}

/// Provides the commands of a schedule's steps, and is notified of their progress.
pub trait Work {
    /// The error of a step that could not be prepared.
    type Error;

    /// Called when all steps before this one are done, and again when its command was overtaken. Returns the command to run; `None` if the step is done
    /// without one, and so needs no slot.
    fn begin(&mut self, step: usize) -> Result<Option<Command>, Self::Error>;

    /// Called when the command of this step has its slot and has been started.
    fn started(&mut self, _step: usize) {}

    /// Called when the command of this step has succeeded, before any step after it begins.
    fn end(&mut self, step: usize) -> Result<(), Self::Error>;

    /// What may make the command of a step unnecessary while it waits for a slot or runs: a number for each, and a
    /// descriptor that becomes readable then.
    fn rivals(&self) -> Vec<(usize, BorrowedFd<'_>)> {
        Vec::new()
    }

    /// Called when the descriptor of a rival is readable; takes what it says, so that it is not readable again for that.
    /// Returns the step whose command it has made unnecessary, if any: the command is killed, and the step begins again.
    fn overtaken_by(&mut self, _rival: usize) -> Result<Option<usize>, Self::Error> {
        Ok(None)
    }

    /// Called any number of times while one command runs alone and nothing else is ready, for work that can overlap
    /// with it on another core.
    fn meanwhile(&mut self) {}
}

/// Runs all steps, at most `width` commands at once, each in a slot, with `environment` added to our own. Steps
/// begin in the order of the sum of [`Step::weight`]s on their path to the end, and equal ones in the order of
/// `steps`.
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
    // The commands that wait for a slot.
    let mut commands = BTreeMap::new();
    while graph.left > 0 {
        if let Some(signal) = signals.pending() {
            crew.stop(signal.signal());
            return Err(Failure::Interrupted(signal));
        }
        // One step at a time, so that children and signals are looked at between two that come from the store.
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
        let waited = crew.wait(meanwhile, &work.rivals())?;
        for step in waited.done {
            work.end(step).map_err(Failure::Work)?;
            graph.finish(step);
        }
        for rival in waited.answered {
            if let Some(step) = work.overtaken_by(rival).map_err(Failure::Work)? {
                crew.kill(step);
                commands.remove(&graph.ranks[step]);
                graph.begin_again(step);
            }
        }
    }
    Ok(())
}

/// Runs commands that do not depend on each other, as [`run_steps`] does, starting them in their order.
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

/// The cost of the path from a step to the end, and the step. Greater ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u64, Reverse<usize>);

impl Rank {
    fn step(self) -> usize {
        self.1.0
    }
}

/// The steps that are not done.
struct Graph {
    /// For each step, the steps that wait for it.
    followers: Vec<Vec<usize>>,
    /// For each step, how many steps it waits for.
    blockers: Vec<usize>,
    ranks: Vec<Rank>,
    ready: BTreeSet<Rank>,
    /// How many steps are not done.
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
        graph.ready = (0..steps.len())
            .filter(|step| graph.blockers[*step] == 0)
            .map(|step| graph.ranks[step])
            .collect();
        graph
    }

    fn begin_again(&mut self, step: usize) {
        self.ready.insert(self.ranks[step]);
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

/// The rank of every step, computed from the ends backwards.
fn ranks(steps: &[Step], followers: &[Vec<usize>]) -> Vec<Rank> {
    let mut unranked_followers: Vec<_> = followers.iter().map(Vec::len).collect();
    let mut ready: Vec<_> = (0..steps.len())
        .filter(|step| unranked_followers[*step] == 0)
        .collect();
    let mut ranked = 0;
    let mut ranks: Vec<_> = (0..steps.len())
        .map(|step| Rank(0, Reverse(step)))
        .collect();
    while let Some(step) = ready.pop() {
        ranked += 1;
        let costs = followers[step].iter().map(|follower| ranks[*follower].0);
        ranks[step].0 = steps[step].weight.saturating_add(costs.max().unwrap_or(0));
        for before in &steps[step].after {
            unranked_followers[*before] -= 1;
            if unranked_followers[*before] == 0 {
                ready.push(*before);
            }
        }
    }
    assert_eq!(ranked, steps.len(), "steps wait for each other in a circle");
    ranks
}
