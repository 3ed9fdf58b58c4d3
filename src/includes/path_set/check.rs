//! The check of a path set: reads its bytes part by part, and compares each with the disk.

use crate::includes::digests::{DigestTable, Sighting, Viewer};
use crate::includes::lookups::FileCopy;
use crate::key::{Digest, Roots};
use crate::stat::{CoarseTime, Stat};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;

/// How many files one thread looks at. Starting a thread takes about as long as looking at 20 files.
const SHARE: usize = 1000;

/// More bytes than a file has that compiles read. A path set from another machine may name any file, which must not cost
/// the compile its time.
const LARGEST: u64 = 256 << 20;

/// Most threads that look at one set's files: a build has other compiles to run.
const MOST_THREADS: usize = 4;

/// Digests of the files that one invocation has looked up: the path sets of one key share most files.
pub type CheckMemo = HashMap<PathBuf, Option<Digest>>;

/// A path for which a path set does not hold: say, a file that is gone, or a directory with a name that must be
/// absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed(pub PathBuf);

/// Checks one set.
pub(super) struct Checker<'a> {
    pub reader: SetReader<'a>,
    table: &'a DigestTable,
    roots: &'a Roots,
    /// What is at each directory, by its short form: several groups may name it.
    looks: HashMap<&'a [u8], Result<Sighting, ErrorKind>>,
    /// Holds the path at hand.
    buffer: Vec<u8>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(bytes: &'a [u8], table: &'a DigestTable, roots: &'a Roots) -> Self {
        Self {
            reader: SetReader(bytes),
            table,
            roots,
            looks: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    /// The digests of the set's `files`.
    pub(super) fn digests(
        &self,
        files: &Group<'a>,
        memo: Option<&mut CheckMemo>,
    ) -> Result<Vec<Digest>, Changed> {
        let threads = (files.count / SHARE).clamp(1, MOST_THREADS);
        if memo.is_some() || threads == 1 {
            return self.digests_of_share(files.clone(), memo);
        }
        let mut shares = files.shares(threads).into_iter();
        let own = shares.next().unwrap_or_default();
        thread::scope(|scope| {
            let started: Vec<_> = shares
                .map(|share| {
                    let work = share.clone();
                    let start = || self.digests_of_share(work, None);
                    (thread::Builder::new().spawn_scoped(scope, start), share)
                })
                .collect();
            let mut digests = self.digests_of_share(own, None)?;
            for (thread, share) in started {
                let found = match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|_| Err(damaged())),
                    // The system allows no more threads.
                    Err(_) => self.digests_of_share(share, None),
                };
                digests.extend(found?);
            }
            Ok(digests)
        })
    }

    fn digests_of_share(
        &self,
        files: Group<'a>,
        mut memo: Option<&mut CheckMemo>,
    ) -> Result<Vec<Digest>, Changed> {
        let mut digests = Vec::with_capacity(files.count);
        let (mut viewer, mut buffer) = (Viewer::default(), Vec::new());
        let mut files = files.peekable();
        while let Some(short) = files.next() {
            let has_neighbour = files.peek().is_some_and(|next| are_neighbours(short, next));
            let path = expanded(self.roots, short, &mut buffer)?;
            let mut find = || {
                let seen = viewer.look(path, has_neighbour);
                let found = self.table.digest_of_at_most(path, seen, LARGEST);
                found.ok().map(|(_, digest)| digest)
            };
            let digest = match memo.as_deref_mut() {
                Some(memo) => *memo.entry(path.to_owned()).or_insert_with(find),
                None => find(),
            };
            digests.push(digest.ok_or_else(|| Changed(path.into()))?);
        }
        Ok(digests)
    }

    /// Checks the paths that must be files, and those that must be directories.
    pub(super) fn check_kinds(&mut self) -> Result<(), Changed> {
        for is_directory in [false, true] {
            for short in self.reader.group()? {
                let path = expanded(self.roots, short, &mut self.buffer)?;
                let metadata = fs::metadata(path);
                let is_right = metadata.is_ok_and(|metadata| metadata.is_dir() == is_directory);
                expect(is_right, path)?;
            }
        }
        Ok(())
    }

    /// Checks the pairs of paths that must lead to the same directory, of which the second is the shorter one or is
    /// not; and the search directories, which must be different ones.
    pub(super) fn check_identities(&mut self) -> Result<(), Changed> {
        let mut other_buffer = Vec::new();
        for is_shorter in [true, false] {
            let mut pairs = self.reader.group()?;
            while let Some(one) = pairs.next() {
                let real = pairs.next().ok_or_else(damaged)?;
                let is_same = matches!((self.look(one)?, self.look(real)?), (Ok(seen), Ok(real))
                    if seen.stat.identity() == real.stat.identity());
                let one = expanded(self.roots, one, &mut self.buffer)?;
                let real = expanded(self.roots, real, &mut other_buffer)?;
                let is_shorter_now = real.as_os_str().len() < one.as_os_str().len();
                // Without roots, the paths are those of the compile.
                let is_fixed = self.roots.is_empty();
                expect(is_same && (is_fixed || is_shorter_now == is_shorter), one)?;
            }
        }
        let mut identities = HashSet::new();
        for short in self.reader.group()? {
            let seen = self.look(short)?;
            let is_new = seen.is_ok_and(|seen| identities.insert(seen.stat.identity()));
            expect(is_new, expanded(self.roots, short, &mut self.buffer)?)?;
        }
        Ok(())
    }

    /// Checks which copies of a header among `files` were written in the same second, and which are the same file.
    pub(super) fn check_copies(&mut self, files: Group<'a>) -> Result<(), Changed> {
        let groups = self.reader.number()?;
        if groups == 0 {
            return Ok(());
        }
        let files: Vec<_> = files.collect();
        for _ in 0..groups {
            let mut others: Vec<(FileCopy, Stat)> = Vec::new();
            for _ in 0..self.reader.number()? {
                let copy = FileCopy {
                    file: self.reader.number()?,
                    time: self.reader.number()?,
                    inode: self.reader.number()?,
                };
                let short = files.get(copy.file as usize).ok_or_else(damaged)?;
                let path = expanded(self.roots, short, &mut self.buffer)?;
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

    /// Checks the rest of the set: groups of a directory and the names that must be absent in it.
    pub(super) fn check_absent(&mut self, started: CoarseTime) -> Result<(), Changed> {
        while !self.reader.0.is_empty() {
            let mut names = self.reader.group()?;
            let short = names.next().ok_or_else(damaged)?;
            let seen = self.look(short)?;
            let directory = directory(self.roots, short, &mut self.buffer)?;
            let lacks = match seen {
                Ok(seen) => self.table.lacks_all(directory, &seen, names.bytes, started),
                // A missing directory holds none of the names.
                Err(kind) => kind == ErrorKind::NotFound,
            };
            expect(lacks, directory)?;
        }
        Ok(())
    }

    /// What is at a directory.
    fn look(&mut self, short: &'a [u8]) -> Result<Result<Sighting, ErrorKind>, Changed> {
        if let Some(seen) = self.looks.get(short) {
            return Ok(*seen);
        }
        let path = directory(self.roots, short, &mut self.buffer)?;
        let seen = Sighting::at(path).map_err(|error| error.kind());
        self.looks.insert(short, seen);
        Ok(seen)
    }
}

/// Whether two paths in their short forms lie in one directory.
fn are_neighbours(one: &[u8], other: &[u8]) -> bool {
    let slash = one.iter().rposition(|byte| *byte == b'/');
    slash.is_some_and(|slash| {
        let name = other.strip_prefix(&one[..=slash]);
        name.is_some_and(|name| !name.contains(&b'/'))
    })
}

/// The path that a set holds in its short form.
fn expanded<'b>(
    roots: &Roots,
    short: &'b [u8],
    buffer: &'b mut Vec<u8>,
) -> Result<&'b Path, Changed> {
    let unknown = || Changed(Path::new(OsStr::from_bytes(&Roots::shown(short))).into());
    roots.expand(short, buffer).ok_or_else(unknown)
}

