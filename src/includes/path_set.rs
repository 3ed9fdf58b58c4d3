//! A path set: [`Lookups`] as bytes that a hit can check without building a map, and the check.
//! `docs/design/store.md` draws the bytes. The store checks their integrity.

use super::digests::{DigestTable, Sighting};
use super::lookups::{FileCopy, Lookups};
use crate::key::Digest;
use crate::stat::{CoarseTime, Stat};
use memchr::memmem;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path set as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSet {
    /// SHA-256 of the bytes: the set's name.
    pub digest: Digest,
    bytes: Vec<u8>,
}

/// Limit on the path sets of one key. Several are kept for developers who switch between branches.
const MOST_SETS: usize = 8;

/// The first line of a list of path sets.
pub const TITLE: &[u8] = b"pcache-nvcc path sets 2\n";

/// The list `sets` with `set` first, as bytes: a title, then each set as its digest, its length (u64,
/// little endian) and its bytes. `None` if `set` is the first already.
pub fn list_with(set: PathSet, sets: Vec<PathSet>) -> Option<Vec<u8>> {
    if sets.first() == Some(&set) {
        return None;
    }
    let mut bytes = TITLE.to_vec();
    let others = sets.iter().filter(|other| **other != set);
    for set in std::iter::once(&set).chain(others).take(MOST_SETS) {
        bytes.extend(set.digest);
        bytes.extend((set.bytes.len() as u64).to_le_bytes());
        bytes.extend(&set.bytes);
    }
    Some(bytes)
}

/// Reads a list that [`list_with`] wrote; `None` for anything else.
pub fn read_list(bytes: &[u8]) -> Option<Vec<PathSet>> {
    let mut rest = bytes.strip_prefix(TITLE)?;
    let mut sets = Vec::new();
    while !rest.is_empty() {
        let (digest, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (set, after) = after.split_at_checked(length)?;
        sets.push(PathSet::named(*digest, set.to_vec()));
        rest = after;
    }
    Some(sets)
}

/// Digests of the files that one invocation has looked up: the path sets of one key share most files.
pub type CheckMemo = HashMap<PathBuf, Option<Digest>>;

impl PathSet {
    /// The path set of `lookups`. `None` if a path holds a NUL, which no path of a file can.
    pub fn new(lookups: &Lookups) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut group = |paths: &mut dyn Iterator<Item = &Path>| add_group(&mut bytes, paths);
        group(&mut lookups.files.iter().map(PathBuf::as_path))?;
        group(&mut lookups.present.iter().map(PathBuf::as_path))?;
        group(&mut lookups.directories.iter().map(PathBuf::as_path))?;
        let pairs = lookups.same.iter().flat_map(|(one, other)| [one, other]);
        group(&mut pairs.map(PathBuf::as_path))?;
        group(&mut lookups.distinct.iter().map(PathBuf::as_path))?;
        bytes.extend(u32::try_from(lookups.copies.len()).ok()?.to_le_bytes());
        for copies in &lookups.copies {
            bytes.extend(u32::try_from(copies.len()).ok()?.to_le_bytes());
            let numbers = copies
                .iter()
                .flat_map(|copy| [copy.file, copy.time, copy.inode]);
            bytes.extend(numbers.flat_map(u32::to_le_bytes));
        }
        let mut group = |paths: &mut dyn Iterator<Item = &Path>| add_group(&mut bytes, paths);
        for (directory, names) in &lookups.absent {
            let names = names.iter().map(PathBuf::as_path);
            group(&mut std::iter::once(directory.as_path()).chain(names))?;
        }
        Some(Self {
            digest: Sha256::digest(&bytes).into(),
            bytes,
        })
    }

    /// The set with this digest and these [`PathSet::bytes`]. Does not compare the two: the store checks the
    /// bytes.
    pub fn named(digest: Digest, bytes: Vec<u8>) -> Self {
        Self { digest, bytes }
    }

    /// The set as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a path of the set contains `text`.
    pub fn names(&self, text: &str) -> bool {
        memmem::find(&self.bytes, text.as_bytes()).is_some()
    }

    /// The set with `directory` in place of `text` in every path. Keeps its digest.
    pub fn with(&self, text: &str, directory: &Path) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut rest = 0;
        for at in memmem::find_iter(&self.bytes, text.as_bytes()) {
            bytes.extend(&self.bytes[rest..at]);
            bytes.extend(directory.as_os_str().as_bytes());
            rest = at + text.len();
        }
        bytes.extend(&self.bytes[rest..]);
        Self::named(self.digest, bytes)
    }

    /// Whether the set has files.
    pub fn has_files(&self) -> bool {
        SetReader(&self.bytes)
            .group()
            .is_some_and(|files| files.count > 0)
    }

    /// The set's files, in its order.
    pub fn files(&self) -> Option<Vec<&Path>> {
        Some(SetReader(&self.bytes).group()?.collect())
    }

    /// Returns the digests of the set's files, in its order, if everything else still holds: absent
    /// names are absent, files are files, directories are directories, pairs of paths lead to one directory,
    /// search directories are different directories, and the same copies of headers have the same times. Looks digests up in `table` and remembers them
    /// there, and also in `memo` if the caller tries several sets. `started` is a time before the first look.
    ///
    /// # Errors
    /// The first path for which the set does not hold.
    pub fn check(
        &self,
        table: &DigestTable,
        mut memo: Option<&mut CheckMemo>,
        started: CoarseTime,
    ) -> Result<Vec<Digest>, Changed> {
        let mut reader = SetReader(&self.bytes);
        let files = reader.group().ok_or_else(Changed::damaged)?;
        let mut digests = Vec::with_capacity(files.count);
        for path in files.clone() {
            let digest = digest_of(path, table, memo.as_deref_mut());
            digests.push(digest.ok_or_else(|| Changed(path.into()))?);
        }
        reader.check_kinds()?;
        // The groups below name many directories more than once; each is examined once.
        let mut looks = Looks::default();
        reader.check_identities(&mut looks)?;
        reader.check_copies(files)?;
        // All other groups are a directory and the names that must be absent in it.
        while !reader.0.is_empty() {
            let mut names = reader.group().ok_or_else(Changed::damaged)?;
            let directory = match names.next().ok_or_else(Changed::damaged)? {
                here if here.as_os_str().is_empty() => Path::new("."),
                directory => directory,
            };
            let lacks = match looks.at(directory) {
                Ok(seen) => table.lacks_all(directory, &seen, names.bytes, started),
                // A missing directory holds none of the names.
                Err(kind) => kind == ErrorKind::NotFound,
            };
            expect(lacks, directory)?;
        }
        Ok(digests)
    }
}

