//! The counter page: 512 words of 8 bytes in a file that is mapped by every process of a cache.
//! Makes a missing page, replaces a damaged one, leaves a newer version's alone. Does not know what
//! the words count.

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// Words in a page, header included.
pub(super) const WORDS: usize = 512;
const BYTES: usize = WORDS * 8;

/// Read as a number in the machine's byte order: a page from a machine of the other order is
/// damaged, as far as this one can tell.
const MAGIC: u64 = u64::from_be_bytes(*b"PCACHECT");
const VERSION: u32 = 1;

/// How often a page that others are replacing is looked at again, a millisecond apart. Replacing
/// takes no second, unless its process was stopped: then this one counts into nowhere.
const ATTEMPTS: u32 = 1000;

type Words = [AtomicU64; WORDS];

/// What to do when there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make the directory and the page.
    Create,
    /// Count into nowhere.
    Leave,
}

/// Counter words, shared or not.
#[derive(Debug)]
pub(super) enum Page {
    Shared(Mapping),
    Private(Box<Words>),
}

impl Page {
    /// The page of the cache in `dir`, or a private one.
    pub(super) fn open(dir: &Path, missing: Missing) -> Self {
        // A relative or empty path means that no cache directory is known.
        if !dir.is_absolute() {
            return Self::private();
        }
        match open_shared(dir, missing) {
            Ok(mapping) => Self::Shared(mapping),
            Err(_) => Self::private_copy(dir).unwrap_or_else(|_| Self::private()),
        }
    }

    /// Zeros that no other process sees.
    pub(super) fn private() -> Self {
        Self::Private(Box::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    pub(super) fn words(&self) -> &Words {
        match self {
            Self::Shared(mapping) => mapping.words(),
            Self::Private(words) => words,
        }
    }

    /// The values of a page that can be read but not written, so that statistics of a read-only
    /// cache can be shown.
    fn private_copy(dir: &Path) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(BYTES);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = open_file(dir, flags)?;
        file.take(BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(std::array::from_fn(|i| word[i])))
            .collect();
        if bytes.len() != BYTES || words[0] != MAGIC || words[1] != version_word(VERSION) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let copy = |slot: usize| AtomicU64::new(words[slot]);
        Ok(Self::Private(Box::new(std::array::from_fn(copy))))
    }
}

/// A mapped page; unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    words: NonNull<Words>,
}

// SAFETY: the mapping belongs to no thread, and its words are only reached as atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives nothing but `&[AtomicU64; WORDS]`, which is `Sync`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a regular file of exactly `BYTES` bytes.
    fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the kernel picks a free address range, so no memory of ours is replaced.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        let words = NonNull::new(address.cast::<Words>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { words })
    }

    fn words(&self) -> &Words {
        // SAFETY: the mapping is page-aligned, `BYTES` long and lives as long as `self`; any bit
        // pattern is a valid word, and other processes change it through atomics as well. The file
        // is never shortened by any version: it is written whole, then only replaced by rename.
        // (Another program that shortens it gets us a SIGBUS, which is an end, not a wrong value.)
        unsafe { self.words.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` with this length, and no reference outlives `self`.
        // An error would leave the page mapped until the process ends, which harms nobody.
        let _ = unsafe { munmap(self.words.as_ptr().cast(), BYTES) };
    }
}

/// What was found in a page's header.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    Ours,
    Newer,
    Damaged,
}

fn open_shared(dir: &Path, missing: Missing) -> io::Result<Mapping> {
    for _ in 0..ATTEMPTS {
        let file = match open_file(dir, OFlags::RDWR | OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Create => {
                create(dir)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (header, mapping) = examine(&file)?;
        match (header, mapping) {
            (Header::Ours, Some(mapping)) => return Ok(mapping),
            (Header::Newer, _) => return Err(io::ErrorKind::Unsupported.into()),
            _ => replace(dir, &file)?,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn open_file(dir: &Path, access: OFlags) -> io::Result<File> {
    // A symlink is nothing that this program made, and could make others' files grow counters.
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(dir.join("counters"), flags, Mode::empty())?;
    Ok(File::from(file))
}

/// Reads the header. A mapping comes with every file of the right kind and size.
fn examine(file: &File) -> io::Result<(Header, Option<Mapping>)> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != BYTES as u64 {
        return Ok((Header::Damaged, None));
    }
    let mapping = Mapping::new(file)?;
    let magic = mapping.words()[0].load(Ordering::Relaxed);
    let version = mapping.words()[1].load(Ordering::Relaxed);
    Ok((read_header(magic, version), Some(mapping)))
}

fn read_header(magic: u64, version: u64) -> Header {
    let number = (version >> 32) as u32;
    if magic != MAGIC || version != version_word(number) || number == 0 {
        Header::Damaged
    } else if number > VERSION {
        Header::Newer
    } else {
        // There is no older version; the first change of the layout handles version 1 here.
        Header::Ours
    }
}

/// The version beside its complement, so that a flipped bit does not look like a newer version.
pub(super) const fn version_word(version: u32) -> u64 {
    ((version as u64) << 32) | (!version as u64)
}

/// Makes directory and page. That somebody else was faster is no error.
fn create(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match fresh_page(dir)?.persist_noclobber(dir.join("counters")) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

/// Puts a new page in the place of a damaged one. The lock is on the damaged file, so that of
/// several processes that see the damage one replaces it and none replaces the replacement.
fn replace(dir: &Path, damaged: &File) -> io::Result<()> {
    match flock(damaged, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            sleep(Duration::from_millis(1));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let path = dir.join("counters");
    let held = damaged.metadata()?;
    match std::fs::symlink_metadata(&path) {
        Ok(now) if (now.dev(), now.ino()) == (held.dev(), held.ino()) => {}
        // Replaced or removed meanwhile: look again.
        _ => return Ok(()),
    }
    fresh_page(dir)?
        .persist(path)
        .map_err(|error| error.error)?;
    Ok(())
}

/// A page of zeros in `tmp/`. All of it is written: a hole would be filled on first use, and a disk
/// that is full at that moment would kill the process.
fn fresh_page(dir: &Path) -> io::Result<tempfile::NamedTempFile> {
    let tmp = dir.join("tmp");
    match DirBuilder::new().mode(0o700).create(&tmp) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut bytes = vec![0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC.to_ne_bytes());
    bytes[8..16].copy_from_slice(&version_word(VERSION).to_ne_bytes());
    let mut file = tempfile::Builder::new()
        .prefix(super::PAGE_PREFIX)
        .permissions(PermissionsExt::from_mode(0o666))
        .tempfile_in(tmp)?;
    file.write_all(&bytes)?;
    Ok(file)
}
