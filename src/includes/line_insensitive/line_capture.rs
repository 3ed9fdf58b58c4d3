//! Finds the declarations of a preprocessed text that capture lines: those that mention a line-capturing function.
//! Starts from the builtins and adds each function that captures its caller's line through one already known, until
//! the set is closed; or finds out why names are not enough to track them.

use super::capture_site::{self, CaptureSite};
use super::chunks::{Chunk, cut};
use super::doubt::DigestRefusal;
use super::keeps::{Keeps, UntrackableCapture};
use super::{classes, shapes, variables};
use memchr::{memmem, memrchr};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Builtins that give a program a line number of its source.
const BUILTINS: [&[u8]; 3] = [
    b"__builtin_LINE",
    b"__builtin_COLUMN",
    b"__builtin_source_location",
];

/// The macro, if the preprocessor has left it for another tool to expand.
const MACRO: &[u8] = b"__LINE__";

/// The operator with a directive in a string, if the preprocessor has left it.
const PRAGMA: &[u8] = b"_Pragma";

/// Limit on the number of names that are tracked.
const MOST_NAMES: usize = 64;

/// What a line-capturing name denotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CaptureName {
    Builtin,
    Function,
    Class,
}

/// The declarations that keep their line numbers.
pub(super) struct CapturedRanges {
    /// The declarations as ranges of the text.
    pub ranges: Vec<Range<usize>>,
    /// A summary for reports.
    pub keeps: Keeps,
}

/// The search for the closed set of line-capturing names.
struct CaptureSearch<'t> {
    text: &'t [u8],
    cuts: Vec<Range<usize>>,
    chunks: HashMap<usize, Chunk<'t>>,
    names: HashMap<Vec<u8>, CaptureName>,
    left: Vec<Vec<u8>>,
    capturing: BTreeSet<usize>,
}

/// Why the search ended without an answer.
enum Stop {
    Refused(DigestRefusal),
    UntrackableCapture(Vec<u8>, UntrackableCapture),
}

/// The declarations of `text` that capture lines.
pub(super) fn find(text: &[u8]) -> Result<CapturedRanges, DigestRefusal> {
    let mentioned: Vec<&[u8]> = BUILTINS
        .into_iter()
        .filter(|name| hits(text, name).next().is_some())
        .collect();
    let has_macro = hits(text, MACRO).next().is_some();
    if mentioned.is_empty() && !has_macro {
        return Ok(CapturedRanges {
            ranges: Vec::new(),
            keeps: Keeps::Nothing,
        });
    }
    let everything = |name: Vec<u8>, why| CapturedRanges {
        ranges: std::iter::once(0..text.len()).collect(),
        keeps: Keeps::Everything { name, why },
    };
    if has_macro {
        return Ok(everything(MACRO.to_owned(), UntrackableCapture::Directive));
    }
    if hits(text, PRAGMA).next().is_some() {
        return Ok(everything(PRAGMA.to_owned(), UntrackableCapture::Directive));
    }
    let mut search = CaptureSearch {
        text,
        cuts: cut(text)?,
        chunks: HashMap::new(),
        names: HashMap::new(),
        left: Vec::new(),
        capturing: BTreeSet::new(),
    };
    for name in mentioned {
        search.names.insert(name.to_owned(), CaptureName::Builtin);
        search.left.push(name.to_owned());
    }
    match search.run() {
        Ok(()) => Ok(search.taken()),
        Err(Stop::Refused(doubt)) => Err(doubt),
        Err(Stop::UntrackableCapture(name, why)) => Ok(everything(name, why)),
    }
}

impl<'t> CaptureSearch<'t> {
    fn run(&mut self) -> Result<(), Stop> {
        while let Some(name) = self.left.pop() {
            self.resolve(&name)?;
            if self.names.len() > MOST_NAMES {
                return Err(Stop::UntrackableCapture(name, UntrackableCapture::TooMany));
            }
        }
        Ok(())
    }

