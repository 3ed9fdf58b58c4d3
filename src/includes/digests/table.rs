//! The file of the digest table: made, checked, mapped for reading, written slot by slot. Does not
//! know what a digest is of, nor when one may be remembered.

use super::file_system::Trust;
use super::slot::{Boot, INODE, SLOT_WORDS, SLOTS, SlotWords, Subject};
use crate::key::Digest;
use crate::stats::PAGE_PREFIX;
use rustix::fs::{Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::{Resource, getrlimit};
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "digests";

/// The header has as much room as a group of slots, so that groups are not split by page faults.
const HEADER_WORDS: usize = 8192;
const WORDS: usize = HEADER_WORDS + SLOTS * SLOT_WORDS;
pub(super) const BYTES: usize = WORDS * 8;

/// Read as a number in the machine's byte order: a table from a machine of the other order is
/// damaged, as far as this one can tell.
const MAGIC: u64 = u64::from_be_bytes(*b"PCACHEDG");
const VERSION: u32 = 1;
const HEADER: [u64; 4] = [
    MAGIC,
    version_word(VERSION),
    SLOTS as u64,
    SLOT_WORDS as u64,
];

/// How often a table that is missing or damaged is made before this process does without.
const ATTEMPTS: u32 = 3;

/// What to do when there is no good table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make one.
    Create,
    /// Do without.
    Leave,
}

/// Removes the file; its size. What is no regular file is none of ours.
pub(super) fn remove(dir: &Path) -> io::Result<u64> {
    let path = dir.join(NAME);
    let removed = std::fs::symlink_metadata(&path).and_then(|found| match found.is_file() {
        true => std::fs::remove_file(&path).map(|()| found.len()),
        false => Ok(0),
    });
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        removed => removed,
    }
}

/// A mapped table of this boot.
#[derive(Debug)]
pub(super) struct Table {
    mapping: Mapping,
    /// Where slots are written; `None` for a table that is only read.
    file: Option<File>,
    /// Whether the limit on file sizes admits that: asked before the first of them.
    may_write: OnceLock<bool>,
    boot: Boot,
}

