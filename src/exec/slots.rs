//! Slots: the right to run one child. They come from GNU make's jobserver if there is one, otherwise from a pool that
//! all processes with the same cache on this machine share.
//!
//! A process holds a slot only while its child runs, so that no holder waits for another's slot.
//! `docs/design/architecture.md#who-runs-when` has the reasons.

use super::jobserver::Jobserver;
use crate::lock::LockFile;
use sha2::{Digest, Sha256};
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

const FILE: &str = "slots";

/// How many slots of the pool one attempt tries. The next attempt goes on from there: if many processes wait for
/// a large pool, each need not try all of it.
const LOOK: usize = 16;

/// How long a child waits for a slot by default.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(300);

/// The slots that this process may take. The jobserver or pool is only opened when the first slot is needed.
#[derive(Debug)]
pub struct Slots {
    jobs: Option<NonZeroUsize>,
    cache: Option<PathBuf>,
    makeflags: Option<OsString>,
    patience: Duration,
    supply: OnceCell<Supply>,
}

/// The right to run one child, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    supply: &'a Supply,
}

/// When to try again after no slot was free.
pub(super) enum Chance<'a> {
    /// When a child of this process has ended.
    Ours,
    /// Also when this descriptor is readable.
    Readable(BorrowedFd<'a>),
    /// At any time, without a notification.
    AnyTime,
}

impl Slots {
    /// Slots of the jobserver that `makeflags` (the variable MAKEFLAGS) names; otherwise of the pool of the cache in
    /// `cache`, with `jobs` slots or one for each core that this process may use; otherwise as many of this
    /// process's own.
    pub fn new(
        jobs: Option<NonZeroUsize>,
        cache: Option<&Path>,
        makeflags: Option<OsString>,
    ) -> Self {
        Self {
            jobs,
            cache: cache.map(Path::to_owned),
            makeflags,
            patience: DEFAULT_PATIENCE,
            supply: OnceCell::new(),
        }
    }

    /// Lets a child that has waited for `patience` run without a slot.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn take(&self) -> Option<Slot<'_>> {
        let supply = self.supply();
        supply.take().then(|| Slot { supply })
    }

    pub(super) fn chance(&self) -> Chance<'_> {
        match self.supply() {
            Supply::Make(make) => make.server.wake().map_or(Chance::Ours, Chance::Readable),
            Supply::Pool(_) => Chance::AnyTime,
            Supply::Own(_) => Chance::Ours,
        }
    }

    fn supply(&self) -> &Supply {
        self.supply.get_or_init(|| {
            let server = self.makeflags.as_deref().and_then(Jobserver::find);
            if let Some(server) = server {
                return Supply::Make(Make::new(server));
            }
            let cores = || available_parallelism().unwrap_or(NonZeroUsize::MIN);
            let size = self.jobs.unwrap_or_else(cores).get();
            let pool = self
                .cache
                .as_deref()
                .map(|cache| Pool::open(cache, size, self.patience));
            match pool {
                Some(Ok(pool)) => Supply::Pool(pool),
                _ => Supply::Own(Cell::new(size)),
            }
        })
    }
}

impl Slot<'_> {
    /// The descriptor that a child must inherit so that it keeps the slot if we are killed before it has ended.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self.supply {
            Supply::Pool(pool) => Some(pool.file.as_fd()),
            Supply::Make(_) | Supply::Own(_) => None,
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.supply.give_back();
    }
}

#[derive(Debug)]
enum Supply {
    Make(Make),
    Pool(Pool),
    /// Slots of this process alone; the number of free ones.
    Own(Cell<usize>),
}

impl Supply {
    fn take(&self) -> bool {
        match self {
            Self::Make(make) => make.take(),
            Self::Pool(pool) => pool.take(),
            Self::Own(free) => free
                .get()
                .checked_sub(1)
                .map(|remaining| free.set(remaining))
                .is_some(),
        }
    }

    fn give_back(&self) {
        match self {
            Self::Make(make) => make.give_back(),
            Self::Pool(pool) => pool.give_back(),
            Self::Own(free) => free.set(free.get() + 1),
        }
    }
}

/// The slots that make has given us: the one in which it started this process, and one per token.
#[derive(Debug)]
struct Make {
    server: Jobserver,
    is_busy: Cell<bool>,
    tokens: RefCell<Vec<u8>>,
}

impl Make {
    fn new(server: Jobserver) -> Self {
        Self {
            server,
            is_busy: Cell::new(false),
            tokens: RefCell::default(),
        }
    }

    fn take(&self) -> bool {
        if !self.is_busy.replace(true) {
            return true;
        }
        let token = self.server.take();
        self.tokens.borrow_mut().extend(token);
        token.is_some()
    }

    /// Returns tokens first, whichever child has ended: other processes can use tokens, but not our own slot.
    fn give_back(&self) {
        match self.tokens.borrow_mut().pop() {
            Some(token) => self.server.give_back(token),
            None => self.is_busy.set(false),
        }
    }
}

