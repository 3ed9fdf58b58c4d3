//! A page of shared words: 8 bytes each, in a file that every process of a cache opens. Makes a missing page,
//! replaces a damaged one, leaves a newer version's alone.
//!
//! The file is read and written, not mapped: another program that shortens a mapped file ends every
//! process that looks at it.

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

/// One sort of page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageFormat {
    /// Its file in the cache directory.
    pub(super) name: &'static str,
    /// Read as a number in the machine's byte order: a page from a machine of the other order is
    /// damaged, as far as this one can tell.
    pub(super) magic: u64,
    /// Words, those of the header included.
    pub(super) words: usize,
}

impl PageFormat {
    const fn bytes(&self) -> usize {
        self.words * 8
    }
}

const VERSION: u32 = 1;

/// How often a page that others are replacing is looked at again, a pause apart.
const ATTEMPTS: u32 = 1000;

/// How often words that another process is changing are tried again at once, and then after a pause. A
/// change takes microseconds, and on a busy machine some time slices.
const AT_ONCE: u32 = 100;
const LATER: u32 = 5;
const PAUSE: Duration = Duration::from_millis(1);

/// The pauses that this process may still make beyond these, for all words of all pages: what takes a second is
/// a stopped process, or a stranger's lock, of which there may be one on every word. Then this process counts
/// into nowhere.
static PAUSES: AtomicU32 = AtomicU32::new(1000);

/// Pauses, if this process has waited for less than a second in all.
fn pause() -> bool {
    let left = PAUSES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    });
    if left.is_ok() {
        sleep(PAUSE);
    }
    left.is_ok()
}

/// What to do when there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingPage {
    /// Make the directory and the page.
    Create,
    /// Count into nowhere.
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

    /// Zeros that no other process sees.
    pub(super) fn private(format: PageFormat) -> Self {
        Self::Private(Mutex::new(vec![0; format.words]))
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Words in a row, from `first` on. Zeros where the file cannot be read any more.
    pub(super) fn read<const N: usize>(&self, first: usize) -> [u64; N] {
        let mut words = [0; N];
        match self {
            Self::Shared(shared) => {
                // What was read in part is worth nothing.
                if read_words(&shared.held(), first, &mut words).is_err() {
                    words = [0; N];
                }
            }
            Self::Private(held) => words.copy_from_slice(&locked(held)[first..first + N]),
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
            Self::Private(held) => locked(held).clone(),
        }
    }

    /// Changes words in a row, from `first` on, while no other process does. Gives what `change` gives, or
    /// nothing where the words could not be had: then nothing has changed.
    pub(super) fn change<const N: usize, T>(
        &self,
        first: usize,
        change: impl FnOnce(&mut [u64; N]) -> T,
    ) -> Option<T> {
        match self {
            Self::Shared(shared) => shared.change(first, change),
            Self::Private(held) => {
                let mut held = locked(held);
                let words = held[first..first + N].first_chunk_mut()?;
                Some(change(words))
            }
        }
    }

    /// The values of a page that can be read but not written, so that statistics of a read-only
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
    /// One thread at a time: the locks below are the open file's, which threads share.
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
            let given = change(&mut words);
            // What is not on the disk, or only in part, is noticed by its next reader.
            if words != before {
                write_words(&file, first, &words)?;
            }
            Ok(given)
        });
        if is_locked {
            // Should this fail, closing is what is left.
            let _ = lock::unlock(&*file, bytes);
        }
        changed.ok()
    }

    /// Whether the words are locked; `None` where they cannot be had. File systems without locks count
    /// nearly right.
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
        // A symlink is nothing that this program made, and could make others' files grow counters.
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

/// Makes directory and page. That another process was faster is no error.
fn create(root: &Root, format: PageFormat) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&root.path)?;
    match write_page(root, format, Held::Kept) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Puts a new page in the place of a damaged one. The lock is on the damaged file, so that of
/// several processes that see the damage one replaces it and none replaces the replacement.
fn replace(root: &Root, format: PageFormat, damaged: &File) -> io::Result<()> {
    match flock(damaged, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) if pause() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let held = damaged.metadata()?;
    match std::fs::symlink_metadata(root.path.join(format.name)) {
        Ok(now) if (now.dev(), now.ino()) == (held.dev(), held.ino()) => {}
        // Replaced or removed meanwhile: look again.
        _ => return Ok(()),
    }
    write_page(root, format, Held::Replaced)
}

/// A page of zeros.
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
