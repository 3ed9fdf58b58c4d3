//! The running children, each with its slot, and the one place that waits for their ends, for signals and for slots.

use super::child::{Child, Command};
use super::failure::Failure;
use super::signals::Signals;
use super::slots::{Chance, Slot, Slots};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;

/// Pauses between attempts to acquire a slot of the pool, in milliseconds; the last one repeats. A blocking lock
/// cannot be waited for together with children and signals.
const PAUSES: [i64; 4] = [1, 2, 5, 10];

/// The children that run, and what all of them have in common.
pub(super) struct Crew<'a> {
    environment: &'a [(OsString, OsString)],
    width: usize,
    slots: &'a Slots,
    signals: &'a Signals,
    running: Vec<Running<'a>>,
    /// Failed attempts since the last slot was acquired; drives the back-off.
    looks: usize,
}

/// Fields are dropped in this order: the slot is free when its child has ended.
struct Running<'a> {
    step: usize,
    child: Child,
    _slot: Slot<'a>,
}

/// What the schedule can do besides waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meanwhile {
    /// It has other work, so it only checks which children have ended.
    Work,
    /// It can start a command as soon as there is a slot.
    Start,
    Nothing,
}

/// What came of waiting.
pub(super) struct Waited {
    /// The steps whose children have succeeded.
    pub(super) done: Vec<usize>,
    /// The numbers of the rivals that have answered.
    pub(super) answered: Vec<usize>,
}

impl<'a> Crew<'a> {
    /// A crew of at most `width` children at once.
    pub(super) fn new(
        environment: &'a [(OsString, OsString)],
        width: usize,
        slots: &'a Slots,
        signals: &'a Signals,
    ) -> Self {
        Self {
            environment,
            width: width.max(1),
            slots,
            signals,
            running: Vec::new(),
            looks: 0,
        }
    }

    /// Tries to acquire a slot for one more child.
    pub(super) fn room(&mut self) -> Option<Slot<'a>> {
        if self.running.len() >= self.width {
            return None;
        }
        let slot = self.slots.take();
        self.looks = if slot.is_some() { 0 } else { self.looks + 1 };
        slot
    }

    /// Whether exactly one child runs.
    pub(super) fn has_one(&self) -> bool {
        self.running.len() == 1
    }

    /// Starts the command of `step` in `slot`.
    pub(super) fn start<E>(
        &mut self,
        step: usize,
        command: &Command,
        slot: Slot<'a>,
    ) -> Result<(), Failure<E>> {
        let child = Child::start(command, self.environment, slot.descriptor());
        self.running.push(Running {
            step,
            child: child.map_err(|error| Failure::Start(step, error))?,
            _slot: slot,
        });
        Ok(())
    }

    /// Waits until a child has ended, a signal or the answer of a rival has arrived or a slot may be free. Returns what
    /// came of it, or the failure of a child.
    pub(super) fn wait<E>(
        &mut self,
        meanwhile: Meanwhile,
        rivals: &[(usize, BorrowedFd<'_>)],
    ) -> Result<Waited, Failure<E>> {
        let answered = self.sleep(meanwhile, rivals);
        let mut done = Vec::new();
        let mut index = 0;
        while index < self.running.len() {
            let running = &mut self.running[index];
            match running.child.try_wait() {
                Ok(None) => index += 1,
                Ok(Some(status)) if status.success() => {
                    done.push(self.running.remove(index).step);
                }
                Ok(Some(status)) => {
                    let failure = Failure::Status(running.step, status);
                    let signal = self.signals.pending();
                    return Err(signal.map_or(failure, Failure::Interrupted));
                }
                Err(error) => return Err(Failure::Start(running.step, error)),
            }
        }
        Ok(Waited { done, answered })
    }

    /// Returns the numbers of the rivals that have answered.
    fn sleep(&self, meanwhile: Meanwhile, rivals: &[(usize, BorrowedFd<'_>)]) -> Vec<usize> {
        let mut fds: Vec<_> = rivals.iter().map(|(_, rival)| *rival).collect();
        fds.push(self.signals.wake());
        fds.extend(self.running.iter().map(|running| running.child.ended()));
        let mut pause = (meanwhile == Meanwhile::Work).then_some(0);
        if meanwhile == Meanwhile::Start && self.running.len() < self.width {
            match self.slots.chance() {
                Chance::Ours => {}
                Chance::Readable(channel) => fds.push(channel),
                Chance::AnyTime => pause = Some(PAUSES[self.looks.clamp(1, PAUSES.len()) - 1]),
            }
        }
        let pause = pause.map(|milliseconds| Timespec {
            tv_sec: 0,
            tv_nsec: milliseconds * 1_000_000,
        });
        let mut polled: Vec<_> = fds
            .into_iter()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        // EINTR serves as a wake-up, too: the caller checks for signals next.
        let _ = poll(&mut polled, pause.as_ref());
        let rivals = rivals.iter().zip(&polled);
        let answered = rivals.filter(|(_, fd)| !fd.revents().is_empty());
        answered.map(|((number, _), _)| *number).collect()
    }

    /// Kills the child of `step`, if it runs.
    pub(super) fn kill(&mut self, step: usize) {
        self.running.retain(|running| running.step != step);
    }

    /// Sends `signal` to every child's process group, and kills what is still running after the grace period.
    pub(super) fn stop(&mut self, signal: Signal) {
        for running in &self.running {
            running.child.signal(signal);
        }
        for running in &self.running {
            running.child.have_patience();
        }
        self.running.clear();
    }
}
