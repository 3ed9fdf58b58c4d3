//! Headers with equal bytes. GCC does not read a header that asks to be read once if it has read another one with the
//! same bytes and the same modification time, in whole seconds (`has_unique_contents` in its `libcpp/files.cc`). Clang
//! does not read it if both are the same file; and of any file that has several names, it prints one. So a path set
//! records both.

use super::reads::{NotStored, Preprocessor, Reads};
use crate::includes::scan::Mentions;
use crate::stat::Stat;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// One of several files with the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCopy {
    /// Its index among the files of the set.
    pub file: u32,
    /// Copies with equal numbers were written in the same second, and others were not.
    pub time: u32,
    /// Copies with equal numbers are the same file, and others are not.
    pub inode: u32,
}

/// The contents of the headers that ask to be read once, and of all files that clang read; each content once.
#[derive(Default)]
pub(super) struct OnceContents {
    contents: Vec<Rc<Vec<u8>>>,
    by_size: HashMap<u64, Vec<usize>>,
}

impl OnceContents {
    /// The contents of the sources of `reads` whose text has the word `once`, or of all sources.
    pub(super) fn of(reads: &Reads, mentions: &[(&Path, Mentions)]) -> Self {
        let mut found = Self::default();
        let is_clang = reads.preprocessor == Preprocessor::Clang;
        let counts = |mentions: &Mentions| is_clang || mentions.reads_once;
        for (path, _) in mentions.iter().filter(|(_, found)| counts(found)) {
            if let Some(text) = reads.sources.get(*path)
                && found.find(text).is_none()
            {
                let same_size = found.by_size.entry(text.len() as u64).or_default();
                same_size.push(found.contents.len());
                found.contents.push(text.clone());
            }
        }
        found
    }

    /// Whether no header asks to be read once.
    pub(super) fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    /// Whether the file at `path` has one of these contents.
    pub(super) fn hold(&self, path: &Path) -> Result<bool, NotStored> {
        Ok(self.look(path)?.is_some())
    }

    /// The groups of equal files among `files`, the files of the path set.
    pub(super) fn copies(
        &self,
        files: &BTreeSet<PathBuf>,
        reads: &Reads,
    ) -> Result<Vec<Vec<FileCopy>>, NotStored> {
        let mut groups: Vec<Vec<(u32, Stat)>> = vec![Vec::new(); self.contents.len()];
        for (file, path) in (0..).zip(files) {
            let content = match reads.sources.get(path) {
                Some(text) => self.find(text),
                None => self.look(path)?,
            };
            if let Some(content) = content {
                let metadata = fs::metadata(path).map_err(failed(path))?;
                groups[content].push((file, Stat::from(&metadata)));
            }
        }
        groups.retain(|group| group.len() > 1);
        Ok(groups.iter().map(|group| numbered(group)).collect())
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        let mut same_size = self.by_size.get(&(text.len() as u64))?.iter().copied();
        same_size.find(|&content| **self.contents[content] == *text)
    }

    /// The number of the content that the file at `path` has.
    fn look(&self, path: &Path) -> Result<Option<usize>, NotStored> {
        let size = fs::metadata(path).map_err(failed(path))?.len();
        if !self.by_size.contains_key(&size) {
            return Ok(None);
        }
        Ok(self.find(&fs::read(path).map_err(failed(path))?))
    }
}

/// The files of a group, each with its stat, as [`FileCopy`].
fn numbered(group: &[(u32, Stat)]) -> Vec<FileCopy> {
    let (mut times, mut inodes) = (Vec::new(), Vec::new());
    let copies = group.iter().map(|(file, stat)| FileCopy {
        file: *file,
        time: number(&mut times, stat.second_of_writing()),
        inode: number(&mut inodes, stat.identity()),
    });
    copies.collect()
}

/// The index of `value` in `known`, to which it is added if it is missing.
fn number<T: PartialEq>(known: &mut Vec<T>, value: T) -> u32 {
    let at = known.iter().position(|other| *other == value);
    let at = at.unwrap_or_else(|| {
        known.push(value);
        known.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> NotStored {
    move |error| format!("{}: {error}", path.display())
}
