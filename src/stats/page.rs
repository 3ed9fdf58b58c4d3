//! A page of shared words: 8 bytes each, in a file that every process of a cache opens. Creates a missing page,
//! replaces a damaged one, leaves a newer version's alone.
//!
//! The file is read and written, not mapped: truncating a mapped file would end every process that reads
//! the mapping.

use crate::files::{HeaderState, Held, RightsKind, Root, read_header, version_word, write_fresh};
use crate::lock::{self, ByteRange};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, yield_now};
use std::time::Duration;

/// The format of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageFormat {
    /// The name of its file in the cache directory.
    pub(super) name: &'static str,
    /// Read as a number in the machine's byte order, so a page from a machine of the other byte order looks
    /// damaged.
    pub(super) magic: u64,
    /// Number of words, including those of the header.
    pub(super) words: usize,
}

impl PageFormat {
    const fn bytes(&self) -> usize {
        self.words * 8
    }
}

const VERSION: u32 = 1;

/// How often opening is tried again while others replace the page, with a pause each time.
const ATTEMPTS: u32 = 1000;

/// How often locking words is tried again without a pause, and then with one, while another process changes them. A
/// change takes microseconds, or some time slices on a busy machine.
const AT_ONCE: u32 = 100;
const LATER: u32 = 5;
const PAUSE: Duration = Duration::from_millis(1);

/// The further pauses that this process may make, for all words of all pages together. After a second, the lock must
/// be that of a stopped process or a stranger, and there may be one on every word: then this process does not count
/// any more.
static PAUSES: AtomicU32 = AtomicU32::new(1000);

/// Pauses, unless this process has already waited for a second in all. Returns whether it did.
fn pause() -> bool {
    let remaining = PAUSES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |remaining| {
        remaining.checked_sub(1)
    });
    if remaining.is_ok() {
        sleep(PAUSE);
    }
    remaining.is_ok()
}

/// What to do if there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingPage {
    /// Create the directory and the page.
    Create,
    /// Count only in the memory of this process.
    Leave,
}

/// Counter words, shared or not.
#[derive(Debug)]
pub(super) enum Page {
    Shared(Shared),
    Private(Mutex<Vec<u64>>),
}

impl Page {
    /// The page of the cache in `root`, or a private one.
    pub(super) fn open(root: &Root, format: PageFormat, missing: MissingPage) -> Self {
        // A relative or empty path means that no cache directory is known.
        if !root.path.is_absolute() {
            return Self::private(format);
        }
        match open_shared(root, format, missing) {
            Ok(shared) => Self::Shared(shared),
            Err(_) => Self::private_copy(root, format).unwrap_or_else(|_| Self::private(format)),
        }
    }

