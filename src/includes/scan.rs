//! Finds in the text of one source file the names that the preprocessor may look for (`#include`,
//! `__has_include`), and constructs that a path set cannot describe (`#embed`, …).
//!
//! Conditions are not evaluated, and comments are mostly not distinguished from code: everything that looks like a
//! directive is taken for one, so the result covers every way in which the preprocessor may go through
//! the file. A name too many costs a look at a directory; one too few would give a stale object.
//! Reads no file.

pub(crate) mod clang;
pub(crate) mod pieces;
pub(crate) mod reachable;

use memchr::{memchr, memmem, memrchr};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How a name is written, which decides where the search for it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum IncludeForm {
    /// `"name"`: the includer's own directory first.
    Quote,
    /// `<name>`: the search directories.
    Angle,
}

/// A name that the preprocessor may look for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ScannedName {
    /// Quotes or angle brackets.
    pub form: IncludeForm,
    /// The text between them.
    pub text: Vec<u8>,
}

/// The names that one file mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    /// Names in `#include`.
    pub includes: BTreeSet<ScannedName>,
    /// Names in `#include_next`, which skips directories.
    pub nexts: BTreeSet<ScannedName>,
    /// Names in `__has_include`, `__has_include_next`, and macros that expand to them.
    pub asked: BTreeSet<ScannedName>,
    /// Whether an `#include` takes its name from a macro.
    pub computes_names: bool,
    /// Whether the file may ask to be read only once: `#pragma once`.
    pub reads_once: bool,
    /// Whether `defined` is applied to `__has_include` or an alias, which then looks for no header.
    pub asks_for_the_word: bool,
    /// Words of names in angle brackets that a macro passes to `__has_include`: they are expanded first.
    pub expanded: BTreeSet<Vec<u8>>,
    /// Macros that expand to `__has_include`.
    pub aliases: BTreeSet<Vec<u8>>,
    /// A question for headers whose names the text does not show, as a sentence.
    pub unseen: Option<&'static str>,
    /// A construct that a path set cannot describe, as a sentence.
    pub doubt: Option<&'static str>,
}

impl Mentions {
    /// Whether the text alone does not show what the preprocessor looks for.
    pub(crate) fn is_unclear(&self) -> bool {
        self.doubt.or(self.unseen).is_some()
    }
}

/// The predefined spellings of `__has_include`.
/// (In GCC up to 9, the shorter ones are macros for the longer ones.)
pub(crate) const HAS_INCLUDE: [&[u8]; 4] = [
    b"__has_include",
    b"__has_include_next",
    b"__has_include__",
    b"__has_include_next__",
];

/// The operator that asks whether a file to embed exists.
pub(crate) const HAS_EMBED: &[u8] = b"__has_embed";

/// Macros that expand to the time of the compile or of a file.
pub(crate) const TIMES: [&[u8]; 3] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__"];

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Scans `text`. `askers` are [`HAS_INCLUDE`] and the aliases found so far in any file of the
/// compile: if a scan finds new ones, all files must be scanned again with them.
pub(crate) fn scan(text: &[u8], askers: &BTreeSet<Vec<u8>>) -> Mentions {
    let mut mentions = Mentions::default();
    let text = spliced(text);
    if holds(&text, b"??=") || holds(&text, b"??/\n") {
        mentions.doubt = Some("a source has trigraphs");
    }
    let askers = &Askers::new(askers);
    let mut at = 0;
    while let Some(start) = next_word(&text, at) {
        let end = word_end(&text, start);
        let place = ScanPlace {
            text: &text,
            start,
            end,
        };
        place.read(askers, &mut mentions);
        at = end;
    }
    mentions
}

/// Whether one of `words` may occur in `text`.
pub(crate) fn mentions_any<'w>(text: &[u8], words: impl IntoIterator<Item = &'w Vec<u8>>) -> bool {
    let text = spliced(text);
    words.into_iter().any(|word| holds(&text, word))
}

/// The spellings and aliases of `__has_include`, with length and last byte for a fast comparison: every word of every
/// header is looked up here.
struct Askers<'w>(Vec<(usize, u8, &'w [u8])>);

impl<'w> Askers<'w> {
    fn new(words: &'w BTreeSet<Vec<u8>>) -> Self {
        let last = |word: &[u8]| word.last().copied().unwrap_or_default();
        let words = words.iter().map(Vec::as_slice);
        Self(words.map(|word| (word.len(), last(word), word)).collect())
    }

