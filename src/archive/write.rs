//! Writes an archive.

use super::member::path_of;
use crate::store::{Name, Tree};
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

    /// Adds a file.
    pub(crate) fn add(&mut self, tree: Tree, name: Name, bytes: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_path(path_of(tree, name))?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.members.append(&header, bytes)
    }

    /// Writes the end.
    pub(crate) fn finish(self) -> io::Result<()> {
        let to = self.members.into_inner()?.finish()?;
        to.flush()
    }
}
