//! A digest of a preprocessed text that does not change when lines only move. Compiles of texts with equal digests
//! give equal results if they produce no debug information. docs/design/semantic.md has the proof.
//!
//! | module         | part                                                               |
//! |----------------|--------------------------------------------------------------------|
//! | `doubt`        | why a text has no such digest                                      |
//! | `keeps`        | which lines keep their numbers, and why all do                     |
//! | `lines`        | lines, markers, and the number of each line                        |
//! | `names`        | whether markers name files other than those that were entered      |
//! | `words`        | the words that determine the kind of a declaration                 |
//! | `chunks`       | the declarations of a text, and the brackets of one of them        |
//! | `shapes`       | where declarations begin, and their parts                          |
//! | `capture_site` | the places in which a call is known not to capture another line    |
//! | `variables`    | mentions of a name that do not mean the function                   |
//! | `classes`      | classes that are only thrown                                       |
//! | `line_capture` | the functions that take their callers' lines, and their mentions   |
//!
//! The caller must ensure that no compiler option makes the output depend on line numbers.

mod capture_site;
mod chunks;
mod classes;
mod doubt;
mod keeps;
mod line_capture;
mod lines;
mod names;
mod shapes;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_shapes;
mod variables;
mod words;

use crate::key::Roots;
use lines::{LineSort, Lines};
use names::LineNames;
use sha2::{Digest as _, Sha256};
use std::ops::Range;

pub use doubt::DigestRefusal;
pub use keeps::{Keeps, UntrackableCapture};

/// The version of the digest, hashed before the text.
const SCHEMA: &[u8] = b"pcache-nvcc moved 3\0";

/// The line-insensitive digest of a text, and the lines whose numbers are part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineInsensitiveDigest {
    /// SHA-256.
    pub digest: [u8; 32],
    /// Likewise, with the names of files below those of roots.
    pub placeless: [u8; 32],
    /// The lines whose numbers are part of the digest, for reports.
    pub keeps: Keeps,
    /// Whether `#line` gives lines of one file the name of another, in a text that GCC has preprocessed.
    pub renames: bool,
}

/// The digest of `text`, which a preprocessor or cudafe++ has written.
pub fn line_insensitive_digest(text: &[u8]) -> Result<LineInsensitiveDigest, DigestRefusal> {
    digest_in_place(text, &Roots::default())
}

/// The digest of `text` where these are the `roots`.
pub fn digest_in_place(text: &[u8], roots: &Roots) -> Result<LineInsensitiveDigest, DigestRefusal> {
    let raw = lines::opaque(text)?;
    let taken = line_capture::find(text)?;
    let ([digest, placeless], renames) = digests(text, &raw, &taken.ranges, roots)?;
    Ok(LineInsensitiveDigest {
        digest,
        placeless,
        keeps: taken.keeps,
        renames,
    })
}

/// Digests every line except blank ones and markers that only change the number, and the numbers of the lines in
/// `kept`: once as it is, and once with names below those of `roots`. Also returns whether markers rename files.
fn digests(
    text: &[u8],
    raw: &[Range<usize>],
    kept: &[Range<usize>],
    roots: &Roots,
) -> Result<([[u8; 32]; 2], bool), DigestRefusal> {
    let mut names = LineNames::default();
    let mut hashers = [
        Sha256::new_with_prefix(SCHEMA),
        Sha256::new_with_prefix(SCHEMA),
    ];
    let update = |hashers: &mut [Sha256; 2], bytes: &[u8]| {
        hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
    };
    let mut kept = kept.iter().peekable();
    let mut run = 0..0;
    let mut lines = Lines::new(text, raw);
    for line in lines.by_ref() {
        while kept.next_if(|range| range.end <= line.start).is_some() {}
        let is_kept = kept.peek().is_some_and(|range| range.start < line.end);
        if line.sort == LineSort::Text && !is_kept && run.end == line.start {
            run.end = line.end;
            continue;
        }
        update(
            &mut hashers,
            &text[std::mem::replace(&mut run, line.end..line.end)],
        );
        match line.sort {
            LineSort::Blank | LineSort::Number => {}
            LineSort::Change(change) => {
                names.see(&change);
                let short = roots.shorten(change.name);
                hashers[0].update(tagged(change.name, change.flags));
                hashers[1].update(tagged(
                    short.as_deref().unwrap_or(change.name),
                    change.flags,
                ));
            }
            LineSort::Text => {
                if is_kept {
                    update(&mut hashers, format!("\0{}\0", line.number).as_bytes());
                }
                run = line.start..line.end;
            }
        }
    }
    update(&mut hashers, &text[run]);
    match lines.doubt() {
        Some(doubt) => Err(doubt),
        None => Ok((
            hashers.map(|hasher| hasher.finalize().into()),
            names.renames(),
        )),
    }
}

/// A marker without its number, tagged with NULs, which no text contains.
fn tagged(name: &[u8], flags: u8) -> Vec<u8> {
    [b"\0#", name, b"\0", &[flags + 1]].concat()
}
