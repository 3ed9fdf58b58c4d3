//! The token digests of a path set's files when a result was compiled. They find the result again after edits that
//! leave all tokens as they are.

use crate::compile::inputs::line_insensitive::ObservedPositions;
use crate::includes::path_set::PathSet;
use crate::includes::tokens::{self, TokenDigests};
use crate::key::{Digest, Digester, Sink};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many results of one path set [`TokenSet::write_before`] keeps. After the first, one takes little room.
const MOST: usize = 8;
/// The first line of a list of token sets.
pub(crate) const TITLE: &[u8] = b"pcache-nvcc token sets 2\n";

/// The digest of a file's content and that of its tokens.
type FileDigests = [Digest; 2];

/// The token digests of a path set's files when a result was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSet {
    /// The key of the result.
    pub result: Digest,
    observed: ObservedPositions,
    files: Vec<FileDigests>,
}

impl TokenSet {
    /// The token set of the result under the key `result`, whose files have these `contents` and `tokens`.
    pub(crate) fn new(
        result: Digest,
        observed: ObservedPositions,
        contents: Vec<Digest>,
        tokens: &[Option<TokenDigests>],
    ) -> Self {
        // No text has this digest, so a file without tokens only matches with equal bytes.
        const NO_TOKENS: Digest = [0; 32];
        let files = contents.into_iter().zip(tokens);
        let files = files.map(|(content, tokens)| {
            let tokens = tokens.as_ref().map(|tokens| seen(tokens, observed));
            [content, tokens.unwrap_or(NO_TOKENS)]
        });
        Self {
            result,
            observed,
            files: files.collect(),
        }
    }

    /// The key under which the token sets of the path set `set` are stored, for the direct key `direct`.
    pub(crate) fn key(direct: &Digest, set: &PathSet) -> Digest {
        let mut sink = Digester::default();
        sink.one("schema", TITLE);
        sink.one("direct", direct);
        sink.one("set", &set.digest);
        sink.finish()
    }

    /// The content digest of each file then.
    pub(crate) fn contents(&self) -> Vec<Digest> {
        self.files.iter().map(|[content, _]| *content).collect()
    }

    /// Whether the files at `paths`, whose digests are `contents` now, still have the same tokens.
    pub(crate) fn hold(&self, paths: &[PathBuf], contents: &[Digest]) -> bool {
        if paths.len() != self.files.len() || contents.len() != self.files.len() {
            return false;
        }
        let files = paths.iter().zip(contents).zip(&self.files);
        let mut changed = files.filter(|((_, now), [then, _])| now != &then);
        // `#pragma once` treats files with equal bytes as one file.
        self.are_told_apart_as_before(contents)
            && changed.all(|((path, now), [_, tokens])| {
                let text = fs::read(path).ok();
                let text = text.filter(|text| Digest::from(Sha256::digest(text)) == *now);
                let current = text.and_then(|text| tokens::digest(&text));
                current.is_some_and(|current| seen(&current, self.observed) == *tokens)
            })
    }

    /// The files at `paths` whose `contents` differ from those of this set, with their present digests.
    pub(crate) fn changed<'p>(
        &'p self,
        paths: &'p [PathBuf],
        contents: &'p [Digest],
    ) -> impl Iterator<Item = (&'p Path, &'p Digest)> {
        let files = paths.iter().zip(contents).zip(&self.files);
        let changed = files.filter(|((_, now), [then, _])| *now != then);
        changed.map(|((path, now), _)| (path.as_path(), now))
    }

    /// Whether the same groups of files have equal bytes now as then.
    fn are_told_apart_as_before(&self, contents: &[Digest]) -> bool {
        let mut pairs = HashSet::new();
        let (mut then, mut now) = (HashSet::new(), HashSet::new());
        for ([content, _], current) in self.files.iter().zip(contents) {
            pairs.insert((content, current));
            then.insert(content);
            now.insert(current);
        }
        pairs.len() == then.len() && pairs.len() == now.len()
    }

    /// This set and the newest of `others` as bytes: a title, then for each set the key of the result, a byte for
    /// the observed positions, and a number of files (u32, little endian). In the first set all files follow, in
    /// others those that differ from the first, each after its place (u32). A file is two digests.
    pub(crate) fn write_before(&self, others: &[Self]) -> Vec<u8> {
        let mut bytes = TITLE.to_vec();
        self.write_head(self.files.len(), &mut bytes);
        bytes.extend(self.files.as_flattened().as_flattened());
        let others = others
            .iter()
            .filter(|other| other.result != self.result && other.files.len() == self.files.len());
        for other in others.take(MOST - 1) {
            let pairs = (0_u32..).zip(other.files.iter().zip(&self.files));
            let differing: Vec<_> = pairs.filter(|(_, (one, first))| one != first).collect();
            other.write_head(differing.len(), &mut bytes);
            for (place, (file, _)) in differing {
                bytes.extend(place.to_le_bytes());
                bytes.extend(file.as_flattened());
            }
        }
        bytes
    }

    fn write_head(&self, count: usize, bytes: &mut Vec<u8>) {
        bytes.extend(self.result);
        bytes.push(self.observed as u8);
        bytes.extend(u32::try_from(count).unwrap_or(0).to_le_bytes());
    }

    /// The sets that [`TokenSet::write_before`] wrote.
    pub(crate) fn read_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let mut reader = SetsReader(bytes.strip_prefix(TITLE)?);
        let mut sets: Vec<Self> = Vec::new();
        while !reader.0.is_empty() {
            let result = *reader.take()?;
            let [observed] = *reader.take()?;
            let count = reader.number()?;
            let files = match sets.first() {
                None => (0..count).map(|_| reader.file()).collect::<Option<_>>()?,
                Some(first) => {
                    let mut files = first.files.clone();
                    for _ in 0..count {
                        let place = reader.number()?;
                        *files.get_mut(place)? = reader.file()?;
                    }
                    files
                }
            };
            sets.push(Self {
                result,
                observed: match observed {
                    0 => ObservedPositions::Lines,
                    _ => ObservedPositions::Columns,
                },
                files,
            });
        }
        Some(sets)
    }
}

/// The rest of a list of sets.
struct SetsReader<'b>(&'b [u8]);

impl<'b> SetsReader<'b> {
    fn take<const LENGTH: usize>(&mut self) -> Option<&'b [u8; LENGTH]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(*self.take()?) as usize)
    }

    fn file(&mut self) -> Option<FileDigests> {
        Some([*self.take()?, *self.take()?])
    }
}

/// The digest that includes the `observed` positions.
fn seen(tokens: &TokenDigests, observed: ObservedPositions) -> Digest {
    match observed {
        ObservedPositions::Lines => tokens.lines,
        ObservedPositions::Columns => tokens.columns,
    }
}
