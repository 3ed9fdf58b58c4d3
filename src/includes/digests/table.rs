//! The file of the digest table: creates and checks it, reads it block by block, and writes it slot by slot. Each user
//! of a cache has a table of their own, because digests are believed without a check.
//!
//! The file is mapped if a guard is set, and read otherwise: truncating a mapped file would end every process that
//! reads the mapping.

use super::file_system::StatTrust;
use super::guard::MappingGuard;
use super::slot::{Boot, INODE, SLOT_WORDS, SLOTS, SlotWords, Subject};
use crate::files::{
    Directory, HeaderState, Held, RightsKind, Root, is_strange, read_header, version_word,
    write_fresh,
};
use crate::key::Digest;
use rustix::fs::OFlags;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::{Resource, getrlimit};
use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "digests";

/// The header takes as much room as a group of slots.
const HEADER_WORDS: usize = 8192;
const WORDS: usize = HEADER_WORDS + SLOTS * SLOT_WORDS;
pub(super) const BYTES: usize = WORDS * 8;

/// Read as a number in the machine's byte order, so a table from a machine of the other byte order looks
/// damaged.
const MAGIC: u64 = u64::from_be_bytes(*b"PCACHEDG");
const VERSION: u32 = 1;
const HEADER: [u64; 4] = [
    MAGIC,
    version_word(VERSION),
    SLOTS as u64,
    SLOT_WORDS as u64,
];

/// How often a missing or damaged table is created before this process goes on without one.
const ATTEMPTS: u32 = 3;

/// What to do if there is no good table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingTable {
    /// Create one.
    Create,
    /// Go on without one.
    Leave,
}

/// Number of words that are read at once: 4 KiB, 32 slots.
const BLOCK: usize = 512;
const BLOCKS: usize = SLOTS * SLOT_WORDS / BLOCK;
const _: () = assert!(BLOCK.is_multiple_of(SLOT_WORDS) && BLOCKS * BLOCK == SLOTS * SLOT_WORDS);

/// Removes this user's table. Returns its size. Leaves anything but a regular file alone.
pub(super) fn remove(dir: &Path) -> io::Result<u64> {
    let removed = Directory::root(dir).and_then(|root| {
        let name = CString::new(NAME)?;
        match root.look(&name)?.filter(|facts| facts.is_file) {
            Some(facts) => root.remove(&name).map(|_| facts.size),
            None => Ok(0),
        }
    });
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        removed => removed,
    }
}

/// An open table of this boot.
#[derive(Debug)]
pub(super) struct SlotTable {
    file: File,
    /// Whether slots may be written. `false` in a table that is only read; otherwise whether the limit on file
    /// sizes allows it, determined before the first write.
    may_write: OnceLock<bool>,
    slots: TableSlots,
    boot: Boot,
}

/// The slots as this process sees them.
#[derive(Debug)]
enum TableSlots {
    Mapped(Mapping),
    /// The blocks that were read so far. Words that could not be read are zero.
    Read(Vec<OnceLock<Box<[AtomicU64]>>>),
}

impl TableSlots {
    fn new(file: &File, guard: Option<MappingGuard>) -> Self {
        let mapping = guard.and_then(|guard| Mapping::new(file, guard).ok());
        let read = || Self::Read((0..BLOCKS).map(|_| OnceLock::new()).collect());
        mapping.map_or_else(read, Self::Mapped)
    }
}

/// A table mapped for reading, unmapped on drop.
#[derive(Debug)]
struct Mapping {
    words: NonNull<[AtomicU64; WORDS]>,
    guard: MappingGuard,
}

// SAFETY: the mapping belongs to no thread, and its words are only reached as atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives nothing but `&[AtomicU64; WORDS]`, which is `Sync`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a regular file of exactly `BYTES` bytes.
    fn new(file: &File, guard: MappingGuard) -> io::Result<Self> {
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
        guard.watch(address.cast(), BYTES);
        let words = NonNull::new(address.cast()).ok_or(ErrorKind::OutOfMemory)?;
        Ok(Self { words, guard })
    }

    fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: the mapping is page-aligned, `BYTES` long and lives as long as `self`; any bit
        // pattern is a valid word. Words are only loaded, and with `Relaxed`, which is allowed on
        // memory mapped for reading. The kernel changes them on behalf of writers, which atomics
        // permit. Where the file is shortened, the guard puts zeros.
        unsafe { self.words.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.guard.forget();
        // SAFETY: the range was mapped by `new` with this length, and no reference outlives `self`.
        // An error would leave it mapped until the process ends, which harms nothing.
        let _ = unsafe { munmap(self.words.as_ptr().cast(), BYTES) };
    }
}

