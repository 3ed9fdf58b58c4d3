//! Which file systems can be trusted to change a file's stat whenever the file changes. Knows them
//! by the numbers that `statfs` gives.

use rustix::fs::fstatfs;
use std::os::fd::AsFd;

/// What an unchanged stat proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatTrust {
    /// Neither a file nor a directory has changed.
    All,
    /// A file has not changed. A directory may have.
    Files,
    Nothing,
}

/// File systems of this machine, whose inode numbers are stable, whose change time is set by this
/// kernel's clock at every change, and whose mapped files show what was written. Not among them:
/// network file systems, as other hosts' changes are seen seconds late and by other clocks; FUSE,
/// 9p and the like, which promise nothing; FAT, which has no inodes.
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

/// A file of overlayfs is one layer's, with that layer's inode and times. A directory is merged from
/// several layers and has the times of one, so that mounting other layers below it may not show.
const OVERLAY: u32 = 0x794C_7630;

impl StatTrust {
    /// That of the file system of an open file.
    pub(super) fn in_file_system_of(file: impl AsFd) -> Self {
        // The kernel's numbers have 32 bits, whatever the width and sign of the field.
        match fstatfs(file).map(|found| found.f_type as u32) {
            Ok(OVERLAY) => Self::Files,
            Ok(number) if LOCAL.contains(&number) => Self::All,
            _ => Self::Nothing,
        }
    }
}
