//! Decides which names `##` may paste together from the words of a compile, from any number of pieces. A name is taken
//! as possible if it is a concatenation of words that may be pasted, whether or not macros would join them in that
//! order. So no possible name is missed.
//!
//! A word may be pasted if it is in the replacement of a macro without being one of its parameters, or between the
//! parentheses of a macro call. That rule holds if calls can be recognised. If not (parentheses that macros open, a
//! header that is included between them, a text that may be read in two ways), all words may be pasted. Conditions are
//! not evaluated. Pure.

use super::words::words;
use crate::includes::lexer::piece::{PieceKind, Token};
use crate::includes::lexer::tokens::Tokens;
use crate::includes::scan::pieces::is_row;
use crate::includes::scan::spliced;
use memchr::memmem;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

/// NVRTC's own macros with parameters, 12.0 to 13.5, found by testing every word of its files. None of them pastes its
/// arguments to a name that matters here, but one may pass them on.
const OWN: &str = "__ASSERT_STR_HELPER __CUDA_ARCH_HAS_FEATURE__ __CUDA_HAS_ARCH_FAMILY_SPECIFIC \
    __CUDA_HAS_ARCH_SPECIFIC __NV_ATOMIC_ADDRESSOF __NV_ATOMIC_REQUIRES __NV_ATOMIC_RET \
    __NV_ATOMIC_RET_TYPE __NV_ATOMIC_TEMP __NV_ATOMIC_TRIVIALLY_COPYABLE __align__ __annotate__ \
    __block_size__ __builtin_align__ __cluster_dims__ __has_attribute __has_builtin __has_cpp_attribute \
    __has_extension __has_feature __has_include __has_include_next __is_identifier __launch_bounds__ \
    __local_maxnreg__ __location__ __maxnreg__ assert va_arg va_copy va_end va_start";

/// Words in the replacements of NVRTC's own macros without parameters.
const OWN_WORDS: &[&[u8]] = &[
    b"__alignof__",
    b"__attribute__",
    b"__inline__",
    b"__thread",
    b"_Pragma",
    b"always_inline",
    b"int",
    b"long",
    b"static",
    b"unsigned",
    b"volatile",
];

/// Operators that paste, and trigraphs that may be part of one.
const MARKS: [&[u8]; 4] = [b"##", b"%:%:", b"??=", b"??/"];

/// The words of a compile from which macros may paste names together.
pub(super) struct Pieces<'t> {
    texts: Vec<&'t [u8]>,
    /// Macros that options define, and name expressions, each written as a `#define`.
    given: Vec<Vec<u8>>,
    pastes: bool,
    /// Every word of `texts`.
    loose: OnceCell<HashSet<&'t [u8]>>,
    /// The words that may be pasted.
    strict: OnceCell<HashSet<Vec<u8>>>,
}