impl SlotTable {
    /// Opens this user's table of the cache in `root`.
    pub(super) fn open(
        root: &Root,
        missing: MissingTable,
        guard: Option<MappingGuard>,
    ) -> io::Result<Self> {
        // A relative or empty path means that no cache directory is known.
        if !root.path.is_absolute() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let boot = read_boot()?;
        // Each attempt either opens a good table or creates one for the next attempt: another process may
        // replace the table in between.
        for _ in 0..ATTEMPTS {
            let (file, access) = match open_file(root, missing) {
                Ok(opened) => opened,
                Err(error)
                    if error.kind() == ErrorKind::NotFound && missing == MissingTable::Create =>
                {
                    match create(root) {
                        // The directory is read-only, but another process may have created the table meanwhile.
                        Err(error) if is_refusal(&error) => open_file(root, MissingTable::Leave)?,
                        created => {
                            created?;
                            continue;
                        }
                    }
                }
                // Another user's file, or not a regular file.
                Err(error) if is_strange(&error) && missing == MissingTable::Create => {
                    replace(root)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match examine(&file)? {
                HeaderState::Ours => {
                    let may_write = match access {
                        TableAccess::ReadWrite => OnceLock::new(),
                        TableAccess::ReadOnly => OnceLock::from(false),
                    };
                    return Ok(Self {
                        slots: TableSlots::new(&file, guard),
                        file,
                        may_write,
                        boot,
                    });
                }
                HeaderState::Newer => return Err(ErrorKind::Unsupported.into()),
                _ if access == TableAccess::ReadOnly => return Err(ErrorKind::InvalidData.into()),
                HeaderState::Damaged => replace(root)?,
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    pub(super) fn boot(&self) -> Boot {
        self.boot
    }

    pub(super) fn is_writable(&self) -> bool {
        *self.may_write.get_or_init(may_write_so_far)
    }

    pub(super) fn get(&self, subject: &Subject) -> Option<Digest> {
        let inode = subject.inode();
        subject
            .places()
            .map(|place| self.words(place))
            .filter(|words| words[INODE].load(Ordering::Relaxed) == inode)
            .find_map(|words| subject.digest_in(&values(words)))
    }

    /// Stores `digest`, if possible in the slot of something worthless. If two processes choose the same
    /// slot, one of the two digests is lost.
    pub(super) fn put(&self, subject: &Subject, digest: &Digest) {
        if !self.is_writable() {
            return;
        }
        let words = subject.slot(digest);
        let places: Vec<usize> = subject.places().collect();
        let is_free = |place: &&usize| subject.supersedes(&values(self.words(**place)));
        // If all slots are taken, one is overwritten. Readers leave no mark, so it is not known which is
        // needed least; the checksum picks one at random.
        let victim = places[words[0] as usize % places.len()];
        let place = places.iter().find(is_free).copied().unwrap_or(victim);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let offset = (HEADER_WORDS + place * SLOT_WORDS) * 8;
        // A failed write loses the digest; a partial write fails its checksum.
        let written = self.file.write_all_at(&bytes, offset as u64);
        if written.is_ok() && matches!(self.slots, TableSlots::Read(_)) {
            for (slot_word, word) in self.words(place).iter().zip(words) {
                slot_word.store(word, Ordering::Relaxed);
            }
        }
    }

    /// The words of the slot at `place`. Inline, because a hit calls it for every header.
    #[inline]
    fn words(&self, place: usize) -> &[AtomicU64] {
        let (words, first) = match &self.slots {
            TableSlots::Mapped(mapping) => (&mapping.words()[HEADER_WORDS..], place * SLOT_WORDS),
            TableSlots::Read(blocks) => (self.block(blocks, place), place * SLOT_WORDS % BLOCK),
        };
        &words[first..first + SLOT_WORDS]
    }

    /// The block with the slot at `place`, read on first use.
    #[cold]
    fn block<'a>(&self, blocks: &'a [OnceLock<Box<[AtomicU64]>>], place: usize) -> &'a [AtomicU64] {
        let block = place * SLOT_WORDS / BLOCK;
        blocks[block].get_or_init(|| {
            let mut bytes = [0; BLOCK * 8];
            let offset = (HEADER_WORDS + block * BLOCK) * 8;
            // A slot that was read in part fails its checksum.
            let _ = self.file.read_exact_at(&mut bytes, offset as u64);
            let words = bytes.chunks_exact(8);
            let word = |bytes: &[u8]| u64::from_ne_bytes(std::array::from_fn(|at| bytes[at]));
            words.map(|bytes| word(bytes).into()).collect()
        })
    }
}

/// Loads a slot's words. Needs no ordering, because only the checksum decides whether a slot is believed.
fn values(words: &[AtomicU64]) -> SlotWords {
    std::array::from_fn(|at| words[at].load(Ordering::Relaxed))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableAccess {
    ReadWrite,
    ReadOnly,
}

/// Opens the table for writing if `missing` is [`MissingTable::Create`] and the file allows it, otherwise for reading.
fn open_file(root: &Root, missing: MissingTable) -> io::Result<(File, TableAccess)> {
    if missing == MissingTable::Create {
        match root.open_own(NAME, OFlags::RDWR) {
            Ok(file) => return Ok((file, TableAccess::ReadWrite)),
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((root.open_own(NAME, OFlags::RDONLY)?, TableAccess::ReadOnly))
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

/// Whether the limit on file sizes allows a whole table: a write beyond it raises SIGXFSZ instead of an error.
fn may_write_so_far() -> bool {
    let limit = getrlimit(Resource::Fsize).current;
    limit.is_none_or(|limit| limit >= BYTES as u64)
}

/// Reads the header, and decides whether this version can use the table.
fn examine(file: &File) -> io::Result<HeaderState> {
    if StatTrust::in_file_system_of(file) == StatTrust::Nothing {
        return Err(ErrorKind::Unsupported.into());
    }
    let is_whole = file.metadata()?.len() == BYTES as u64;
    // The version is read before the size is judged, because a newer version may have another size.
    let words = read_words(file).unwrap_or_default();
    match read_header([words[0], words[1]], MAGIC, VERSION) {
        HeaderState::Ours if !is_whole || words != HEADER => Ok(HeaderState::Damaged),
        other => Ok(other),
    }
}

fn read_words(file: &File) -> io::Result<[u64; HEADER.len()]> {
    let mut bytes = [0; HEADER.len() * 8];
    file.read_exact_at(&mut bytes, 0)?;
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at * 8 + i]));
    Ok(std::array::from_fn(word))
}

/// Creates directory and table. Succeeds too if another process was faster.
fn create(root: &Root) -> io::Result<()> {
    if !may_write_so_far() {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&root.path)?;
    match write_table(root, Held::Kept) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        written => written,
    }
}

/// Replaces a damaged table, or another user's, with a new one. If two processes do so at the same time, the second
/// replaces the first one's table, and only digests stored meanwhile are lost.
fn replace(root: &Root) -> io::Result<()> {
    write_table(root, Held::Replaced)
}

/// Writes an empty table. Writes all of it, so that a disk that is full later cannot keep a slot from being written.
fn write_table(root: &Root, held: Held) -> io::Result<()> {
    let mut bytes = vec![0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(HEADER) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let root = root.reopen()?;
    write_fresh(&root, (&root, NAME), RightsKind::Owned, &bytes, held)
}

/// The kernel's random number for this boot: 32 hexadecimal digits in five groups.
pub(super) fn read_boot() -> io::Result<Boot> {
    let mut text = [0; 36];
    File::open("/proc/sys/kernel/random/boot_id")?.read_exact(&mut text)?;
    let digits = String::from_utf8_lossy(&text).replace('-', "");
    let number = u128::from_str_radix(&digits, 16).map_err(|_| ErrorKind::InvalidData)?;
    Ok([(number >> 64) as u64, number as u64])
}
