//! A sharded tree of files named by the SHA-256 of their key: `ab/cdef…`. Reads, places, lists and
//! removes files.

use super::artefact::Artefact;
use super::backend::Name;
use super::error::StoreError;
use super::packed;
use super::tmp::{STRANGE_PREFIX, Temporary};
use super::unchanged::remove_unchanged;
use crate::files::{
    Directory, DirectoryEntry, FileMeta, Root, Size, is_missing, is_symlink, mark_as_read, now,
    read,
};
use std::cmp::Ordering;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::PathBuf;

/// How often a shard's directory is created again for one file: others may remove empty shards at any moment.
const ATTEMPTS: u32 = 10;

/// Whether reading marks a file as recently used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Mark,
    Leave,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) facts: FileMeta,
    pub(super) bytes: Vec<u8>,
    pub(super) file: File,
}

/// The result of placing a finished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    New,
    /// It replaced a file of this many bytes.
    Replaced(u64),
    /// Another process kept the target busy; the new file is removed.
    Dropped,
}

/// The name of a listed file in its shard. A large store holds many, so those that a store gives take no more than their
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ListedName {
    Ours([u8; 31]),
    Other(Box<CStr>),
}

impl ListedName {
    fn new(name: CString) -> Self {
        let digits = name.to_bytes();
        let is_ours = digits.iter().all(|digit| !digit.is_ascii_uppercase());
        let mut bytes = [0; 31];
        match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) if is_ours => Self::Ours(bytes),
            _ => Self::Other(name.into_boxed_c_str()),
        }
    }

    fn text(&self) -> CString {
        match self {
            Self::Ours(bytes) => CString::new(hex::encode(bytes)).unwrap_or_default(),
            Self::Other(name) => name.clone().into(),
        }
    }
}

/// One file as it was when listed.
#[derive(Clone, Debug)]
pub(super) struct ListedFile {
    name: ListedName,
    pub(super) facts: FileMeta,
}

impl ListedFile {
    /// The name under which a store keeps it in this shard; `None` if no store names files so.
    pub(super) fn name_in(&self, shard: u8) -> Option<Name> {
        match &self.name {
            ListedName::Ours(rest) => {
                let mut name = [shard; 32];
                name[1..].copy_from_slice(rest);
                Some(Name(name))
            }
            ListedName::Other(_) => None,
        }
    }

    /// Orders the files of a shard by their names.
    pub(super) fn by_name(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

/// The files of one shard, and the open directory in which they were listed.
#[derive(Debug)]
pub(super) struct Listing {
    directory: Directory,
    path: PathBuf,
    pub(super) files: Vec<ListedFile>,
}

impl Listing {
    /// Removes a file, unless it is gone, busy, or replaced by another. Returns whether it was removed.
    pub(super) fn remove(&self, file: &ListedFile) -> Result<bool, StoreError> {
        let name = file.name.text();
        let removed = remove_unchanged(&self.directory, &name, &file.facts);
        removed.map_err(|error| {
            let path = self.path.join(name.to_string_lossy().as_ref());
            StoreError::io("remove", &path)(error)
        })
    }

    /// The first bytes of a file, at most `length`; empty if it cannot be read.
    pub(super) fn head(&self, file: &ListedFile, length: usize) -> Vec<u8> {
        let mut head = vec![0; length];
        let opened = self
            .directory
            .open_unmarked(&file.name.text())
            .ok()
            .flatten();
        let read = opened.and_then(|file| io::Read::read(&mut &file, &mut head).ok());
        head.truncate(read.unwrap_or(0));
        head
    }

    /// The content of a file; `None` if it is gone or replaced by another.
    pub(super) fn contents(&self, file: &ListedFile) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(file, |opened| {
            let (facts, bytes) = read(opened, Size::AtMost(file.facts.size))?;
            Ok(facts.is_same(&file.facts).then_some(bytes))
        })
    }

    /// The artefact with the content of a file, and the one that a compressed file holds; `None` if the file is gone or
    /// replaced by another.
    pub(super) fn artefacts(
        &self,
        file: &ListedFile,
    ) -> Result<Option<(Artefact, Option<Artefact>)>, StoreError> {
        self.look(file, |mut opened| {
            let facts = FileMeta::of(opened)?;
            if !facts.is_file || !facts.is_same(&file.facts) {
                return Ok(None);
            }
            // Bounded, because the file may grow while it is read.
            let raw = Artefact::read(opened.take(facts.size))?;
            opened.rewind()?;
            let is_packed = self.head(file, packed::MAGIC.len()) == packed::MAGIC;
            let packed = is_packed
                .then(|| packed::artefact(opened.take(facts.size)))
                .flatten();
            Ok(Some((raw, packed)))
        })
    }

    fn look<T>(
        &self,
        file: &ListedFile,
        read: impl FnOnce(&File) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, StoreError> {
        let name = file.name.text();
        let opened = self.directory.open_unmarked(&name);
        let content = opened.and_then(|opened| opened.map_or(Ok(None), |opened| read(&opened)));
        let path = self.path.join(name.to_string_lossy().as_ref());
        content.map_err(StoreError::io("read", &path))
    }
}

/// A tree of files in 256 shards.
#[derive(Debug)]
pub(super) struct ShardedDirectory<'a> {
    root: &'a Root,
    /// The path from the root to the shards.
    inner: &'static str,
}

impl<'r> ShardedDirectory<'r> {
    pub(super) fn new(root: &'r Root, inner: &'static str) -> Self {
        Self { root, inner }
    }