/// The same for a directory, which is empty for the working directory.
fn directory<'b>(
    roots: &Roots,
    short: &'b [u8],
    buffer: &'b mut Vec<u8>,
) -> Result<&'b Path, Changed> {
    let path = expanded(roots, short, buffer)?;
    Ok(if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    })
}

/// The error for bytes that are not a path set: an empty path.
fn damaged() -> Changed {
    Changed(Path::new("").into())
}

fn expect(holds: bool, path: &Path) -> Result<(), Changed> {
    holds.then_some(()).ok_or_else(|| Changed(path.into()))
}

/// Reads the parts of a set. Groups of paths are a count (u32, little endian), then each path followed by a NUL.
pub(super) struct SetReader<'b>(pub &'b [u8]);

impl<'b> SetReader<'b> {
    pub(super) fn number(&mut self) -> Result<u32, Changed> {
        let (number, rest) = self.0.split_first_chunk().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*number))
    }

    pub(super) fn group(&mut self) -> Result<Group<'b>, Changed> {
        let count = self.number()? as usize;
        let mut end = 0;
        for _ in 0..count {
            end += end_of_name(&self.0[end..]).ok_or_else(damaged)? + 1;
        }
        let (bytes, rest) = self.0.split_at(end);
        self.0 = rest;
        Ok(Group { count, bytes })
    }
}