    /// A page of zeros that no other process sees.
    pub(super) fn private(format: PageFormat) -> Self {
        Self::Private(Mutex::new(vec![0; format.words]))
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// `N` words from `first` on. Zeros if the file cannot be read any more.
    pub(super) fn read<const N: usize>(&self, first: usize) -> [u64; N] {
        let mut words = [0; N];
        match self {
            Self::Shared(shared) => {
                // Drops words that were read before the error.
                if read_words(&shared.held(), first, &mut words).is_err() {
                    words = [0; N];
                }
            }
            Self::Private(page) => words.copy_from_slice(&locked(page)[first..first + N]),
        }
        words
    }

    /// Every word.
    pub(super) fn all(&self, format: PageFormat) -> Vec<u64> {
        match self {
            Self::Shared(shared) => {
                let mut words = vec![0; format.words];
                let read = read_words(&shared.held(), 0, &mut words);
                read.map_or_else(|_| vec![0; format.words], |()| words)
            }
            Self::Private(page) => locked(page).clone(),
        }
    }

    /// Changes `N` words from `first` on, under a lock against other processes. Returns the result of `change`;
    /// `None` if the words could not be locked, read or written.
    pub(super) fn change<const N: usize, T>(
        &self,
        first: usize,
        change: impl FnOnce(&mut [u64; N]) -> T,
    ) -> Option<T> {
        match self {
            Self::Shared(shared) => shared.change(first, change),
            Self::Private(page) => {
                let mut page = locked(page);
                let words = page[first..first + N].first_chunk_mut()?;
                Some(change(words))
            }
        }
    }

    /// A private copy of a page that can be read but not written, so that statistics of a read-only
    /// cache can be shown.
    fn private_copy(root: &Root, format: PageFormat) -> io::Result<Self> {
        let file = root.open_regular(format.name, OFlags::RDONLY)?;
        match examine(&file, format)? {
            HeaderState::Ours => {
                let mut words = vec![0; format.words];
                read_words(&file, 0, &mut words)?;
                Ok(Self::Private(Mutex::new(words)))
            }
            HeaderState::Newer | HeaderState::Damaged => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// An open page.
#[derive(Debug)]
pub(super) struct Shared {
    /// A mutex, because the file's locks belong to the open file, which all threads share.
    file: Mutex<File>,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, File> {
        locked(&self.file)
    }

    fn change<const N: usize, T>(
        &self,
        first: usize,
        change: impl FnOnce(&mut [u64; N]) -> T,
    ) -> Option<T> {
        let file = self.held();
        let bytes = ByteRange {
            first: (first * 8) as i64,
            count: (N * 8) as i64,
        };
        let is_locked = self.lock(&file, bytes)?;
        let mut words = [0; N];
        let changed = read_words(&file, first, &mut words).and_then(|()| {
            let before = words;
            let result = change(&mut words);
            // If the words do not reach the disk, or only in part, their next reader notices it.
            if words != before {
                write_words(&file, first, &words)?;
            }
            Ok(result)
        });
        if is_locked {
            // If this fails, closing the file releases the lock.
            let _ = lock::unlock(&*file, bytes);
        }
        changed.ok()
    }

    /// Locks the words. `Some(false)` if the file system has no locks: counting is then only nearly right. `None` if
    /// others keep them locked.
    fn lock(&self, file: &File, bytes: ByteRange) -> Option<bool> {
        for attempt in 0.. {
            match lock::try_lock(file, bytes) {
                Ok(true) => return Some(true),
                Ok(false) if attempt < AT_ONCE => yield_now(),
                Ok(false) if attempt < AT_ONCE + LATER => sleep(PAUSE),
                Ok(false) if pause() => {}
                Ok(false) => break,
                Err(_) => return Some(false),
            }
        }
        None
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_words(file: &File, first: usize, words: &mut [u64]) -> io::Result<()> {
    let mut bytes = vec![0; words.len() * 8];
    file.read_exact_at(&mut bytes, (first * 8) as u64)?;
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(std::array::from_fn(|at| bytes[at]));
    }
    Ok(())
}

fn write_words(file: &File, first: usize, words: &[u64]) -> io::Result<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    file.write_all_at(&bytes, (first * 8) as u64)
}

fn open_shared(root: &Root, format: PageFormat, missing: MissingPage) -> io::Result<Shared> {
    for _ in 0..ATTEMPTS {
        // Does not follow a symlink: this program creates none, and one could let counters overwrite another file.
        let file = match root.open_regular(format.name, OFlags::RDWR) {
            Ok(file) => file,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && missing == MissingPage::Create =>
            {
                create(root, format)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        match examine(&file, format)? {
            HeaderState::Ours => {
                return Ok(Shared {
                    file: Mutex::new(file),
                });
            }
            HeaderState::Newer => return Err(io::ErrorKind::Unsupported.into()),
            HeaderState::Damaged => replace(root, format, &file)?,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Reads the header of a regular file.
fn examine(file: &File, format: PageFormat) -> io::Result<HeaderState> {
    if file.metadata()?.len() != format.bytes() as u64 {
        return Ok(HeaderState::Damaged);
    }
    let mut words = [0; 2];
    read_words(file, 0, &mut words)?;
    Ok(read_header(words, format.magic, VERSION))
}

/// Creates directory and page. Succeeds too if another process was faster.
fn create(root: &Root, format: PageFormat) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&root.path)?;
    match write_page(root, format, Held::Kept) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Replaces a damaged page with a new one. Locks the damaged file, so that only one of several processes
/// that see the damage replaces it, and none replaces the new page.
fn replace(root: &Root, format: PageFormat, damaged: &File) -> io::Result<()> {
    match flock(damaged, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) if pause() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let old = damaged.metadata()?;
    match std::fs::symlink_metadata(root.path.join(format.name)) {
        Ok(now) if (now.dev(), now.ino()) == (old.dev(), old.ino()) => {}
        // Another process has replaced or removed it meanwhile: the caller opens the page again.
        _ => return Ok(()),
    }
    write_page(root, format, Held::Replaced)
}

/// Writes a page whose words are zero.
fn write_page(root: &Root, format: PageFormat, held: Held) -> io::Result<()> {
    let mut bytes = vec![0; format.bytes()];
    bytes[..8].copy_from_slice(&format.magic.to_ne_bytes());
    bytes[8..16].copy_from_slice(&version_word(VERSION).to_ne_bytes());
    let root = root.reopen()?;
    write_fresh(
        &root,
        (&root, format.name),
        RightsKind::Shared,
        &bytes,
        held,
    )
}