/// How long a process waits before it counts the slots that stopped processes hold. The interval doubles each time.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// A pool of slots: one byte of the lock file for each. A process that is stopped (SIGSTOP) keeps its slot, and the
/// pool then gets one more to make up for it.
#[derive(Debug)]
struct Pool {
    file: LockFile,
    /// The offset of this machine's first slot.
    first: i64,
    size: usize,
    /// Which slots this process holds. Its own locks do not stop it from locking the same bytes again.
    taken: RefCell<Vec<bool>>,
    /// How many children run without a slot, because none was free for too long.
    without: Cell<usize>,
    /// How long a child waits for a slot.
    patience: Duration,
    /// Since when this process has waited, and when it next counts the slots of stopped processes.
    waiting: Cell<Option<(Instant, Instant)>>,
    /// Where the next attempt begins.
    next: Cell<usize>,
}

impl Pool {
    fn open(cache: &Path, size: usize, patience: Duration) -> io::Result<Self> {
        let file = LockFile::open(cache, FILE)?;
        let first = machine();
        // Fails if the file system has no such locks.
        file.is_locked(first)?;
        Ok(Self {
            file,
            first,
            size,
            taken: RefCell::new(vec![false; size]),
            without: Cell::new(0),
            patience,
            waiting: Cell::new(None),
            next: Cell::new(std::process::id() as usize % size),
        })
    }

    fn take(&self) -> bool {
        let is_granted = self.try_take() || self.take_late();
        if is_granted {
            self.waiting.set(None);
        }
        is_granted
    }

    /// Called if no slot is free. After a while it enlarges the pool by the slots that stopped processes hold; when
    /// patience runs out, it lets the child run without a slot.
    fn take_late(&self) -> bool {
        let now = Instant::now();
        let (since, look) = self.waiting.get().unwrap_or((now, now + FIRST_LOOK));
        self.waiting.set(Some((since, look)));
        if now.duration_since(since) >= self.patience {
            self.without.set(self.without.get() + 1);
            return true;
        }
        if now < look {
            return false;
        }
        let next = now + now.duration_since(since);
        self.waiting.set(Some((since, next)));
        let slots = self.first..self.first + MOST_SLOTS;
        let stopped = self.file.stopped();
        let stopped = stopped.iter().filter(|slot| slots.contains(slot)).count();
        let mut taken = self.taken.borrow_mut();
        // It never shrinks below a slot that this process holds.
        let smallest = taken
            .iter()
            .rposition(|taken| *taken)
            .map_or(0, |last| last + 1);
        taken.resize(smallest.max(self.size + stopped), false);
        drop(taken);
        self.try_take()
    }

    fn try_take(&self) -> bool {
        let mut taken = self.taken.borrow_mut();
        for _ in 0..taken.len().min(LOOK) {
            let at = self.next.get() % taken.len();
            self.next.set((at + 1) % taken.len());
            if taken[at] {
                continue;
            }
            // If locking fails with an error, every process may still run one child at a time.
            let is_locked = self.file.try_lock(self.offset(at));
            if is_locked.unwrap_or_else(|_| !taken.contains(&true)) {
                taken[at] = true;
                return true;
            }
        }
        false
    }

    fn give_back(&self) {
        let mut taken = self.taken.borrow_mut();
        if let Some(at) = taken.iter().position(|taken| *taken) {
            taken[at] = false;
            // If this fails, the end of the process releases the lock.
            let _ = self.file.unlock(self.offset(at));
        } else {
            self.without.set(self.without.get().saturating_sub(1));
        }
    }

    fn offset(&self, at: usize) -> i64 {
        self.first + at as i64
    }
}

/// How many slots of the pool in `cache` are held now, and how many it has; `None` if no compile has opened it yet. The
/// pool has `jobs` slots or one for each core, as for [`Slots::new`]. Takes no slot.
pub fn used_slots(cache: &Path, jobs: Option<NonZeroUsize>) -> Option<(usize, usize)> {
    let file = LockFile::open_to_look(cache, FILE).ok()?;
    let size = jobs.unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN));
    let first = machine();
    let offsets = (0..size.get()).map(|at| first + at as i64);
    let used = offsets.filter(|offset| file.is_locked(*offset).unwrap_or(false));
    Some((used.count(), size.get()))
}

/// The size of one machine's range in the lock file.
const MOST_SLOTS: i64 = 1 << 20;

/// The offset of this machine's slots in the lock file, which several machines may share on a network file system:
/// 42 bits of a digest of its boot id, each with room for a million slots.
fn machine() -> i64 {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digest = Sha256::digest(boot);
    let number = u64::from_be_bytes(std::array::from_fn(|at| digest[at]));
    ((number >> 22) << 20) as i64
}

