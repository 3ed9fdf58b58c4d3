//! One sharded tree of files that are named by the SHA-256 of their key: `ab/cdef…`. Reads, places,
//! lists and removes files.

use super::artefact::Artefact;
use super::backend::Name;
use super::error::StoreError;
use super::tmp::{STRANGE_PREFIX, Temporary};
use super::unchanged::remove_unchanged;
use crate::files::{
    Directory, DirectoryEntry, FileMeta, Root, Size, is_missing, is_symlink, mark_as_read, now,
    read,
};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// How often a shard is made again for one file: others tidy up empty shards at any moment.
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
}

/// What became of a finished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    New,
    /// In the place of one of so many bytes.
    Replaced(u64),
    /// Another process held the place; the file is gone.
    Dropped,
}

/// One file as it was when listed.
#[derive(Clone, Debug)]
pub(super) struct ListedFile {
    pub(super) name: CString,
    pub(super) facts: FileMeta,
}

/// The files of one shard, and the directory that they were listed in.
#[derive(Debug)]
pub(super) struct Listing {
    directory: Directory,
    path: PathBuf,
    pub(super) files: Vec<ListedFile>,
}

impl Listing {
    /// Removes a file, unless it is gone, busy, or another one is in its place; whether it did.
    pub(super) fn remove(&self, file: &ListedFile) -> Result<bool, StoreError> {
        let removed = remove_unchanged(&self.directory, &file.name, &file.facts);
        removed.map_err(|error| {
            let path = self.path.join(file.name.to_string_lossy().as_ref());
            StoreError::io("remove", &path)(error)
        })
    }

    /// The beginning of a file; empty where it cannot be read.
    pub(super) fn head(&self, file: &ListedFile, length: usize) -> Vec<u8> {
        let mut head = vec![0; length];
        let opened = self.directory.open_unmarked(&file.name).ok().flatten();
        let read = opened.and_then(|file| io::Read::read(&mut &file, &mut head).ok());
        head.truncate(read.unwrap_or(0));
        head
    }

    /// All of a file, unless it is gone or another one is in its place.
    pub(super) fn contents(&self, file: &ListedFile) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(file, |opened| {
            let (facts, bytes) = read(opened, Size::AtMost(file.facts.size))?;
            Ok(facts.is_same(&file.facts).then_some(bytes))
        })
    }

    /// What names the content of a file as an artefact, unless it is gone or another one is in its place.
    pub(super) fn artefact(&self, file: &ListedFile) -> Result<Option<Artefact>, StoreError> {
        self.look(file, |opened| {
            let facts = FileMeta::of(opened)?;
            if facts.is_file && facts.is_same(&file.facts) {
                // It may grow while it is read.
                Artefact::read(opened.take(facts.size)).map(Some)
            } else {
                Ok(None)
            }
        })
    }

    fn look<T>(
        &self,
        file: &ListedFile,
        at: impl FnOnce(&File) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, StoreError> {
        let opened = self.directory.open_unmarked(&file.name);
        let found = opened.and_then(|opened| opened.map_or(Ok(None), |opened| at(&opened)));
        let path = self.path.join(file.name.to_string_lossy().as_ref());
        found.map_err(StoreError::io("read", &path))
    }
}

/// A tree of files.
#[derive(Debug)]
pub(super) struct ShardedDirectory {
    root: Arc<Root>,
    /// From the root to the shards.
    inner: &'static str,
}

impl ShardedDirectory {
    pub(super) fn new(root: Arc<Root>, inner: &'static str) -> Self {
        Self { root, inner }
    }

    /// The whole file, or `None` where there is none or it is busy. A file of another size than
    /// expected is not read: it gives no bytes.
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
        Ok(Some(FoundFile { facts, bytes }))
    }

    /// Renames a finished file to its place, making its directories where they are missing.
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
        let placed = loop {
            let placed = root.make(shard).and_then(|directory| {
                let held = directory.look(&target)?;
                let moved = temporary.rename(&directory, rest)?;
                Ok((held, moved))
            });
            match placed {
                // Tidied away between the making and the rename.
                Err(error) if error.kind() == ErrorKind::NotFound && attempts.next().is_some() => {}
                // Something else is where the shard or the file belongs.
                Err(error) if is_in_the_way(&error) && attempts.next().is_some() => {
                    let cleared = clear_way(root, shard, &target);
                    cleared.map_err(self.trouble("make room for", &path))?;
                }
                placed => break placed.map_err(self.trouble("place", &path))?,
            }
        };
        match placed {
            (_, None) => Ok(Placement::Dropped),
            (held, Some(())) => {
                temporary.forget();
                // What is no regular file was not counted, either.
                let held = held.filter(|held| held.is_file);
                Ok(held.map_or(Placement::New, |held| Placement::Replaced(held.size)))
            }
        }
    }

    /// Removes the file; what it was, or `None` where there is none or it is busy.
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
        is_it: impl FnOnce(&FileMeta) -> bool,
    ) -> Result<Option<FileMeta>, StoreError> {
        let path = self.path(name);
        let (shard, rest) = path.rsplit_once('/').unwrap_or_default();
        let target = CString::new(rest).unwrap_or_default();
        let removed = Directory::root(&self.root.path)
            .and_then(|root| root.directory(shard))
            .and_then(|directory| match directory.look(&target)? {
                Some(facts) if is_it(&facts) => {
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

    /// The files of a shard. Files that vanish meanwhile are left out; `None` where there is no such
    /// directory (a symlink is none).
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
                files.push(ListedFile { name, facts });
            }
        }
        Ok(Some(Listing {
            directory,
            path: self.root.path.join(&path),
            files,
        }))
    }

    /// The number of files of a shard, by their names alone where the file system tells their kind.
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

/// The name of the entry that is called `rest` in `shard`, unless it was not made by a store.
pub(super) fn name_of(shard: u8, rest: &CStr) -> Option<Name> {
    let digits = rest.to_str().ok()?;
    let mut name = [shard; 32];
    let is_ours = digits.bytes().all(|digit| !digit.is_ascii_uppercase());
    hex::decode_to_slice(digits, &mut name[1..]).ok()?;
    is_ours.then_some(Name(name))
}

/// Whether a directory is where a file belongs, or something else where a directory does.
fn is_in_the_way(error: &io::Error) -> bool {
    use ErrorKind::{DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(
        error.kind(),
        IsADirectory | DirectoryNotEmpty | NotADirectory
    ) || is_symlink(error)
}

/// Moves what is in the place of a shard, or of a file in it, to `tmp/`: what is in a directory there may be of
/// value to another, and a link is moved, not followed.
fn clear_way(root: &Directory, shard: &str, name: &CStr) -> io::Result<()> {
    let tmp = root.make("tmp")?;
    let aside = format!("{STRANGE_PREFIX}{}-{:x}", std::process::id(), now());
    let moved = match root.directory(shard) {
        // Another writer may have been faster, and have its own file there now.
        Ok(directory) => match directory.look(name)? {
            Some(found) if found.is_file => Ok(()),
            _ => directory.move_aside(name, &tmp, &aside),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(_) => {
            // From its own directory: a link further up is none of the store's, and is not followed.
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

/// Directory and children; `None` where it is missing.
fn children(root: &Directory, path: &str) -> io::Result<Option<(Directory, Vec<DirectoryEntry>)>> {
    let listed = root
        .directory(path)
        .and_then(|directory| directory.list().map(|children| (directory, children)));
    match listed {
        Err(error) if is_missing(&error) || is_symlink(&error) => Ok(None),
        listed => listed.map(Some),
    }
}