impl<'t> Pieces<'t> {
    /// The pieces of `texts`, of the `macros` that options define (as `NAME=value`), and of `expressions`.
    pub(super) fn of<'g>(
        texts: impl Iterator<Item = &'t [u8]>,
        macros: impl Iterator<Item = &'g [u8]>,
        expressions: impl Iterator<Item = &'g [u8]>,
    ) -> Self {
        let texts: Vec<_> = texts.collect();
        let macros = macros.map(|value| {
            let mut line = [b"#define ", value, b"\n"].concat();
            if let Some(at) = memchr::memchr(b'=', &line) {
                line[at] = b' ';
            }
            line
        });
        let expressions = expressions.map(|text| [b"#define E ", text, b"\n"].concat());
        let given: Vec<_> = macros.chain(expressions).collect();
        let given_texts = given.iter().map(Vec::as_slice);
        let pastes = texts.iter().copied().chain(given_texts).any(may_paste);
        Self {
            texts,
            given,
            pastes,
            loose: OnceCell::new(),
            strict: OnceCell::new(),
        }
    }

    /// Whether `whole` may be pasted together from two or more pieces.
    pub(super) fn may_make(&self, whole: &[u8]) -> bool {
        self.pastes && is_row(whole, |word| self.has_loose(word)) && {
            let strict = self.strict.get_or_init(|| self.strict());
            is_row(whole, |word| strict.contains(word))
        }
    }

    fn has_loose(&self, word: &[u8]) -> bool {
        let loose = self.loose.get_or_init(|| {
            let words = self.texts.iter().flat_map(|text| words(text));
            words.collect()
        });
        let mut given = self.given.iter().flat_map(|text| words(text));
        loose.contains(word) || OWN_WORDS.contains(&word) || given.any(|given| given == word)
    }

    fn strict(&self) -> HashSet<Vec<u8>> {
        let given = self.given.iter().map(Vec::as_slice);
        let texts = self.texts.iter().copied().chain(given);
        let pasted = PastedText::all(texts.clone()).and_then(|text| Calls::of(&text).into_words());
        let all_words = || texts.flat_map(words).map(<[u8]>::to_vec).collect();
        let mut words = pasted.unwrap_or_else(all_words);
        words.extend(OWN_WORDS.iter().map(|word| word.to_vec()));
        words
    }
}

/// Whether anything in `text` may paste.
fn may_paste(text: &[u8]) -> bool {
    let text = spliced(text);
    MARKS.iter().any(|mark| memmem::find(&text, mark).is_some())
}

/// A token, as far as it matters for recognising calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// A word, by its number in [`PastedText::numbers`].
    Word(u32),
    Open,
    Close,
    /// `##`.
    Paste,
    Other,
    /// `#if`, `#else` and the like.
    Condition,
    /// `#include`.
    Include,
}

/// One `#define`.
struct Definition {
    name: u32,
    parameters: Vec<u32>,
    body: Vec<Item>,
}

/// All texts of a compile as items.
#[derive(Default)]
struct PastedText {
    /// The number of each word.
    numbers: HashMap<Vec<u8>, u32>,
    definitions: Vec<Definition>,
    /// The code outside directives, one list for each text.
    code: Vec<Vec<Item>>,
    /// The directives other than `#define`.
    lines: Vec<Vec<Item>>,
}

impl PastedText {
    /// Reads `texts`; `None` if one of them may be read in two ways.
    fn all<'t>(texts: impl Iterator<Item = &'t [u8]>) -> Option<Self> {
        let mut read = Self::default();
        for text in texts {
            read.add(text)?;
        }
        Some(read)
    }

    fn add(&mut self, text: &[u8]) -> Option<()> {
        let trigraph = |mark| memmem::find(text, mark).is_some();
        if trigraph(b"??=") || trigraph(b"??/") || has_blank_splice(text) || text.contains(&0) {
            return None;
        }
        let mut code = Vec::new();
        let mut line: Vec<(Item, Token)> = Vec::new();
        let mut in_directive = false;
        let mut tokens = Tokens::new(text);
        for token in tokens.by_ref() {
            if token.kind == PieceKind::Newline {
                if std::mem::take(&mut in_directive) {
                    self.directive(&line, &mut code);
                    line.clear();
                }
                continue;
            }
            if token.starts_line && matches!(token.of(text), b"#" | b"%:") {
                in_directive = true;
                continue;
            }
            let item = self.item(&token, text);
            if token.kind == PieceKind::Other && token.of(text).len() > 1 {
                // An unmatched quote: the text after it may be code, except in a directive with free text.
                let name = line.first().map(|(_, token)| token.of(text));
                let has_free_text =
                    |name: &&[u8]| [b"error".as_slice(), b"warning", b"pragma"].contains(name);
                name.filter(has_free_text)?;
            }
            if in_directive {
                line.push((item, token));
            } else {
                code.push(item);
            }
        }
        if in_directive {
            self.directive(&line, &mut code);
        }
        self.code.push(code);
        tokens.doubt().is_none().then_some(())
    }

    fn item(&mut self, token: &Token, text: &[u8]) -> Item {
        match (token.kind, token.of(text)) {
            (PieceKind::Identifier, word) => Item::Word(self.number(&spliced(word))),
            (_, b"(") => Item::Open,
            (_, b")") => Item::Close,
            (_, b"##" | b"%:%:") => Item::Paste,
            _ => Item::Other,
        }
    }

    fn number(&mut self, word: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(word.to_vec(), number);
        number
    }

    fn directive(&mut self, line: &[(Item, Token)], code: &mut Vec<Item>) {
        let Some(((Item::Word(name), _), rest)) = line.split_first() else {
            return;
        };
        let is = |texts: &Self, words: &[&[u8]]| {
            words
                .iter()
                .any(|word| texts.numbers.get(*word) == Some(name))
        };
        const CONDITIONS: &[&[u8]] = &[
            b"if",
            b"ifdef",
            b"ifndef",
            b"elif",
            b"elifdef",
            b"elifndef",
            b"else",
            b"endif",
        ];
        if is(self, &[b"define"]) {
            self.definitions.extend(definition(rest));
            return;
        }
        if is(self, CONDITIONS) {
            code.push(Item::Condition);
        } else if is(self, &[b"include", b"include_next", b"import"]) {
            code.push(Item::Include);
        }
        self.lines
            .push(rest.iter().map(|(item, _)| *item).collect());
    }
}