    fn hold(&self, word: &[u8]) -> bool {
        let Some(&last) = word.last() else {
            return false;
        };
        let mut askers = self.0.iter();
        askers.any(|asker| (asker.0, asker.1) == (word.len(), last) && asker.2 == word)
    }
}

/// One identifier in its surroundings.
struct ScanPlace<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
}

impl ScanPlace<'_> {
    fn read(&self, askers: &Askers<'_>, mentions: &mut Mentions) {
        let word = &self.text[self.start..self.end];
        match word {
            b"include" | b"import" if self.is_directive() => self.read_include(word, mentions),
            b"include_next" if self.is_directive() => self.read_include(word, mentions),
            b"embed" if self.is_directive() => mentions.doubt = Some("a source embeds a file"),
            HAS_EMBED => mentions.doubt = Some("a source asks for files to embed"),
            b"once" => mentions.reads_once = true,
            b"dependency" if matches!(self.previous_word(), b"GCC" | b"clang") => {
                mentions.doubt = Some("a source compares the times of files");
            }
            _ if self.is_pasted() => match word {
                _ if word.starts_with(b"__has_i") || is_end_of_include(word) => {
                    mentions.unseen = Some("a source pastes the name of __has_include");
                }
                // The other operand may be empty.
                _ if askers.hold(word) => {
                    mentions.unseen = Some("a source pastes the name of a macro that asks");
                }
                _ => {}
            },
            _ if askers.hold(word) => self.read_question(word, mentions),
            _ => {}
        }
    }

    /// Whether the word follows a `#`, up to blanks and comments.
    fn is_directive(&self) -> bool {
        matches!(
            trim_end(&self.text[..self.start]),
            [.., b'#'] | [.., b'%', b':'] | [.., b'*', b'/']
        )
    }

    /// Whether the `#` before the word is the first thing on its line, up to blanks and comments.
    fn leads_line(&self) -> bool {
        let before = &self.text[line_start(self.text, self.start)..self.start];
        let before = before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before);
        let others = trim_end(before)
            .iter()
            .rposition(|&byte| byte == b'#' || byte == b'%');
        let others = &before[..others.unwrap_or_default()];
        skip_blanks(others, 0) == others.len() || holds(before, b"*/")
    }

    /// Whether the line begins with a `#`, up to blanks and comments.
    fn begins_line(&self) -> bool {
        let before = &self.text[line_start(self.text, self.start)..self.start];
        let before = before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before);
        let first = &before[skip_blanks(before, 0)..];
        first.starts_with(b"#") || first.starts_with(b"%:") || holds(before, b"*/")
    }

    fn is_pasted(&self) -> bool {
        let around = [self.start.checked_sub(1), Some(self.end)];
        let around = around.map(|at| at.and_then(|at| self.text.get(at)));
        // A fast test first: most words have neither a blank nor a `#` next to them.
        let may_be = |byte: Option<&u8>| matches!(byte, Some(b'#' | b' ' | b'\t'..=b'\r' | b'/'));
        if !around.into_iter().any(may_be) {
            return false;
        }
        let before = trim_end(&self.text[..self.start]).ends_with(b"##");
        before || self.text[skip_blanks(self.text, self.end)..].starts_with(b"##")
    }

    fn read_include(&self, word: &[u8], mentions: &mut Mentions) {
        if word == b"import" {
            // The included file is read once then, but nothing in its own text shows that.
            mentions.doubt = Some("a source imports a header");
        }
        let at = skip_blanks(self.text, self.end);
        match literal(self.text, at) {
            Some((name, _)) if word == b"include_next" => {
                mentions.nexts.insert(name);
            }
            Some((name, _)) => {
                mentions.includes.insert(name);
            }
            // Not a word, so it computes no name: an error, or part of a comment.
            None if !self.text.get(at).is_some_and(|&byte| is_word(byte)) => {}
            // In the middle of a line, `#include` is part of a comment. libstdc++'s headers tell users which file to include.
            None if !self.leads_line() => {}
            None if word == b"include_next" => {
                mentions.unseen = Some("a source computes the name of the next header");
            }
            None => mentions.computes_names = true,
        }
    }

    /// Reads `__has_include(…)` or an alias of it.
    fn read_question(&self, word: &[u8], mentions: &mut Mentions) {
        if !self.counts() {
            return;
        }
        let at = skip_blanks(self.text, self.end);
        let inner = match self.text.get(at) {
            Some(b'(') => skip_blanks(self.text, at + 1),
            _ => at,
        };
        if let Some((name, _)) = literal(self.text, inner) {
            let defined = self.is_in_definition();
            if name.form == IncludeForm::Angle && (defined || !HAS_INCLUDE.contains(&word)) {
                mentions.expanded.extend(words(&name.text));
            }
            // Another file may use the macro, from another directory or with other words.
            if defined && (name.form == IncludeForm::Quote || self.shares_words(&name)) {
                mentions.unseen = Some("a macro asks for a header");
            }
            mentions.asked.insert(name);
            return;
        }
        // `#ifdef`, `defined`, `#define` and the like ask nothing of the file system.
        if self.previous_word() == b"defined" {
            mentions.asks_for_the_word = true;
            return;
        }
        if self.is_named_by_directive() {
            return;
        }
        match self.alias(inner) {
            Some(alias) if inner > at => {
                if alias != word {
                    mentions.aliases.insert(alias);
                }
            }
            _ => mentions.unseen = Some("a source computes the argument of __has_include"),
        }
    }

    /// Whether the line is a `#define`, or may be the end of one.
    fn is_in_definition(&self) -> bool {
        let line = &self.text[line_start(self.text, self.start)..self.start];
        holds(line, b"define") && !line_asks(line)
    }

    /// Whether a word of `name` also occurs earlier on the line, where a macro's parameters are.
    fn shares_words(&self, name: &ScannedName) -> bool {
        let line = &self.text[line_start(self.text, self.start)..self.start];
        let before: BTreeSet<_> = words(line).collect();
        words(&name.text).any(|word| before.contains(&word))
    }

    /// Whether the preprocessor may evaluate the word: it is in a directive (or after the end of a
    /// comment, which may have started in one), and not after `//`.
    fn counts(&self) -> bool {
        let line_start = line_start(self.text, self.start);
        let before = &self.text[line_start..self.start];
        let comment = find(before, b"//").is_some_and(|at| {
            let (code, rest) = before.split_at(at);
            let quotes = |byte: &u8| matches!(byte, b'"' | b'\'' | b'<' | b'*');
            !code.iter().any(quotes) && !holds(rest, b"*/")
        });
        !comment && self.begins_line()
    }

    /// The macro that is defined on this line as `NAME(…, p, …) … word(p)`, with `p` at `at`.
    fn alias(&self, at: usize) -> Option<Vec<u8>> {
        let line = &self.text[line_start(self.text, self.start)..self.start];
        let hash = skip_blanks(line, 0);
        let define = skip_blanks(line, hash + 1);
        let rest = line.get(define..)?.strip_prefix(b"define")?;
        let rest = &rest[skip_blanks(rest, 0)..];
        let name_end = word_end(rest, 0);
        let (name, rest) = rest.split_at(name_end);
        let parameters = rest.strip_prefix(b"(")?;
        let close = parameters.iter().position(|&byte| byte == b')')?;
        let mut parameters = parameters[..close].split(|&byte| byte == b',');
        let parameter = &self.text[at..word_end(self.text, at)];
        let is_parameter = parameters.any(|name| name.trim_ascii() == parameter);
        let closed = self
            .text
            .get(skip_blanks(self.text, at + parameter.len()))
            .is_some_and(|&byte| byte == b')');
        let is_alias = is_parameter && closed && !parameter.is_empty() && !name.is_empty();
        is_alias.then(|| name.to_vec())
    }

    /// Whether `#ifdef`, `#define` and the like name the word. (A macro may be called `ifdef`, too.)
    fn is_named_by_directive(&self) -> bool {
        const NAMING: [&[u8]; 6] = [
            b"ifdef",
            b"ifndef",
            b"elifdef",
            b"elifndef",
            b"define",
            b"undef",
        ];
        let before = trim_end(&self.text[..self.start]);
        let mut directives = NAMING.iter().filter_map(|name| before.strip_suffix(*name));
        directives.any(|mark| matches!(trim_end(mark), [.., b'#'] | [.., b'%', b':']))
    }

    /// The word before this one, if only blanks, comments and `(` lie between.
    fn previous_word(&self) -> &[u8] {
        let before = trim_end(&self.text[..self.start]);
        let before = trim_end(before.strip_suffix(b"(").unwrap_or(before));
        let letters = before.iter().rev().take_while(|&&byte| is_word(byte));
        &before[before.len() - letters.count()..]
    }
}

