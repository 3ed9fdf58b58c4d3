//! A path set: [`Lookups`] as bytes that a hit can check without building a map, and the check.
//! `docs/design/store.md` draws the bytes. The store checks their integrity.

mod check;
mod front_coding;

use super::digests::DigestTable;
use super::lookups::Lookups;
use crate::key::{Digest, Roots};
use crate::stat::CoarseTime;
pub use check::{Changed, CheckMemo};
use check::{Checker, SetReader};
use memchr::memmem;
use sha2::{Digest as _, Sha256};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

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
pub const TITLE: &[u8] = b"pcache-nvcc path sets 3\n";

/// More bytes than any real set has, to refuse damaged lists.
const LONGEST: usize = 64 << 20;

/// The list `sets` with `set` first, as bytes: a title, then each set as its digest, the length of what follows (u64,
/// little endian) and its bytes, each path without what it has in common with the one before. `None` if `set` is the first already.
pub fn list_with(set: PathSet, sets: Vec<PathSet>) -> Option<Vec<u8>> {
    if sets.first() == Some(&set) {
        return None;
    }
    let mut bytes = TITLE.to_vec();
    let others = sets.iter().filter(|other| **other != set);
    for set in std::iter::once(&set).chain(others).take(MOST_SETS) {
        bytes.extend(set.digest);
        let encoded = front_coding::encode(&set.bytes);
        bytes.extend((encoded.len() as u64).to_le_bytes());
        bytes.extend(encoded);
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
        sets.push(PathSet::named(*digest, front_coding::decode(set, LONGEST)?));
        rest = after;
    }
    Some(sets)
}