impl Table {
    /// The table of the cache in `dir`.
    pub(super) fn open(dir: &Path, missing: Missing) -> io::Result<Self> {
        // A relative or empty path means that no cache directory is known.
        if !dir.is_absolute() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let boot = read_boot()?;
        for _ in 0..ATTEMPTS {
            let (file, access) = match open_file(dir, missing) {
                Ok(opened) => opened,
                Err(error) if error.kind() == ErrorKind::NotFound && missing == Missing::Create => {
                    create(dir)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match examine(&file)? {
                (Header::Ours, Some(mapping)) => {
                    let file = (access == Access::ReadWrite).then_some(file);
                    return Ok(Self {
                        mapping,
                        file,
                        may_write: OnceLock::new(),
                        boot,
                    });
                }
                (Header::Newer, _) => return Err(ErrorKind::Unsupported.into()),
                _ if access == Access::ReadOnly => return Err(ErrorKind::InvalidData.into()),
                _ => replace(dir)?,
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    pub(super) fn boot(&self) -> Boot {
        self.boot
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable().is_some()
    }

    fn writable(&self) -> Option<&File> {
        let file = self.file.as_ref()?;
        self.may_write.get_or_init(may_write_so_far).then_some(file)
    }

    pub(super) fn get(&self, subject: &Subject) -> Option<Digest> {
        let inode = subject.inode();
        subject
            .places()
            .filter(|&place| self.word(place, INODE) == inode)
            .find_map(|place| subject.digest_in(&self.slot(place)))
    }

    /// Remembers `digest`, in the place of something that is worth less if possible. Of two
    /// processes that choose the same slot, one writes for nothing.
    pub(super) fn put(&self, subject: &Subject, digest: &Digest) {
        let Some(file) = self.writable() else {
            return;
        };
        let words = subject.slot(digest);
        let places: Vec<usize> = subject.places().collect();
        let is_free = |place: &&usize| subject.supersedes(&self.slot(**place));
        // Where all is taken somebody has to go. Readers leave no mark, so nobody knows who is
        // needed least; the checksum is as good as dice.
        let victim = places[words[0] as usize % places.len()];
        let place = places.iter().find(is_free).copied().unwrap_or(victim);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let offset = (HEADER_WORDS + place * SLOT_WORDS) * 8;
        // Written through the descriptor: a full disk is an error here, where a mapping on a file
        // system that writes elsewhere (Btrfs, ZFS) would make it a SIGBUS. What could not be
        // written is forgotten, what was written in part fails its checksum.
        let _ = file.write_all_at(&bytes, offset as u64);
    }

    fn slot(&self, place: usize) -> SlotWords {
        std::array::from_fn(|at| self.word(place, at))
    }

    fn word(&self, place: usize, at: usize) -> u64 {
        // Nothing is ordered by this load: a slot is believed by its checksum alone.
        self.mapping.words()[HEADER_WORDS + place * SLOT_WORDS + at].load(Ordering::Relaxed)
    }
}

/// A table mapped for reading; unmapped when dropped.
#[derive(Debug)]
struct Mapping {
    words: NonNull<[AtomicU64; WORDS]>,
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
                ProtFlags::READ,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        let words = NonNull::new(address.cast()).ok_or(ErrorKind::OutOfMemory)?;
        Ok(Self { words })
    }

    fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: the mapping is page-aligned, `BYTES` long and lives as long as `self`; any bit
        // pattern is a valid word. Words are only loaded, and with `Relaxed`, which is allowed on
        // memory mapped for reading. The kernel changes them on behalf of writers, which atomics
        // permit. The file is never shortened by any version: it is written whole, then only
        // replaced by rename. (Another program that shortens it gets us a SIGBUS, which is an end,
        // not a wrong value.)
        unsafe { self.words.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` with this length, and no reference outlives `self`.
        // An error would leave it mapped until the process ends, which harms nobody.
        let _ = unsafe { munmap(self.words.as_ptr().cast(), BYTES) };
    }
}

/// What was found in a table's header.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    Ours,
    Newer,
    Damaged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

/// Opens the table for writing if that is wanted and possible, otherwise for reading.
fn open_file(dir: &Path, missing: Missing) -> io::Result<(File, Access)> {
    // A symlink is nothing that this program made; a named pipe must not block.
    let common = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |access: OFlags| {
        let opened = rustix::fs::open(dir.join(NAME), access | common, Mode::empty());
        opened.map(File::from).map_err(io::Error::from)
    };
    if missing == Missing::Create {
        match open(OFlags::RDWR) {
            Ok(file) => return Ok((file, Access::ReadWrite)),
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((open(OFlags::RDONLY)?, Access::ReadOnly))
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

/// Whether the limit on file sizes admits a table: a write beyond it is a SIGXFSZ, not an error.
fn may_write_so_far() -> bool {
    let limit = getrlimit(Resource::Fsize).current;
    limit.is_none_or(|limit| limit >= BYTES as u64)
}

/// Reads the header, which says what the rest is. A mapping comes with a table of ours.
fn examine(file: &File) -> io::Result<(Header, Option<Mapping>)> {
    if Trust::in_file_system_of(file) == Trust::Nothing {
        return Err(ErrorKind::Unsupported.into());
    }
    let metadata = file.metadata()?;
    let is_whole = metadata.len() == BYTES as u64;
    let mapping = match metadata.is_file() && is_whole {
        true => Some(Mapping::new(file)?),
        false => None,
    };
    let header = match &mapping {
        Some(mapping) => std::array::from_fn(|at| mapping.words()[at].load(Ordering::Relaxed)),
        // A newer version may have another size.
        None if metadata.is_file() => read_words(file).unwrap_or_default(),
        None => Default::default(),
    };
    match read_header(header) {
        Header::Ours if !is_whole => Ok((Header::Damaged, None)),
        Header::Ours => Ok((Header::Ours, mapping)),
        other => Ok((other, None)),
    }
}

fn read_words(file: &File) -> io::Result<[u64; HEADER.len()]> {
    let mut bytes = [0; HEADER.len() * 8];
    file.read_exact_at(&mut bytes, 0)?;
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at * 8 + i]));
    Ok(std::array::from_fn(word))
}

fn read_header(words: [u64; HEADER.len()]) -> Header {
    let [magic, version, ..] = words;
    let number = (version >> 32) as u32;
    if words == HEADER {
        Header::Ours
    } else if magic == MAGIC && version == version_word(number) && number > VERSION {
        Header::Newer
    } else {
        // There is no older version; the first change of the layout handles version 1 here.
        Header::Damaged
    }
}

/// The version beside its complement, so that a flipped bit does not look like a newer version.
pub(super) const fn version_word(version: u32) -> u64 {
    ((version as u64) << 32) | (!version as u64)
}

/// Makes directory and table. That somebody else was faster is no error.
fn create(dir: &Path) -> io::Result<()> {
    if !may_write_so_far() {
        return Err(ErrorKind::FileTooLarge.into());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match fresh_table(dir)?.persist_noclobber(dir.join(NAME)) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

/// Puts a new table in the place of a damaged one. A process that does so at the same time replaces
/// the replacement: what was put there meanwhile is forgotten, and nothing else.
fn replace(dir: &Path) -> io::Result<()> {
    let fresh = fresh_table(dir)?.persist(dir.join(NAME));
    fresh.map(drop).map_err(|error| error.error)
}

/// An empty table in `tmp/`, under a name that the store does not count. All of it is written: reading
/// a hole through a mapping takes a page of a tmpfs, and where that is full, the process.
fn fresh_table(dir: &Path) -> io::Result<tempfile::NamedTempFile> {
    let tmp = dir.join("tmp");
    match DirBuilder::new().mode(0o700).create(&tmp) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut bytes = vec![0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(HEADER) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let mut file = tempfile::Builder::new()
        .prefix(PAGE_PREFIX)
        .permissions(PermissionsExt::from_mode(0o666))
        .tempfile_in(tmp)?;
    file.write_all(&bytes)?;
    Ok(file)
}

/// The kernel's random number for this boot: 32 hexadecimal digits in five groups.
pub(super) fn read_boot() -> io::Result<Boot> {
    let mut text = [0; 36];
    File::open("/proc/sys/kernel/random/boot_id")?.read_exact(&mut text)?;
    let digits = String::from_utf8_lossy(&text).replace('-', "");
    let number = u128::from_str_radix(&digits, 16).map_err(|_| ErrorKind::InvalidData)?;
    Ok([(number >> 64) as u64, number as u64])
}