    /// Reads a file; `None` if it is missing or busy. The bytes of a file of unexpected size are not
    /// read: the result has its facts and no bytes.
    pub(super) fn read(
        &self,
        name: Name,
        touch: Touch,
        expected: Size,
    ) -> Result<Option<FoundFile>, StoreError> {
        let path = self.path(name);
        let file = match self.root.open(&path) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.trouble("open", &path)(error)),
        };
        let (facts, bytes) = read(&file, expected).map_err(self.trouble("read", &path))?;
        if touch == Touch::Mark {
            mark_as_read(&file);
        }
        Ok(Some(FoundFile { facts, bytes, file }))
    }

    /// Renames a finished file to its place, creating the directories that are missing.
    pub(super) fn place(
        &self,
        root: &Directory,
        temporary: Temporary,
        name: Name,
    ) -> Result<Placement, StoreError> {
        let path = self.path(name);
        let (shard, rest) = path.rsplit_once('/').unwrap_or_default();
        let target = CString::new(rest).unwrap_or_default();
        let mut attempts = 1..=ATTEMPTS;
        let (old, renamed) = loop {
            let renamed = root.make(shard).and_then(|directory| {
                let old = directory.look(&target)?;
                let renamed = temporary.rename(&directory, rest)?;
                Ok((old, renamed))
            });
            match renamed {
                // Another process removed the shard between its creation and the rename.
                Err(error) if error.kind() == ErrorKind::NotFound && attempts.next().is_some() => {}
                // Something else has the name of the shard or of the file.
                Err(error) if is_in_the_way(&error) && attempts.next().is_some() => {
                    let cleared = clear_way(root, shard, &target);
                    cleared.map_err(self.trouble("make room for", &path))?;
                }
                renamed => break renamed.map_err(self.trouble("place", &path))?,
            }
        };
        match renamed {
            None => Ok(Placement::Dropped),
            Some(()) => {
                temporary.forget();
                // Only regular files are in the totals.
                let old = old.filter(|old| old.is_file);
                Ok(old.map_or(Placement::New, |old| Placement::Replaced(old.size)))
            }
        }
    }

    /// Removes the file. Returns its facts, or `None` if it is missing or busy.
    pub(super) fn remove(&self, name: Name) -> Result<Option<FileMeta>, StoreError> {
        self.remove_if(name, |_| true)
    }

    /// Removes the file if it is still the one that was seen.
    pub(super) fn remove_seen(
        &self,
        name: Name,
        seen: &FileMeta,
    ) -> Result<Option<FileMeta>, StoreError> {
        self.remove_if(name, |now| now.is_same(seen))
    }

    fn remove_if(
        &self,
        name: Name,
        condition: impl FnOnce(&FileMeta) -> bool,
    ) -> Result<Option<FileMeta>, StoreError> {
        let path = self.path(name);
        let (shard, rest) = path.rsplit_once('/').unwrap_or_default();
        let target = CString::new(rest).unwrap_or_default();
        let removed = Directory::root(&self.root.path)
            .and_then(|root| root.directory(shard))
            .and_then(|directory| match directory.look(&target)? {
                Some(facts) if condition(&facts) => {
                    let removed = remove_unchanged(&directory, &target, &facts)?;
                    Ok(removed.then_some(facts))
                }
                _ => Ok(None),
            });
        match removed {
            Err(error) if is_missing(&error) => Ok(None),
            removed => removed.map_err(self.trouble("remove", &path)),
        }
    }

    /// Lists the files of a shard, without those that vanish meanwhile. `None` if the directory is missing
    /// or is a symlink.
    pub(super) fn list(&self, root: &Directory, shard: u8) -> Result<Option<Listing>, StoreError> {
        let path = self.shard(shard);
        let trouble = self.trouble("list", &path);
        let Some((directory, children)) = children(root, &path).map_err(&trouble)? else {
            return Ok(None);
        };
        let mut files = Vec::with_capacity(children.len());
        for DirectoryEntry { name, .. } in children {
            let facts = directory.look(&name).map_err(&trouble)?;
            if let Some(facts) = facts.filter(|facts| facts.is_file) {
                files.push(ListedFile {
                    name: ListedName::new(name),
                    facts,
                });
            }
        }
        Ok(Some(Listing {
            directory,
            path: self.root.path.join(&path),
            files,
        }))
    }

    /// Lists one file of a shard. `None` if it or the directory is missing, or the latter is a symlink.
    pub(super) fn list_one(
        &self,
        root: &Directory,
        name: Name,
    ) -> Result<Option<Listing>, StoreError> {
        let [shard, ref rest @ ..] = name.0;
        let path = self.shard(shard);
        let directory = match root.directory(&path) {
            Err(error) if is_missing(&error) || is_symlink(&error) => return Ok(None),
            directory => directory.map_err(self.trouble("open", &path))?,
        };
        let name = ListedName::Ours(*rest);
        let facts = directory
            .look(&name.text())
            .map_err(self.trouble("list", &path))?;
        let facts = facts.filter(|facts| facts.is_file);
        Ok(facts.map(|facts| Listing {
            directory,
            path: self.root.path.join(&path),
            files: vec![ListedFile { name, facts }],
        }))
    }

    /// The number of files in a shard. Needs no `stat` if the file system lists the types of files.
    pub(super) fn count(&self, root: &Directory, shard: u8) -> Result<u64, StoreError> {
        let path = self.shard(shard);
        let trouble = self.trouble("list", &path);
        let Some((directory, children)) = children(root, &path).map_err(&trouble)? else {
            return Ok(0);
        };
        let mut count = 0;
        for child in children {
            let is_file = child.is_file() || {
                let facts = directory.look(&child.name).map_err(&trouble)?;
                facts.is_some_and(|facts| facts.is_file)
            };
            count += u64::from(is_file);
        }
        Ok(count)
    }

    fn shard(&self, shard: u8) -> String {
        format!("{}/{shard:02x}", self.inner)
    }

    fn path(&self, name: Name) -> String {
        format!("{}/{name}", self.inner)
    }

    fn trouble<'a>(
        &'a self,
        operation: &'static str,
        path: &'a str,
    ) -> impl Fn(io::Error) -> StoreError + 'a {
        move |error| StoreError::io(operation, &self.root.path.join(path))(error)
    }
}

