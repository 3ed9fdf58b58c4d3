//! Shortens the values of a key's fields, and collects the roots whose paths are left in them. Pure.

use super::{PathStarts, RootSet, Roots};

/// Shortens the values of one key.
pub struct Shortener<'r> {
    roots: &'r Roots,
    left: RootSet,
    is_ambiguous: bool,
}

impl<'r> Shortener<'r> {
    /// For a key of a place with these `roots`.
    pub fn new(roots: &'r Roots) -> Self {
        Self {
            roots,
            left: RootSet::default(),
            is_ambiguous: false,
        }
    }

    /// A value in which paths begin where words do.
    pub fn word(&mut self, text: &[u8]) -> Vec<u8> {
        self.text(text, PathStarts::Words)
    }

    /// The path of a source, below the base wherever the working directory is: two directories of one project may have
    /// sources of the same name, whose module ids differ.
    pub fn source(&mut self, path: &[u8]) -> Vec<u8> {
        let short = self.word(path);
        self.roots.below_base(path).unwrap_or(short)
    }

    /// Several of them.
    pub fn words(&mut self, texts: &[Vec<u8>]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| self.word(text)).collect()
    }

    /// The fields of a job. The preprocessor cannot look into a string, but can calculate with a bare path.
    pub fn job(
        &mut self,
        job: &[(&'static str, Vec<Vec<u8>>)],
    ) -> Vec<(&'static str, Vec<Vec<u8>>)> {
        let fields = job.iter().map(|(name, values)| {
            let starts = match *name {
                "define-macro" => PathStarts::Strings,
                _ => PathStarts::Words,
            };
            let values = values.iter().map(|value| self.text(value, starts));
            (*name, values.collect())
        });
        fields.collect()
    }

    /// The paths of the roots that are left in the values so far.
    pub fn places(&self) -> Vec<Vec<u8>> {
        self.roots.paths(self.left)
    }

    /// Whether a value could be taken for a shortened one, so that the key must not be used.
    pub fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    fn text(&mut self, text: &[u8], starts: PathStarts) -> Vec<u8> {
        self.is_ambiguous |= Roots::is_ambiguous(text);
        let (short, left) = self.roots.shorten_text(text, starts);
        self.left = self.left.and(left);
        short
    }
}
