//! Writes an archive.

use super::member::path_of;
use crate::store::{EntryKind, Name};
use std::io::{self, Write};
use tar::{Builder, EntryType, Header};
use zstd::stream::write::Encoder;

/// Of the levels of zstd the usual one; much of what a cache holds is compressed already.
const LEVEL: i32 = 3;

/// An archive that is being written.
pub(crate) struct ArchiveWriter<'a> {
    members: Builder<Encoder<'static, &'a mut dyn Write>>,
}

impl<'a> ArchiveWriter<'a> {
    pub(crate) fn new(to: &'a mut dyn Write) -> io::Result<Self> {
        let mut encoder = Encoder::new(to, LEVEL)?;
        // A reader notices damage even where the content of members is not proven.
        encoder.include_checksum(true)?;
        Ok(Self {
            members: Builder::new(encoder),
        })
    }

    /// Adds a file. Files of a kind that archives do not hold are left out; returns whether it was added.
    pub(crate) fn add(&mut self, kind: EntryKind, name: Name, bytes: &[u8]) -> io::Result<bool> {
        let Some(path) = path_of(kind, name) else {
            return Ok(false);
        };
        let mut header = Header::new_ustar();
        header.set_path(path)?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.members.append(&header, bytes)?;
        Ok(true)
    }

    /// Writes the end.
    pub(crate) fn finish(self) -> io::Result<()> {
        let to = self.members.into_inner()?.finish()?;
        to.flush()
    }
}