/// Whether a rename failed because a directory has the file's name, or something else a directory's.
fn is_in_the_way(error: &io::Error) -> bool {
    use ErrorKind::{DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(
        error.kind(),
        IsADirectory | DirectoryNotEmpty | NotADirectory
    ) || is_symlink(error)
}

/// Moves whatever has the name of a shard, or of a file in it, to `tmp/`. It is kept because it may be of value to
/// its owner. A link is moved itself, not followed.
fn clear_way(root: &Directory, shard: &str, name: &CStr) -> io::Result<()> {
    let tmp = root.make("tmp")?;
    let aside = format!("{STRANGE_PREFIX}{}-{:x}", std::process::id(), now());
    let moved = match root.directory(shard) {
        // Another writer may have been faster, and its own file may be there now.
        Ok(directory) => match directory.look(name)? {
            Some(facts) if facts.is_file => Ok(()),
            _ => directory.move_aside(name, &tmp, &aside),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(_) => {
            // Moves it relative to the directory above the shard, which is opened without following links.
            let (inner, last) = shard.rsplit_once('/').unwrap_or_default();
            let inner = root.directory(inner)?;
            inner.move_aside(&CString::new(last)?, &tmp, &aside)
        }
    };
    match moved {
        Err(error) if is_missing(&error) => Ok(()),
        moved => moved,
    }
}

/// Opens and lists a directory; `None` if it is missing or a symlink.
fn children(root: &Directory, path: &str) -> io::Result<Option<(Directory, Vec<DirectoryEntry>)>> {
    let listed = root
        .directory(path)
        .and_then(|directory| directory.list().map(|children| (directory, children)));
    match listed {
        Err(error) if is_missing(&error) || is_symlink(&error) => Ok(None),
        listed => listed.map(Some),
    }
}
