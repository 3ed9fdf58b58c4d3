//! A path set: [`Lookups`] as bytes that a hit can check without taking them apart, and the check.
//! The bytes are drawn in `docs/design/store.md`; their integrity is the store's business.

use super::digests::{DigestTable, Sighting};
use super::lookups::Lookups;
use crate::key::Digest;
use crate::stat::CoarseTime;
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

/// Path sets of one key: what branches that are switched between may need.
const MOST_SETS: usize = 8;

/// What a list of path sets begins with.
const TITLE: &[u8] = b"pcache-nvcc path sets 1\n";

/// The list `known` with `set` first, as bytes: a title, then each set as its digest, its length (u64,
/// little endian) and its bytes. `None` where it is first already.
pub fn list_with(set: PathSet, known: Vec<PathSet>) -> Option<Vec<u8>> {
    if known.first() == Some(&set) {
        return None;
    }
    let mut bytes = TITLE.to_vec();
    let others = known.iter().filter(|other| **other != set);
    for set in std::iter::once(&set).chain(others).take(MOST_SETS) {
        bytes.extend(set.digest);
        bytes.extend((set.bytes.len() as u64).to_le_bytes());
        bytes.extend(&set.bytes);
    }
    Some(bytes)
}

/// The inverse; `None` for anything else.
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

/// Digests of the files that one invocation has asked for: path sets of one compile share most.
pub type CheckMemo = HashMap<PathBuf, Option<Digest>>;

impl PathSet {
    /// The set of everything in `lookups`. `None` where a path holds a NUL, which none can.
    pub fn new(lookups: &Lookups) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut group = |paths: &mut dyn Iterator<Item = &Path>| -> Option<()> {
            let paths: Vec<_> = paths.map(|path| path.as_os_str().as_bytes()).collect();
            bytes.extend(u32::try_from(paths.len()).ok()?.to_le_bytes());
            for path in paths {
                bytes.extend(path);
                bytes.push(0);
                path.iter().all(|&byte| byte != 0).then_some(())?;
            }
            Some(())
        };
        group(&mut lookups.files.iter().map(PathBuf::as_path))?;
        group(&mut lookups.present.iter().map(PathBuf::as_path))?;
        group(&mut lookups.directories.iter().map(PathBuf::as_path))?;
        let pairs = lookups.same.iter().flat_map(|(one, other)| [one, other]);
        group(&mut pairs.map(PathBuf::as_path))?;
        group(&mut lookups.distinct.iter().map(PathBuf::as_path))?;
        for (directory, names) in &lookups.absent {
            let names = names.iter().map(PathBuf::as_path);
            group(&mut std::iter::once(directory.as_path()).chain(names))?;
        }
        Some(Self {
            digest: Sha256::digest(&bytes).into(),
            bytes,
        })
    }

    /// The set of this name that [`PathSet::bytes`] gave. The name is not compared with the bytes:
    /// where they are stored, they are checked.
    pub fn named(digest: Digest, bytes: Vec<u8>) -> Self {
        Self { digest, bytes }
    }

    /// The set as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `text` stands in a path.
    pub fn names(&self, text: &str) -> bool {
        memmem::find(&self.bytes, text.as_bytes()).is_some()
    }

    /// The set under the same name, with `directory` wherever `text` stands in a path.
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

    /// Whether there are files in the set.
    pub fn has_files(&self) -> bool {
        SetReader(&self.bytes)
            .group()
            .is_some_and(|files| files.count > 0)
    }

    /// The set's files, in its order.
    pub fn files(&self) -> Option<Vec<&Path>> {
        Some(SetReader(&self.bytes).group()?.collect())
    }

    /// The digests of the set's files, in its order, if everything else is as it was: what was
    /// absent still is, directories are directories, two spellings still lead to one, and search
    /// directories are different ones. Digests are looked up in `table`, and remembered there; in
    /// `memo` too, where several sets are tried. `began` is a time before the first look.
    ///
    /// # Errors
    /// The first place that is otherwise.
    pub fn check(
        &self,
        table: &DigestTable,
        mut memo: Option<&mut CheckMemo>,
        started: CoarseTime,
    ) -> Result<Vec<Digest>, Changed> {
        let mut reader = SetReader(&self.bytes);
        let files = reader.group().ok_or_else(Changed::damaged)?;
        let mut digests = Vec::with_capacity(files.count);
        for path in files {
            let digest = digest_of(path, table, memo.as_deref_mut());
            digests.push(digest.ok_or_else(|| Changed(path.into()))?);
        }
        let expect =
            |holds: bool, path: &Path| holds.then_some(()).ok_or_else(|| Changed(path.into()));
        for path in reader.group().ok_or_else(Changed::damaged)? {
            let is_file = fs::metadata(path).is_ok_and(|found| !found.is_dir());
            expect(is_file, path)?;
        }
        for path in reader.group().ok_or_else(Changed::damaged)? {
            let is_directory = fs::metadata(path).is_ok_and(|found| found.is_dir());
            expect(is_directory, path)?;
        }
        let mut looks = Looks::default();
        let mut pairs = reader.group().ok_or_else(Changed::damaged)?;
        while let Some(one) = pairs.next() {
            let other = pairs.next().ok_or_else(Changed::damaged)?;
            let (seen, real) = (looks.at(one), looks.at(other));
            let is_same = matches!((seen, real), (Ok(seen), Ok(real))
                if seen.stat.identity() == real.stat.identity());
            expect(is_same, one)?;
        }
        let mut known = HashSet::new();
        for path in reader.group().ok_or_else(Changed::damaged)? {
            let seen = looks.at(path);
            let is_new = seen.is_ok_and(|seen| known.insert(seen.stat.identity()));
            expect(is_new, path)?;
        }
        while !reader.0.is_empty() {
            let mut names = reader.group().ok_or_else(Changed::damaged)?;
            let directory = match names.next().ok_or_else(Changed::damaged)? {
                here if here.as_os_str().is_empty() => Path::new("."),
                directory => directory,
            };
            let lacks = match looks.at(directory) {
                Ok(seen) => table.lacks_all(directory, &seen, names.bytes, started),
                // Nothing can be in it.
                Err(kind) => kind == ErrorKind::NotFound,
            };
            expect(lacks, directory)?;
        }
        Ok(digests)
    }
}

/// A place that is not as a path set has it: a file that is gone, a directory that holds a name which
/// it must not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed(pub PathBuf);

impl Changed {
    /// The bytes are no path set.
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

/// Each directory is looked at once, though several groups may name it.
#[derive(Default)]
struct Looks<'b>(HashMap<&'b Path, Result<Sighting, ErrorKind>>);

impl<'b> Looks<'b> {
    fn at(&mut self, path: &'b Path) -> Result<Sighting, ErrorKind> {
        let look = || Sighting::at(path).map_err(|error| error.kind());
        *self.0.entry(path).or_insert_with(look)
    }
}

/// Reads groups of paths: a count (u32, little endian), then each path with a NUL behind it.
struct SetReader<'b>(&'b [u8]);

impl<'b> SetReader<'b> {
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

struct Group<'b> {
    count: usize,
    bytes: &'b [u8],
}

/// The position of the first NUL. memchr would be faster, but for its first call, which asks the processor what it can do:
/// under virtualisation that takes longer than a whole set (docs/benchmarks.md#two-builds).
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