/// A path for which a path set does not hold: say, a file that is gone, or a directory with a name that must be
/// absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed(pub PathBuf);

impl Changed {
    /// The error for bytes that are not a path set: an empty path.
    fn damaged() -> Self {
        Self(PathBuf::new())
    }
}

fn digest_of(path: &Path, table: &DigestTable, memo: Option<&mut CheckMemo>) -> Option<Digest> {
    let find = || table.digest_of(path).ok().map(|(_, digest)| digest);
    match memo {
        Some(memo) => *memo.entry(path.to_owned()).or_insert_with(find),
        None => find(),
    }
}

fn expect(holds: bool, path: &Path) -> Result<(), Changed> {
    holds.then_some(()).ok_or_else(|| Changed(path.into()))
}

/// Appends a group of paths to a set. `None` if one holds a NUL.
fn add_group(bytes: &mut Vec<u8>, paths: &mut dyn Iterator<Item = &Path>) -> Option<()> {
    let paths: Vec<_> = paths.map(|path| path.as_os_str().as_bytes()).collect();
    bytes.extend(u32::try_from(paths.len()).ok()?.to_le_bytes());
    for path in paths {
        bytes.extend(path);
        bytes.push(0);
        path.iter().all(|&byte| byte != 0).then_some(())?;
    }
    Some(())
}

/// Examines each directory once, though several groups may name it.
#[derive(Default)]
struct Looks<'b>(HashMap<&'b Path, Result<Sighting, ErrorKind>>);