/// Whether `text` may define one of `words` as a macro.
pub(crate) fn defines_any(text: &[u8], words: &BTreeSet<Vec<u8>>) -> bool {
    let text = spliced(text);
    memmem::find_iter(&text, b"define").any(|at| {
        let start = skip_blanks(&text, at + b"define".len());
        words.contains(&text[start..word_end(&text, start)])
    })
}

/// The words in the name of a header.
fn words(name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let words = name.split(|&byte| !is_word(byte));
    words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec)
}

/// Whether a line is an `#if`, `#elif` or the like.
fn line_asks(line: &[u8]) -> bool {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let hash = skip_blanks(line, 0);
    let rest = &line[hash..];
    let rest = rest.strip_prefix(b"#").or_else(|| rest.strip_prefix(b"%:"));
    rest.is_some_and(|rest| {
        let word = &rest[skip_blanks(rest, 0)..];
        word.starts_with(b"if") || word.starts_with(b"elif")
    })
}

/// The name in quotes or angle brackets at `at`, and the position after it.
fn literal(text: &[u8], at: usize) -> Option<(ScannedName, usize)> {
    let (form, close) = match text.get(at)? {
        b'<' => (IncludeForm::Angle, b'>'),
        b'"' => (IncludeForm::Quote, b'"'),
        _ => return None,
    };
    let rest = &text[at + 1..];
    let length = rest
        .iter()
        .position(|&byte| byte == close || byte == b'\n')?;
    let is_closed = rest[length] == close && length > 0;
    let name = ScannedName {
        form,
        text: rest[..length].to_vec(),
    };
    is_closed.then_some((name, at + length + 2))
}