/// The definition after `#define`.
fn definition(line: &[(Item, Token)]) -> Option<Definition> {
    let ((Item::Word(name), _), rest) = line.split_first()? else {
        return None;
    };
    let has_parameters = matches!(rest.first(), Some((Item::Open, token)) if !token.blank_before);
    let end = rest.iter().position(|(item, _)| *item == Item::Close);
    let (parameters, body) = match (has_parameters, end) {
        (true, Some(end)) => rest.split_at(end + 1),
        _ => (&[][..], rest),
    };
    let parameter = |(item, _): &(Item, Token)| match item {
        Item::Word(word) => Some(*word),
        _ => None,
    };
    Some(Definition {
        name: *name,
        parameters: parameters.iter().filter_map(parameter).collect(),
        body: body.iter().map(|(item, _)| *item).collect(),
    })
}

/// Whether a text has a backslash, blanks and the end of a line, which only some compilers take for an escaped newline.
fn has_blank_splice(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', text).any(|at| {
        let rest = &text[at + 1..];
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r'));
        let blanks = blanks.count();
        let is_end = rest.get(blanks) == Some(&b'\n');
        is_end && blanks > 0 && rest[..blanks] != *b"\r"
    })
}

/// Finds the calls of macros, and the words that they may paste.
struct Calls<'r> {
    read: &'r PastedText,
    macros: HashSet<u32>,
    /// Macros that begin with a parenthesis and leave it open.
    openers: HashSet<u32>,
    found: HashSet<u32>,
    is_certain: bool,
}

/// The item before a parenthesis.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Macro,
    Word,
    /// The end of a call.
    Call,
    Other,
}

impl<'r> Calls<'r> {
    fn of(read: &'r PastedText) -> Self {
        let own = OWN.split(' ').map(str::as_bytes);
        let own = own.filter_map(|word| read.numbers.get(word)).copied();
        let definitions = read.definitions.iter();
        let macros = definitions.map(|definition| definition.name).chain(own);
        let openers = read
            .definitions
            .iter()
            .filter(|definition| leaves_open(&definition.body) == Some(0));
        let mut calls = Self {
            read,
            macros: macros.collect(),
            openers: openers.map(|definition| definition.name).collect(),
            found: HashSet::new(),
            is_certain: true,
        };
        for definition in &read.definitions {
            calls.read_definition(definition);
        }
        for code in &read.code {
            let is_open = calls.read_calls(code);
            // A parenthesis at the start may continue a call that begins in another text.
            let goes_on = code.first() == Some(&Item::Open);
            calls.is_certain &= !is_open && !goes_on;
        }
        for line in &read.lines {
            calls.read_calls(line);
        }
        calls
    }

