//! A page of shared words: 8 bytes each, in a file that is mapped by every process of a cache.
//! Makes a missing page, replaces a damaged one, leaves a newer version's alone. Does not know what
//! the words count.

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::{DirBuilder, File, Permissions, set_permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// One sort of page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// Its file in the cache directory.
    pub(super) name: &'static str,
    /// Read as a number in the machine's byte order: a page from a machine of the other order is
    /// damaged, as far as this one can tell.
    pub(super) magic: u64,
    /// Words, those of the header included.
    pub(super) words: usize,
}

impl Format {
    const fn bytes(&self) -> usize {
        self.words * 8
    }
}

const VERSION: u32 = 1;

/// How often a page that others are replacing is looked at again, a millisecond apart. Replacing
/// takes no second, unless its process was stopped: then this one counts into nowhere.
const ATTEMPTS: u32 = 1000;

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
    Private(Box<[AtomicU64]>),
}

impl Page {
    /// The page of the cache in `dir`, or a private one.
    pub(super) fn open(dir: &Path, format: Format, missing: Missing) -> Self {
        // A relative or empty path means that no cache directory is known.
        if !dir.is_absolute() {
            return Self::private(format);
        }
        match open_shared(dir, format, missing) {
            Ok(mapping) => Self::Shared(mapping),
            Err(_) => Self::private_copy(dir, format).unwrap_or_else(|_| Self::private(format)),
        }
    }

    /// Zeros that no other process sees.
    pub(super) fn private(format: Format) -> Self {
        Self::Private((0..format.words).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        match self {
            Self::Shared(mapping) => mapping.words(),
            Self::Private(words) => words,
        }
    }

    /// The values of a page that can be read but not written, so that statistics of a read-only
    /// cache can be shown.
    fn private_copy(dir: &Path, format: Format) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(format.bytes());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = open_file(dir, format, flags)?;
        let most = format.bytes() as u64 + 1;
        file.take(most).read_to_end(&mut bytes)?;
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(std::array::from_fn(|i| word[i])))
            .collect();
        let is_whole = bytes.len() == format.bytes();
        if !is_whole || words[0] != format.magic || words[1] != version_word(VERSION) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self::Private(
            words.into_iter().map(AtomicU64::new).collect(),
        ))
    }
}

/// A mapped page; unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    first: NonNull<AtomicU64>,
    format: Format,
}

// SAFETY: the mapping belongs to no thread, and its words are only reached as atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives nothing but `&[AtomicU64]`, which is `Sync`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a regular file of exactly the format's size.
    fn new(file: &File, format: Format) -> io::Result<Self> {
        // SAFETY: the kernel picks a free address range, so no memory of ours is replaced.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                format.bytes(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        let first = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, format })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, holds this many words and lives as long as `self`; any
        // bit pattern is a valid word, and other processes change it through atomics as well. The
        // file is never shortened by any version: it is written whole, then only replaced by rename.
        // (Another program that shortens it gets us a SIGBUS, which is an end, not a wrong value.)
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.format.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` with this length, and no reference outlives `self`.
        // An error would leave the page mapped until the process ends, which harms nobody.
        let _ = unsafe { munmap(self.first.as_ptr().cast(), self.format.bytes()) };
    }
}

/// What was found in a page's header.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    Ours,
    Newer,
    Damaged,
}

fn open_shared(dir: &Path, format: Format, missing: Missing) -> io::Result<Mapping> {
    for _ in 0..ATTEMPTS {
        let file = match open_file(dir, format, OFlags::RDWR | OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Create => {
                create(dir, format)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (header, mapping) = examine(&file, format)?;
        match (header, mapping) {
            (Header::Ours, Some(mapping)) => return Ok(mapping),
            (Header::Newer, _) => return Err(io::ErrorKind::Unsupported.into()),
            _ => replace(dir, format, &file)?,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn open_file(dir: &Path, format: Format, access: OFlags) -> io::Result<File> {
    // A symlink is nothing that this program made, and could make others' files grow counters.
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(dir.join(format.name), flags, Mode::empty())?;
    Ok(File::from(file))
}

/// Reads the header. A mapping comes with every file of the right kind and size.
fn examine(file: &File, format: Format) -> io::Result<(Header, Option<Mapping>)> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != format.bytes() as u64 {
        return Ok((Header::Damaged, None));
    }
    let mapping = Mapping::new(file, format)?;
    let magic = mapping.words()[0].load(Ordering::Relaxed);
    let version = mapping.words()[1].load(Ordering::Relaxed);
    Ok((read_header(format, magic, version), Some(mapping)))
}

fn read_header(format: Format, magic: u64, version: u64) -> Header {
    let number = (version >> 32) as u32;
    if magic != format.magic || version != version_word(number) || number == 0 {
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
fn create(dir: &Path, format: Format) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match fresh_page(dir, format)?.persist_noclobber(dir.join(format.name)) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

/// Puts a new page in the place of a damaged one. The lock is on the damaged file, so that of
/// several processes that see the damage one replaces it and none replaces the replacement.
fn replace(dir: &Path, format: Format, damaged: &File) -> io::Result<()> {
    match flock(damaged, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            sleep(Duration::from_millis(1));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let path = dir.join(format.name);
    let held = damaged.metadata()?;
    match std::fs::symlink_metadata(&path) {
        Ok(now) if (now.dev(), now.ino()) == (held.dev(), held.ino()) => {}
        // Replaced or removed meanwhile: look again.
        _ => return Ok(()),
    }
    fresh_page(dir, format)?
        .persist(path)
        .map_err(|error| error.error)?;
    Ok(())
}

/// A page of zeros in `tmp/`. All of it is written: a hole would be filled on first use, and a disk
/// that is full at that moment would kill the process.
fn fresh_page(dir: &Path, format: Format) -> io::Result<tempfile::NamedTempFile> {
    let tmp = dir.join("tmp");
    // Who may use the root may use what is in it, whatever the umask.
    let mode = std::fs::metadata(dir)?.permissions().mode();
    let is_shared = mode & 0o077 != 0;
    match DirBuilder::new().mode(0o700).create(&tmp) {
        Ok(()) if is_shared => set_permissions(&tmp, Permissions::from_mode(mode & 0o2777))?,
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut bytes = vec![0; format.bytes()];
    bytes[..8].copy_from_slice(&format.magic.to_ne_bytes());
    bytes[8..16].copy_from_slice(&version_word(VERSION).to_ne_bytes());
    let mut file = tempfile::Builder::new()
        .prefix(super::PAGE_PREFIX)
        .tempfile_in(tmp)?;
    if is_shared {
        file.as_file()
            .set_permissions(Permissions::from_mode(mode & 0o666))?;
    }
    file.write_all(&bytes)?;
    Ok(file)
}