/// The text without its escaped newlines. As in gcc, there may be blanks between backslash and newline.
pub(crate) fn spliced(text: &[u8]) -> Cow<'_, [u8]> {
    let mut joined: Option<Vec<u8>> = None;
    let mut from = 0;
    let mut at = 0;
    while let Some(step) = memchr(b'\\', &text[at..]) {
        let backslash = at + step;
        let rest = &text[backslash + 1..];
        let blanks = rest
            .iter()
            .take_while(|&&byte| byte != b'\n' && byte.is_ascii_whitespace())
            .count();
        at = backslash + 1;
        if rest.get(blanks) == Some(&b'\n') {
            let joined = joined.get_or_insert_with(|| Vec::with_capacity(text.len()));
            joined.extend_from_slice(&text[from..backslash]);
            at += blanks + 1;
            from = at;
        }
    }
    match joined {
        None => Cow::Borrowed(text),
        Some(mut joined) => {
            joined.extend_from_slice(&text[from..]);
            Cow::Owned(joined)
        }
    }
}

/// Whether something pasted before `word` may make `include` or `include_next`.
fn is_end_of_include(word: &[u8]) -> bool {
    let whole: [&[u8]; 2] = [b"include", b"include_next"];
    word.len() > 3 && whole.iter().any(|whole| whole.ends_with(word))
}

fn is_word(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

/// Which bytes belong to words.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < table.len() {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80;
        at += 1;
    }
    table
};

fn next_word(text: &[u8], at: usize) -> Option<usize> {
    let step = text[at..].iter().position(|&byte| is_word(byte))?;
    Some(at + step)
}

fn word_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|&&byte| is_word(byte)).count()
}

fn word_start(text: &[u8], at: usize) -> usize {
    let letters = text[..at].iter().rev().take_while(|&&byte| is_word(byte));
    at - letters.count()
}

fn line_start(text: &[u8], at: usize) -> usize {
    memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1)
}

/// The position after blanks and `/* … */` comments, but not after ends of lines outside comments.
fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    loop {
        match text.get(at..).unwrap_or_default() {
            [b' ' | b'\t' | b'\r' | 11 | 12, ..] => at += 1,
            [b'/', b'*', rest @ ..] => match find(rest, b"*/") {
                Some(end) => at += 2 + end + 2,
                None => return at,
            },
            _ => return at,
        }
    }
}

/// `text` without blanks at its end.
fn trim_end(text: &[u8]) -> &[u8] {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | 11 | 12);
    let blanks = text.iter().rev().take_while(blank).count();
    &text[..text.len() - blanks]
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memmem::find(text, part)
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

#[cfg(test)]
mod tests;