/// Paths in their short forms.
#[derive(Clone, Default)]
pub(super) struct Group<'b> {
    pub count: usize,
    bytes: &'b [u8],
}

impl<'b> Group<'b> {
    /// The group in `number` parts of about the same count.
    fn shares(&self, number: usize) -> Vec<Self> {
        let mut rest = self.clone();
        let mut shares = Vec::new();
        for left in (1..=number).rev() {
            let (count, bytes) = (rest.count / left, rest.bytes);
            rest.by_ref().take(count).for_each(drop);
            rest.count -= count;
            let bytes = &bytes[..bytes.len() - rest.bytes.len()];
            shares.push(Self { count, bytes });
        }
        shares
    }
}

/// The position of the first NUL. memchr would be faster except for its first call, which queries the processor's
/// features: in a virtual machine that takes longer than a whole set (docs/benchmarks.md#two-builds).
fn end_of_name(bytes: &[u8]) -> Option<usize> {
    let name = CStr::from_bytes_until_nul(bytes).ok()?;
    Some(name.to_bytes().len())
}

impl<'b> Iterator for Group<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let end = end_of_name(self.bytes)?;
        let path = &self.bytes[..end];
        self.bytes = &self.bytes[end + 1..];
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::SHARE;
    use crate::includes::digests::DigestTable;
    use crate::includes::lookups::Lookups;
    use crate::includes::path_set::PathSet;
    use crate::key::Roots;
    use crate::stat::CoarseTime;
    use std::fs;

    #[test]
    fn threads_find_the_digests_of_a_large_set_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut lookups = Lookups::default();
        for number in 0..SHARE * 2 + 7 {
            let directory = dir.path().join(format!("{}", number % 40));
            let path = directory.join(format!("{number}.h"));
            fs::create_dir_all(&directory).unwrap();
            fs::write(&path, format!("{number}")).unwrap();
            lookups.files.insert(path);
        }
        let (table, roots) = (DigestTable::nowhere(), Roots::default());
        let set = PathSet::new(&lookups, &roots).unwrap();
        let check = || set.check(&table, None, CoarseTime::now(), &roots);
        let files = set.files(&roots).unwrap();
        let digest = |path| table.digest_of(path).unwrap().1;
        let expected: Vec<_> = files.iter().map(|path| digest(path)).collect();
        assert_eq!(check().unwrap(), expected);
        for number in [SHARE * 2 + 6, SHARE, 0] {
            fs::remove_file(&files[number]).unwrap();
            assert_eq!(check().unwrap_err().0, files[number]);
        }
    }
}
