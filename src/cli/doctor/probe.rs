//! What a file system can do, found out by doing it in a directory made for that.

use crate::includes::digests::DigestTable;
use crate::lock::LockFile;
use crate::stats::{Counter, Stats};
use rustix::fs::{FlockOperation, StatVfs, flock, statfs, statvfs};
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    pub(super) renames_over: bool,
    pub(super) shared_counters: bool,
    pub(super) flocks: bool,
    pub(super) byte_locks: bool,
    pub(super) access_times: bool,
    /// Whether an unchanged stat is believed there, so that digests are remembered.
    pub(super) digests: bool,
    /// The smallest difference between two times of writing; `None` where it is more than was waited.
    pub(super) grain: Option<Duration>,
    /// How far the time of a new file is from the system's clock.
    pub(super) skew: Duration,
}

/// How long writes are repeated until their time changes: more than any kernel's tick.
const GRAIN_WAIT: Duration = Duration::from_millis(100);

/// Tries everything in `directory`, which must be empty; the files of the trials stay in it.
///
/// # Errors
/// Files cannot be made there at all.
pub(super) fn try_out(directory: &Path) -> io::Result<Features> {
    let at = |name: &str| directory.join(name);
    fs::write(at("file"), b"bytes")?;
    let written = fs::metadata(at("file"))?.modified()?;
    let skew = match SystemTime::now().duration_since(written) {
        Ok(behind) => behind,
        Err(ahead) => ahead.duration(),
    };
    fs::write(at("other"), b"others")?;
    let renamed = fs::rename(at("other"), at("file"));
    let renames_over =
        renamed.is_ok() && fs::read(at("file")).is_ok_and(|bytes| bytes == b"others");
    let file = File::open(at("file"))?;
    Ok(Features {
        renames_over,
        shared_counters: counts_shared(directory)?,
        flocks: flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok(),
        byte_locks: locks_bytes(directory),
        access_times: keeps_access_time(&at("file")),
        digests: DigestTable::open(directory).is_shared(),
        grain: grain(&at("grain"))?,
        skew,
    })
}

/// Whether one handle sees what another counts.
fn counts_shared(directory: &Path) -> io::Result<bool> {
    let place = directory.join("counted");
    fs::create_dir(&place)?;
    let (one, other) = (Stats::open(&place), Stats::open(&place));
    one.add(Counter::Miss, 1);
    Ok(one.is_shared() && other.is_shared() && other.snapshot().get(Counter::Miss) == 1)
}

fn locks_bytes(directory: &Path) -> bool {
    let open = || LockFile::open(directory, "bytes");
    let (Ok(one), Ok(other)) = (open(), open()) else {
        return false;
    };
    let excludes = one.try_lock(7).ok().zip(other.try_lock(7).ok());
    excludes == Some((true, false))
}

fn keeps_access_time(path: &Path) -> bool {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let times = FileTimes::new().set_accessed(long_ago);
    let set = File::options().write(true).open(path);
    let set = set.and_then(|file| file.set_times(times));
    let found = fs::metadata(path).and_then(|found| found.accessed());
    set.is_ok() && found.is_ok_and(|found| found == long_ago)
}

fn grain(path: &Path) -> io::Result<Option<Duration>> {
    let began = Instant::now();
    let stamp = || {
        fs::write(path, b"")?;
        fs::metadata(path)?.modified()
    };
    // From one change to the next, as the first one came in the middle of a tick.
    let mut last = stamp()?;
    let mut changes = Vec::new();
    while began.elapsed() < GRAIN_WAIT && changes.len() < 3 {
        let now = stamp()?;
        if now != last {
            changes.push(now);
            last = now;
        }
    }
    let steps = changes
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]));
    Ok(steps.filter_map(Result::ok).min())
}

/// Bytes that a user without privileges may still write where `path` lies.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let found: StatVfs = statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Files that may still be made there; `None` where the file system sets no limit.
pub(super) fn free_files(path: &Path) -> Option<u64> {
    let found: StatVfs = statvfs(path).ok()?;
    (found.f_files > 0).then_some(found.f_favail)
}

/// The file system's name, and whether other hosts can change it.
pub(super) fn file_system(path: &Path) -> Option<(&'static str, Reach)> {
    // The kernel's numbers have 32 bits, whatever the width and sign of the field.
    let number = statfs(path).ok()?.f_type as u32;
    let found = FILE_SYSTEMS.iter().find(|(known, _, _)| *known == number);
    found.map(|(_, name, reach)| (*name, *reach))
}

/// Who can change what is in a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// This machine.
    Local,
    /// Other hosts, or a program that promises nothing.
    Remote,
}

const FILE_SYSTEMS: [(u32, &str, Reach); 17] = [
    (0xEF53, "ext4", Reach::Local),
    (0x5846_5342, "XFS", Reach::Local),
    (0x9123_683E, "Btrfs", Reach::Local),
    (0x0102_1994, "tmpfs", Reach::Local),
    (0x2FC1_2FC1, "ZFS", Reach::Local),
    (0xF2F5_2010, "F2FS", Reach::Local),
    (0xCA45_1A4E, "bcachefs", Reach::Local),
    (0x794C_7630, "overlayfs", Reach::Local),
    (0x6969, "NFS", Reach::Remote),
    (0xFF53_4D42, "CIFS", Reach::Remote),
    (0xFE53_4D42, "SMB", Reach::Remote),
    (0x6573_5546, "FUSE", Reach::Remote),
    (0x0102_1997, "9p", Reach::Remote),
    (0x00C3_6400, "Ceph", Reach::Remote),
    (0x0BD0_0BD0, "Lustre", Reach::Remote),
    (0x4750_4653, "GPFS", Reach::Remote),
    (0x5346_414F, "AFS", Reach::Remote),
];
