//! Archives as `pcache export` writes them, and as it would never write them.

use std::path::Path;
use tar::{Archive, Builder, EntryType, Header};

/// A member, honest or not.
#[derive(Clone)]
pub struct TarMember {
    pub path: Vec<u8>,
    pub kind: EntryType,
    /// What the header says.
    pub size: u64,
    pub bytes: Vec<u8>,
    pub link: Option<String>,
}

impl TarMember {
    pub fn file(path: &str, bytes: &[u8]) -> Self {
        Self {
            path: path.into(),
            kind: EntryType::Regular,
            size: bytes.len() as u64,
            bytes: bytes.to_vec(),
            link: None,
        }
    }

    fn header(&self) -> Header {
        let mut header = Header::new_ustar();
        // Not by `set_path`, which refuses what leads out.
        header.as_mut_bytes()[..self.path.len()].copy_from_slice(&self.path);
        header.set_entry_type(self.kind);
        header.set_size(self.size);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        if let Some(link) = &self.link {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        header
    }
}

/// The tar of these members.
pub fn tar(members: &[TarMember]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for member in members {
        builder.append(&member.header(), &member.bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A frame with this content.
pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

/// The members of an archive.
pub fn members(archive: &Path) -> Vec<TarMember> {
    let tar = zstd::stream::decode_all(std::fs::File::open(archive).unwrap()).unwrap();
    let mut archive = Archive::new(&tar[..]);
    let mut members = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        let header = entry.header();
        let times = (header.mtime().unwrap(), header.uid().unwrap());
        assert_eq!((times, header.gid().unwrap()), ((0, 0), 0));
        assert_eq!(header.mode().unwrap(), 0o600);
        members.push(TarMember {
            path: entry.path_bytes().to_vec(),
            kind: header.entry_type(),
            size: entry.size(),
            bytes,
            link: None,
        });
    }
    members
}