impl PathSet {
    /// The path set of `lookups`, with paths below `roots` in their short form. `None` if a path holds a byte that no
    /// plain path has.
    pub fn new(lookups: &Lookups, roots: &Roots) -> Option<Self> {
        let mut writer = SetWriter::new(roots);
        // In the order of the short forms, which is the same in every place.
        let mut files = Vec::new();
        for (at, path) in (0..).zip(&lookups.files) {
            files.push((writer.short(path)?, at));
        }
        files.sort();
        writer.group(files.iter().map(|(path, _)| path.clone()))?;
        writer.paths(lookups.present.iter())?;
        writer.paths(lookups.directories.iter())?;
        // GCC takes the shorter name of a system header, so it matters which of two is shorter.
        for is_shorter in [true, false] {
            let pairs = lookups.same.iter().filter(|(one, real)| {
                (real.as_os_str().len() < one.as_os_str().len()) == is_shorter
            });
            let mut short = Vec::new();
            for (one, real) in pairs {
                short.push([writer.short(one)?, writer.short(real)?]);
            }
            short.sort();
            writer.group(short.into_iter().flatten())?;
        }
        writer.paths(lookups.distinct.iter())?;
        let place = |file: u32| files.iter().position(|(_, at)| *at == file);
        writer.number(lookups.copies.len())?;
        for copies in &lookups.copies {
            writer.number(copies.len())?;
            for copy in copies {
                writer.number(place(copy.file)?)?;
                writer.number(copy.time as usize)?;
                writer.number(copy.inode as usize)?;
            }
        }
        let mut absent = Vec::new();
        for (directory, names) in &lookups.absent {
            absent.push((writer.short(directory)?, names));
        }
        absent.sort();
        for (directory, names) in absent {
            let names = names
                .iter()
                .map(|name| name.as_os_str().as_bytes().to_vec());
            writer.group(std::iter::once(directory).chain(names))?;
        }
        let bytes = writer.bytes;
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

    /// Whether the check of this set reads only files that `reads` allows, and looks only at other paths that `looks`
    /// allows; for a set from elsewhere. Both are called with short forms.
    pub fn stays_below(
        &self,
        reads: &dyn Fn(&[u8]) -> bool,
        looks: &dyn Fn(&[u8]) -> bool,
    ) -> bool {
        self.try_stays_below(reads, looks).unwrap_or(false)
    }

    fn try_stays_below(
        &self,
        reads: &dyn Fn(&[u8]) -> bool,
        looks: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, Changed> {
        let mut reader = SetReader(&self.bytes);
        if !reader.group()?.all(reads) {
            return Ok(false);
        }
        // What is present, directories, two groups of pairs, and search directories.
        for _ in 0..5 {
            if !reader.group()?.all(looks) {
                return Ok(false);
            }
        }
        for _ in 0..reader.number()? {
            for _ in 0..reader.number()? {
                // The place of a file, and two numbers.
                for _ in 0..3 {
                    reader.number()?;
                }
            }
        }
        let is_inside = |name: &[u8]| {
            let name = to_path(name);
            let mut parts = name.components();
            parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        while !reader.0.is_empty() {
            let mut names = reader.group()?;
            if !names.next().is_some_and(looks) || !names.all(is_inside) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the set has files.
    pub fn has_files(&self) -> bool {
        let files = SetReader(&self.bytes).group();
        files.is_ok_and(|files| files.count > 0)
    }

    /// The set's files, in its order. `None` if a root is unknown here, or the bytes are no set.
    pub fn files(&self, roots: &Roots) -> Option<Vec<PathBuf>> {
        let mut buffer = Vec::new();
        let files = SetReader(&self.bytes).group().ok()?;
        let paths = files.map(|path| roots.expand(path, &mut buffer).map(Path::to_owned));
        paths.collect()
    }

    /// The set's files as users see them, with the names of roots.
    pub fn shown_files(&self) -> Option<Vec<PathBuf>> {
        let files = SetReader(&self.bytes).group().ok()?;
        let shown = files.map(|path| to_path(&Roots::shown(path)));
        Some(shown.collect())
    }

    /// Returns the digests of the set's files, in its order, if everything else still holds: absent
    /// names are absent, files are files, directories are directories, pairs of paths lead to one directory,
    /// search directories are different directories, and the same copies of headers have the same times. Looks
    /// digests up in `table` and remembers them there, and also in `memo` if the caller tries several sets. `roots`
    /// are those of this place. `started` is a time before the first look.
    ///
    /// # Errors
    /// The first path for which the set does not hold.
    pub fn check(
        &self,
        table: &DigestTable,
        memo: Option<&mut CheckMemo>,
        started: CoarseTime,
        roots: &Roots,
    ) -> Result<Vec<Digest>, Changed> {
        let mut checker = Checker::new(&self.bytes, table, roots);
        let files = checker.reader.group()?;
        let digests = checker.digests(&files, memo)?;
        checker.check_kinds()?;
        checker.check_identities()?;
        checker.check_copies(files)?;
        checker.check_absent(started)?;
        Ok(digests)
    }
}

/// Writes the parts of a set.
struct SetWriter<'r> {
    roots: &'r Roots,
    bytes: Vec<u8>,
}

impl<'r> SetWriter<'r> {
    fn new(roots: &'r Roots) -> Self {
        let bytes = Vec::new();
        Self { roots, bytes }
    }

    /// The short form of a path. `None` if it holds a NUL, or cannot be told from a short form.
    fn short(&self, path: &Path) -> Option<Vec<u8>> {
        let path = path.as_os_str().as_bytes();
        let short = self.roots.shorten(path)?;
        path.iter()
            .all(|&byte| byte != 0)
            .then(|| short.into_owned())
    }

    fn number(&mut self, number: usize) -> Option<()> {
        self.bytes.extend(u32::try_from(number).ok()?.to_le_bytes());
        Some(())
    }

    /// Adds a group of paths, sorted by their short forms.
    fn paths<'p>(&mut self, paths: impl Iterator<Item = &'p PathBuf>) -> Option<()> {
        let mut short = Vec::new();
        for path in paths {
            short.push(self.short(path)?);
        }
        short.sort();
        self.group(short.into_iter())
    }

    fn group(&mut self, paths: impl Iterator<Item = Vec<u8>>) -> Option<()> {
        let paths: Vec<_> = paths.collect();
        self.number(paths.len())?;
        for path in paths {
            self.bytes.extend(path);
            self.bytes.push(0);
        }
        Some(())
    }
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
