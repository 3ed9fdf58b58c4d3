//! The file systems that are trusted to change a file's stat whenever the file changes, by their `statfs`
//! numbers.

use rustix::fs::fstatfs;
use std::os::fd::AsFd;

/// What an unchanged stat proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatTrust {
    /// That a file or a directory has not changed.
    All,
    /// That a file has not changed. A directory may have.
    Files,
    Nothing,
}

/// Local file systems with stable inode numbers, whose change time is set by this kernel's clock at every
/// change, and whose mapped files show what was written. Excluded are network file systems, because changes
/// by other hosts are seen seconds late and with other clocks; FUSE, 9p and the like, which guarantee nothing;
/// and FAT, which has no inodes.
const LOCAL: [u32; 8] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x0102_1994, // tmpfs
    0x2FC1_2FC1, // ZFS
    0xF2F5_2010, // F2FS
    0xCA45_1A4E, // bcachefs
    OVERLAY,
];

/// overlayfs. A file belongs to one layer and has that layer's inode and times. A directory is merged from
/// several layers and has the times of one, so other layers mounted below it may not change its times.
const OVERLAY: u32 = 0x794C_7630;

impl StatTrust {
    /// The trust in the file system of an open file.
    pub(super) fn in_file_system_of(file: impl AsFd) -> Self {
        // The kernel's numbers have 32 bits, whatever the width and sign of the field.
        match fstatfs(file).map(|statfs| statfs.f_type as u32) {
            Ok(OVERLAY) => Self::Files,
            Ok(number) if LOCAL.contains(&number) => Self::All,
            _ => Self::Nothing,
        }
    }
}