impl<'b> Looks<'b> {
    fn at(&mut self, path: &'b Path) -> Result<Sighting, ErrorKind> {
        let look = || Sighting::at(path).map_err(|error| error.kind());
        *self.0.entry(path).or_insert_with(look)
    }
}

/// Reads the parts of a set. Groups of paths are a count (u32, little endian), then each path followed by a NUL.
struct SetReader<'b>(&'b [u8]);

impl<'b> SetReader<'b> {
    fn number(&mut self) -> Result<u32, Changed> {
        let (number, rest) = self.0.split_first_chunk().ok_or_else(Changed::damaged)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*number))
    }

    /// Checks the paths that must be files, and those that must be directories.
    fn check_kinds(&mut self) -> Result<(), Changed> {
        for is_directory in [false, true] {
            for path in self.group().ok_or_else(Changed::damaged)? {
                let metadata = fs::metadata(path);
                let is_right = metadata.is_ok_and(|metadata| metadata.is_dir() == is_directory);
                expect(is_right, path)?;
            }
        }
        Ok(())
    }

    /// Checks the pairs of paths that must lead to the same directory, and the search directories, which must be
    /// different ones.
    fn check_identities(&mut self, looks: &mut Looks<'b>) -> Result<(), Changed> {
        let mut pairs = self.group().ok_or_else(Changed::damaged)?;
        while let Some(one) = pairs.next() {
            let other = pairs.next().ok_or_else(Changed::damaged)?;
            let (seen, real) = (looks.at(one), looks.at(other));
            let is_same = matches!((seen, real), (Ok(seen), Ok(real))
                if seen.stat.identity() == real.stat.identity());
            expect(is_same, one)?;
        }
        let mut identities = HashSet::new();
        for path in self.group().ok_or_else(Changed::damaged)? {
            let seen = looks.at(path);
            let is_new = seen.is_ok_and(|seen| identities.insert(seen.stat.identity()));
            expect(is_new, path)?;
        }
        Ok(())
    }

    /// Checks which copies of a header among `files` were written in the same second, and which are the same file.
    fn check_copies(&mut self, files: Group<'b>) -> Result<(), Changed> {
        let groups = self.number()?;
        if groups == 0 {
            return Ok(());
        }
        let files: Vec<_> = files.collect();
        for _ in 0..groups {
            let mut others: Vec<(FileCopy, Stat)> = Vec::new();
            for _ in 0..self.number()? {
                let copy = FileCopy {
                    file: self.number()?,
                    time: self.number()?,
                    inode: self.number()?,
                };
                let path = files.get(copy.file as usize);
                let path = *path.ok_or_else(Changed::damaged)?;
                let stat = Sighting::at(path).map_err(|_| Changed(path.into()))?.stat;
                let is_as_before = |(other, then): &(FileCopy, Stat)| {
                    (other.time == copy.time)
                        == (then.second_of_writing() == stat.second_of_writing())
                        && (other.inode == copy.inode) == (then.identity() == stat.identity())
                };
                expect(others.iter().all(is_as_before), path)?;
                others.push((copy, stat));
            }
        }
        Ok(())
    }

    fn group(&mut self) -> Option<Group<'b>> {
        let (count, rest) = self.0.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let mut end = 0;
        for _ in 0..count {
            end += end_of_name(&rest[end..])? + 1;
        }
        let (bytes, rest) = rest.split_at(end);
        self.0 = rest;
        Some(Group { count, bytes })
    }
}

#[derive(Clone)]
struct Group<'b> {
    count: usize,
    bytes: &'b [u8],
}

/// The position of the first NUL. memchr would be faster except for its first call, which queries the processor's
/// features: in a virtual machine that takes longer than a whole set (docs/benchmarks.md#two-builds).
fn end_of_name(bytes: &[u8]) -> Option<usize> {
    let name = CStr::from_bytes_until_nul(bytes).ok()?;
    Some(name.to_bytes().len())
}

impl<'b> Iterator for Group<'b> {
    type Item = &'b Path;

    fn next(&mut self) -> Option<&'b Path> {
        let end = end_of_name(self.bytes)?;
        let path = &self.bytes[..end];
        self.bytes = &self.bytes[end + 1..];
        Some(Path::new(OsStr::from_bytes(path)))
    }
}