    /// The words that may be pasted; `None` if they may be any.
    fn into_words(self) -> Option<HashSet<Vec<u8>>> {
        let words = self.read.numbers.iter();
        let words = words.filter(|(_, number)| self.found.contains(number));
        let words: HashSet<_> = words.map(|(word, _)| word.clone()).collect();
        // If an opener's name may be pasted together, calls cannot be recognised.
        let name = |opener: &u32| {
            let mut numbers = self.read.numbers.iter();
            numbers
                .find(|(_, number)| *number == opener)
                .map(|(word, _)| word)
        };
        let mut openers = self.openers.iter().filter_map(name);
        let is_pasted = openers.any(|name| is_row(name, |word| words.contains(word)));
        (self.is_certain && !is_pasted).then_some(words)
    }

    fn read_definition(&mut self, definition: &Definition) {
        let mut last = Last::Other;
        let mut is_pasted = false;
        // For each open parenthesis, whether it may be that of a call.
        let mut open = Vec::new();
        for item in &definition.body {
            let is_opener = matches!(item, Item::Word(word) if self.openers.contains(word));
            match item {
                Item::Open => open.push(last != Last::Word),
                Item::Word(_) if is_opener => open.push(last != Last::Word),
                Item::Close => drop(open.pop()),
                _ => {}
            }
            last = match item {
                Item::Word(word) if definition.parameters.contains(word) => Last::Other,
                Item::Word(word) => {
                    self.found.insert(*word);
                    if is_pasted {
                        Last::Other
                    } else {
                        self.kind(*word)
                    }
                }
                _ => Last::Other,
            };
            is_pasted = *item == Item::Paste;
        }
        // An opener may leave its parenthesis open: `read_calls` handles every use of one.
        let is_plain = definition.body.first() == Some(&Item::Open) && open.len() == 1;
        let is_opener = self.openers.contains(&definition.name) && is_plain;
        self.is_certain &= is_opener || !open.contains(&true);
    }

    fn kind(&self, word: u32) -> Last {
        if self.macros.contains(&word) {
            Last::Macro
        } else {
            Last::Word
        }
    }

    /// Finds the words in calls. Returns whether the last call is still open at the end.
    fn read_calls(&mut self, items: &[Item]) -> bool {
        let mut depth = 0_usize;
        // Set by a condition within a call, which may decide where the call ends.
        let mut is_endless = false;
        let mut last = Last::Other;
        for item in items {
            let is_inside = depth > 0;
            let is_opener = matches!(item, Item::Word(word) if self.openers.contains(word));
            self.is_certain &= !(is_opener && last != Last::Word);
            last = match item {
                Item::Word(word) => {
                    if is_inside {
                        self.found.insert(*word);
                    }
                    depth += usize::from(is_inside && is_opener);
                    self.kind(*word)
                }
                Item::Open => {
                    let is_call = matches!(last, Last::Macro | Last::Call);
                    depth += usize::from(is_inside || is_call);
                    Last::Other
                }
                Item::Close => {
                    let least = usize::from(is_endless);
                    depth = depth.saturating_sub(1).max(least);
                    if is_inside && depth == 0 {
                        Last::Call
                    } else {
                        Last::Other
                    }
                }
                Item::Condition => {
                    is_endless |= is_inside;
                    last
                }
                Item::Include => {
                    self.is_certain &= !is_inside;
                    last
                }
                Item::Paste | Item::Other => Last::Other,
            };
        }
        depth > 0
    }
}

/// The position of the first parenthesis in a body that is left open.
fn leaves_open(body: &[Item]) -> Option<usize> {
    let mut open = Vec::new();
    for (at, item) in body.iter().enumerate() {
        match item {
            Item::Open => open.push(at),
            Item::Close => drop(open.pop()),
            _ => {}
        }
    }
    open.first().copied()
}

#[cfg(test)]
mod tests;
