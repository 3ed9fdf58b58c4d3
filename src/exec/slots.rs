//! Who may run a child now. A slot is GNU make's where make gives them out, else one of a pool that all processes
//! share which use the same cache on this machine.
//!
//! A process holds a slot only while its child runs, so that no holder waits for another's slot.
//! `docs/design/architecture.md#who-runs-when` has the why.

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

/// How many slots of the pool one look tries, and goes on from there at the next: where many wait for
/// a large pool, each needs not see all of it.
const LOOK: usize = 16;

/// How long a child waits for a slot where nothing else is said.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(300);

/// The slots that this process may take. Nothing is looked at or made before one is wanted.
#[derive(Debug)]
pub struct Slots {
    jobs: Option<NonZeroUsize>,
    cache: Option<PathBuf>,
    makeflags: Option<OsString>,
    patience: Duration,
    supply: OnceCell<Supply>,
}

/// Leave to run one child, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    supply: &'a Supply,
}

/// When a slot may be had that could not be had a moment ago.
pub(super) enum Chance<'a> {
    /// When a child of our own has ended.
    Ours,
    /// Also when this can be read.
    Readable(BorrowedFd<'a>),
    /// At any time, and nothing tells.
    AnyTime,
}

impl Slots {
    /// Slots of the jobserver that `makeflags` names, as make gives them to its children; else of the
    /// pool of the cache in `cache`, which has `jobs`, or one for each core that this process may use;
    /// else as many of this process's own.
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
    /// What a child must inherit to keep the slot, should we be killed before it has ended.
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
    /// How many are free.
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
                .map(|left| free.set(left))
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

/// What make has given us: the slot in which it started this process, and tokens for more.
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

    /// Tokens first, whichever child has ended: other processes can use them, and our own slot they cannot.
    fn give_back(&self) {
        match self.tokens.borrow_mut().pop() {
            Some(token) => self.server.give_back(token),
            None => self.is_busy.set(false),
        }
    }
}

/// How long a process waits before it looks for slots that stopped processes have; doubled with each look.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// One byte of the lock file for each slot. A process that is stopped keeps its slot, which others then have one
/// more of.
#[derive(Debug)]
struct Pool {
    file: LockFile,
    /// The offset of this machine's first slot.
    first: i64,
    size: usize,
    /// Which ones this process has. To the system they look free to it.
    taken: RefCell<Vec<bool>>,
    /// How many children run without a slot, since none was to be had for too long.
    without: Cell<usize>,
    /// How long a child waits for a slot.
    patience: Duration,
    /// Since when this process has waited, and when it looks for stopped ones.
    waiting: Cell<Option<(Instant, Instant)>>,
    /// Where the next look begins.
    next: Cell<usize>,
}

impl Pool {
    fn open(cache: &Path, size: usize, patience: Duration) -> io::Result<Self> {
        let file = LockFile::open(cache, FILE)?;
        let first = machine();
        // Whether there are such locks at all.
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

    /// After a while, slots of stopped processes are made up for; in the end, the child runs without one.
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
        let held = taken
            .iter()
            .rposition(|taken| *taken)
            .map_or(0, |at| at + 1);
        taken.resize(held.max(self.size + stopped), false);
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
            // Where locks break, one child at a time is what every process may always run.
            let granted = self.file.try_lock(self.offset(at));
            if granted.unwrap_or_else(|_| !taken.contains(&true)) {
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
            // Should this fail, the end of the process does it.
            let _ = self.file.unlock(self.offset(at));
        } else {
            self.without.set(self.without.get().saturating_sub(1));
        }
    }

    fn offset(&self, at: usize) -> i64 {
        self.first + at as i64
    }
}

/// Room for the slots of one machine.
const MOST_SLOTS: i64 = 1 << 20;

/// Where the slots of this machine begin in the lock file, which a network file system may show to
/// many: 42 bits of its boot's own number, with room for a million slots.
fn machine() -> i64 {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digest = Sha256::digest(boot);
    let number = u64::from_be_bytes(std::array::from_fn(|at| digest[at]));
    ((number >> 22) << 20) as i64
}

#[cfg(test)]
mod tests {
    use super::{Chance, Slots};
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