    /// Examines every mention of `name`.
    fn resolve(&mut self, name: &[u8]) -> Result<(), Stop> {
        for at in hits(self.text, name) {
            let Some((number, token)) = self.locate(name, at)? else {
                continue;
            };
            let chunk = &self.chunks[&number];
            let mut sort = self.names[name];
            if sort == CaptureName::Function && classes::may_name_class(chunk, token) {
                sort = CaptureName::Class;
                self.names.insert(name.to_owned(), sort);
                self.left.push(name.to_owned());
            }
            // A declaration with a mention keeps its lines, whatever the mention means there.
            self.capturing.insert(number);
            let caller = passed_by(chunk, token, sort)
                .map_err(|why| Stop::UntrackableCapture(name.to_owned(), why))?;
            if let Some(caller) = caller {
                self.add(caller)?;
            }
        }
        Ok(())
    }

    /// The chunk and the token of the mention at byte `at`; `None` if the mention is not code. Fails if it is in a
    /// directive.
    fn locate(&mut self, name: &[u8], at: usize) -> Result<Option<(usize, usize)>, Stop> {
        let number = self.cuts.partition_point(|range| range.end <= at);
        if self
            .cuts
            .get(number)
            .is_some_and(|range| range.contains(&at))
        {
            if !self.chunks.contains_key(&number) {
                let chunk = Chunk::read(self.text, &self.cuts[number]).map_err(Stop::Refused)?;
                self.chunks.insert(number, chunk);
            }
            if let Some(token) = self.chunks[&number].at_byte(at) {
                return Ok(Some((number, token)));
            }
        }
        let start = memrchr(b'\n', &self.text[..at]).map_or(0, |newline| newline + 1);
        let line = self.text[start..at].trim_ascii_start();
        let after = line.strip_prefix(b"#").map(<[u8]>::trim_ascii_start);
        match after {
            Some(after) if !after.first().is_some_and(u8::is_ascii_digit) => Err(
                Stop::UntrackableCapture(name.to_owned(), UntrackableCapture::Directive),
            ),
            _ => Ok(None),
        }
    }

    /// Adds a function that takes its caller's line.
    fn add(&mut self, name: Vec<u8>) -> Result<(), Stop> {
        if capture_site::is_implicit(&name) {
            return Err(Stop::UntrackableCapture(name, UntrackableCapture::Implicit));
        }
        if !self.names.contains_key(&name) {
            self.names.insert(name.clone(), CaptureName::Function);
            self.left.push(name);
        }
        Ok(())
    }

    fn taken(self) -> CapturedRanges {
        let mut names: Vec<_> = self.names.into_keys().collect();
        names.sort();
        let ranges: Vec<_> = self
            .capturing
            .iter()
            .map(|number| self.cuts[*number].clone())
            .collect();
        let keeps = Keeps::Chunks {
            names,
            count: ranges.len(),
        };
        CapturedRanges { ranges, keeps }
    }
}

/// The function that captures its caller's line through the mention at `at` of a name of this `sort`, if there is
/// one.
fn passed_by(
    chunk: &Chunk<'_>,
    at: usize,
    sort: CaptureName,
) -> Result<Option<Vec<u8>>, UntrackableCapture> {
    match sort {
        CaptureName::Class if classes::is_harmless(chunk, at) => return Ok(None),
        CaptureName::Class => return Err(UntrackableCapture::Class),
        CaptureName::Function if variables::is_variable(chunk, at) => return Ok(None),
        CaptureName::Function | CaptureName::Builtin if !shapes::is_call(chunk, at) => {
            return Err(UntrackableCapture::Mention);
        }
        CaptureName::Function | CaptureName::Builtin => {}
    }
    Ok(match capture_site::place(chunk, at)? {
        CaptureSite::Default(name) => Some(name.to_owned()),
        CaptureSite::Own | CaptureSite::Declared => None,
    })
}

/// The positions of `name` as a word.
fn hits<'t>(text: &'t [u8], name: &[u8]) -> impl Iterator<Item = usize> + use<'t> {
    let length = name.len();
    let positions: Vec<usize> = memmem::find_iter(text, name).collect();
    positions.into_iter().filter(move |&at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        !before.is_some_and(is_word) && !text.get(at + length).is_some_and(is_word)
    })
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}