#[cfg(test)]
mod tests {
    use super::{Chance, Slots, used_slots};
    use std::io::{Read, Write, pipe};
    use std::num::NonZeroUsize;
    use std::os::fd::AsRawFd;
    use std::path::Path;
    use std::time::Duration;

    fn slots(jobs: usize, cache: Option<&Path>) -> Slots {
        Slots::new(NonZeroUsize::new(jobs), cache, None)
    }

    #[test]
    fn pool_is_shared_by_all_who_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = [3, 3].map(|jobs| slots(jobs, Some(dir.path())));
        let first = one.take().unwrap();
        let _second = one.take().unwrap();
        let third = two.take().unwrap();
        assert!(one.take().is_none() && two.take().is_none());
        assert!(matches!(one.chance(), Chance::AnyTime));
        drop(third);
        let third = one.take().unwrap();
        assert!(two.take().is_none());
        drop(first);
        let _again = two.take().unwrap();
        drop(third);
        assert!(two.take().is_some());
    }

    #[test]
    fn slots_in_use_are_counted_and_none_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let used = || used_slots(dir.path(), NonZeroUsize::new(2));
        assert_eq!(used(), None);
        assert!(dir.path().read_dir().unwrap().next().is_none());
        let pool = slots(2, Some(dir.path()));
        let first = pool.take().unwrap();
        assert_eq!(used(), Some((1, 2)));
        let _second = pool.take().unwrap();
        assert_eq!(used(), Some((2, 2)));
        drop(first);
        assert_eq!(used(), Some((1, 2)));
    }

    #[test]
    fn every_slot_of_a_large_pool_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let pool = slots(100, Some(dir.path()));
        let mut held = Vec::new();
        for _ in 0..200 {
            held.extend(pool.take());
        }
        assert_eq!(held.len(), 100);
        let other = slots(100, Some(dir.path()));
        assert!((0..7).all(|_| other.take().is_none()));
        held.truncate(99);
        assert!((0..7).any(|_| other.take().is_some()));
    }

    #[test]
    fn larger_pool_of_another_process_adds_only_its_surplus() {
        let dir = tempfile::tempdir().unwrap();
        let [small, large] = [1, 2].map(|jobs| slots(jobs, Some(dir.path())));
        let _only = small.take().unwrap();
        let _more = large.take().unwrap();
        assert!(small.take().is_none() && large.take().is_none());
    }

    #[test]
    fn child_that_has_waited_long_enough_runs_without_a_slot() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = [1, 1].map(|jobs| slots(jobs, Some(dir.path())));
        let two = two.with_patience(Duration::ZERO);
        let only = one.take().unwrap();
        let without = [two.take().unwrap(), two.take().unwrap()];
        assert!(one.take().is_none());
        drop(only);
        drop(without);
        let _only = two.take().unwrap();
        assert!(one.take().is_none());
    }

    #[test]
    fn without_a_cache_or_locks_every_process_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("locks/slots")).unwrap();
        let missing = dir.path().join("nothing");
        for cache in [None, Some(missing.as_path()), Some(dir.path())] {
            let [one, two] = [2, 2].map(|jobs| slots(jobs, cache));
            let held = [one.take(), one.take(), two.take(), two.take()];
            assert!(held.iter().all(Option::is_some), "{cache:?}");
            assert!(one.take().is_none() && two.take().is_none());
            assert!(matches!(one.chance(), Chance::Ours));
        }
    }

    #[test]
    fn first_child_under_make_needs_no_token_and_tokens_go_back_first() {
        let (mut reader, mut writer) = pipe().unwrap();
        writer.write_all(b"ab").unwrap();
        let flags = format!(
            "-j3 --jobserver-auth={},{}",
            reader.as_raw_fd(),
            writer.as_raw_fd()
        );
        let slots = Slots::new(None, None, Some(flags.into()));
        let first = slots.take().unwrap();
        let second = slots.take().unwrap();
        let third = slots.take().unwrap();
        assert!(slots.take().is_none());
        // The process's own slot moves to a child that holds a token.
        drop(first);
        drop(second);
        let mut returned = [0; 2];
        reader.read_exact(&mut returned).unwrap();
        returned.sort_unstable();
        assert_eq!(&returned, b"ab");
        assert!(slots.take().is_none());
        drop(third);
        assert!(slots.take().is_some());
    }

    #[test]
    fn jobserver_that_make_keeps_to_itself_leaves_one_child_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let flags = "-j3 --jobserver-auth=-2,-2".into();
        let slots = Slots::new(NonZeroUsize::new(4), Some(dir.path()), Some(flags));
        let only = slots.take().unwrap();
        assert!(slots.take().is_none());
        assert!(matches!(slots.chance(), Chance::Ours));
        drop(only);
        assert!(slots.take().is_some());
        assert!(!dir.path().join("locks").exists());
    }
}
