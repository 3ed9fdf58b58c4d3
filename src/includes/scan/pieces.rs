//! Finds words, such as `__has_include`, that macros may paste together from pieces. Only a directive can evaluate such
//! a word, so its pieces are words in directives: in the bodies of macros and in the lines that expand them. The
//! pieces are joined with `##` by any macros, so it is enough to know which words occur. If they make such a word, the
//! slower [`reachable`](super::reachable) has another look.
//!
//! Expands nothing and evaluates no condition. A piece too many costs the compile its direct hits.

use super::{
    BYTE_ORDER_MARK, HAS_INCLUDE, is_word, next_word, skip_blanks, spliced, word_end, word_start,
};
use crate::includes::lexer::SourcePieces;
use crate::includes::lexer::piece::{PieceKind, SourcePiece};
use memchr::{memchr, memchr2_iter, memmem, memrchr};
use std::collections::{BTreeSet, HashSet};

/// Directives whose words are never expanded.
const SILENT: [&[u8]; 9] = [
    b"ifdef",
    b"ifndef",
    b"elifdef",
    b"elifndef",
    b"undef",
    b"else",
    b"endif",
    b"error",
    b"warning",
];

/// The operator that tests whether a macro is defined.
pub(crate) const DEFINED: &[u8] = b"defined";

/// The names of macros in `text` that end in [`DEFINED`]. If something is pasted before the `defined` in
/// `defined(__has_include)`, it may become a use of such a macro. Macros that expand to nothing or a number are left
/// out, because they do not pass on their argument.
pub(crate) fn ends_of_defined(text: &[u8]) -> BTreeSet<Vec<u8>> {
    let text = &*spliced(text);
    let mut names = BTreeSet::new();
    for at in memmem::find_iter(text, DEFINED) {
        let end = word_end(text, at);
        let start = word_start(text, at);
        let line = memrchr(b'\n', &text[..start]).map_or(0, |newline| newline + 1);
        let is_name = start < at && end == at + DEFINED.len();
        let defines = is_name && memmem::find(&text[line..start], b"define").is_some();
        if defines && hands_on(&text[end..]) {
            names.insert(text[start..end].to_vec());
        }
    }
    names
}

/// Whether the definition after a macro's name has parameters, a word or a comment.
fn hands_on(text: &[u8]) -> bool {
    let body = &text[..memchr(b'\n', text).unwrap_or(text.len())];
    let mut words = body.split(|&byte| !is_word(byte));
    let is_name = |word: &[u8]| word.first().is_some_and(|first| !first.is_ascii_digit());
    body.starts_with(b"(") || memmem::find(body, b"/*").is_some() || words.any(is_name)
}

/// The pieces of given words that occur in the directives of any number of texts.
pub(crate) struct PastePieces<'w> {
    wholes: Vec<&'w [u8]>,
    /// Every proper part of each of `wholes`.
    parts: HashSet<&'w [u8]>,
    found: HashSet<&'w [u8]>,
    /// Whether a macro may have a parameter named `defined`.
    hides_defined: bool,
}

/// Whether `whole` is a concatenation of two or more pieces.
pub(crate) fn is_row(whole: &[u8], is_piece: impl Fn(&[u8]) -> bool) -> bool {
    let mut reached = vec![false; whole.len() + 1];
    reached[0] = true;
    for start in 0..whole.len() {
        if !reached[start] {
            continue;
        }
        for end in start + 1..=whole.len() {
            let is_whole = start == 0 && end == whole.len();
            reached[end] |= !is_whole && !reached[end] && is_piece(&whole[start..end]);
        }
    }
    reached[whole.len()]
}

impl<'w> PastePieces<'w> {
    /// Looks for the pieces of `wholes`; none is found yet.
    pub(crate) fn of(wholes: impl IntoIterator<Item = &'w [u8]>) -> Self {
        let wholes: Vec<_> = wholes.into_iter().collect();
        let mut parts = HashSet::new();
        for whole in &wholes {
            let starts = 0..whole.len();
            let substrings =
                starts.flat_map(|at| (at + 1..=whole.len()).map(move |end| &whole[at..end]));
            // A spelling of `__has_include` is not treated as a piece: the scan detects it if it is pasted.
            parts.extend(substrings.filter(|part| part != whole && !HAS_INCLUDE.contains(part)));
        }
        Self {
            wholes,
            parts,
            found: HashSet::new(),
            hides_defined: false,
        }
    }

    /// Adds the pieces in `text`.
    pub(crate) fn read(&mut self, text: &[u8]) {
        let text = &*spliced(text);
        let mut doubtful = false;
        for at in memchr2_iter(b'#', b'%', text) {
            let is_mark = text[at] == b'#' || text.get(at + 1) == Some(&b':');
            if is_mark && begins_line(text, at) {
                doubtful |= self.read_directive(&text[at..]).is_err();
            }
        }
        if doubtful {
            self.read_words(text);
        }
    }

    /// The words that can be pasted together from the pieces.
    pub(crate) fn made(&self) -> impl Iterator<Item = &'w [u8]> {
        let wholes = self.wholes.iter().copied();
        wholes.filter(|whole| is_row(whole, |part| self.found.contains(part)))
    }

    /// Whether `defined` may be the name of a parameter, and so be replaced by anything.
    pub(crate) fn hides_defined(&self) -> bool {
        self.hides_defined
    }

    /// Adds the pieces in the directive at the start of `text`.
    fn read_directive(&mut self, text: &[u8]) -> Result<(), &'static str> {
        let mut pieces = SourcePieces::new(text);
        let line = logical_line(&mut pieces);
        pieces.doubt().map_or(Ok(()), Err)?;
        match Directive::read(text, &line) {
            Directive::Define(_, definition) => {
                self.hides_defined |= definition.hides_defined;
                definition.words.iter().for_each(|word| self.add_word(word));
            }
            Directive::Expands(words) => words.iter().for_each(|word| self.add_word(word)),
            Directive::Silent => {}
        }
        Ok(())
    }

    fn add_word(&mut self, word: &[u8]) {
        if let Some(&part) = self.parts.get(word) {
            self.found.insert(part);
        }
    }

    /// Adds every word of a text in which the lexer has a doubt about a directive.
    fn read_words(&mut self, text: &[u8]) {
        let mut at = 0;
        while let Some(start) = next_word(text, at) {
            at = word_end(text, start);
            self.add_word(&text[start..at]);
        }
        self.hides_defined |= memmem::find(text, DEFINED).is_some();
    }
}

/// A directive, as far as its words can be expanded.
pub(super) enum Directive<'t> {
    /// `#define`: the macro's name and definition.
    Define(&'t [u8], MacroDefinition<'t>),
    /// The words of a directive that expands them.
    Expands(Vec<&'t [u8]>),
    /// A directive that expands nothing.
    Silent,
}

/// The definition of a macro.
pub(super) struct MacroDefinition<'t> {
    /// The words of its body that are not parameters.
    pub words: Vec<&'t [u8]>,
    /// Whether the body holds `##`.
    pub pastes: bool,
    /// Whether a parameter is called `defined`.
    pub hides_defined: bool,
}

impl<'t> Directive<'t> {
    /// Reads a [`logical_line`] of `text` that begins with `#`.
    pub(super) fn read(text: &'t [u8], line: &[SourcePiece]) -> Self {
        let is_token = |piece: &SourcePiece| piece.kind.is_token();
        let hash = line.iter().position(is_token).map_or(0, |at| at + 1);
        let Some(name) = line[hash..].iter().position(is_token) else {
            return Self::Silent;
        };
        let rest = &line[hash + name + 1..];
        match line[hash + name].of(text) {
            b"define" => MacroDefinition::read(text, rest)
                .map_or(Self::Silent, |(name, definition)| {
                    Self::Define(name, definition)
                }),
            name if SILENT.contains(&name) => Self::Silent,
            _ => Self::Expands(words(text, rest).collect()),
        }
    }
}

impl<'t> MacroDefinition<'t> {
    /// Reads what follows `#define`.
    fn read(text: &'t [u8], line: &[SourcePiece]) -> Option<(&'t [u8], Self)> {
        let at = line.iter().position(|piece| piece.kind.is_token())?;
        let rest = &line[at + 1..];
        let is = |piece: &SourcePiece, mark: &[u8]| piece.of(text) == mark;
        let has_parameters = rest.first().is_some_and(|next| is(next, b"("));
        let close = rest.iter().position(|piece| is(piece, b")"));
        let body = close
            .filter(|_| has_parameters)
            .map_or(0, |close| close + 1);
        let (parameters, body) = rest.split_at(body);
        let parameters: BTreeSet<_> = parameters.iter().map(|piece| piece.of(text)).collect();
        let pastes = |piece: &SourcePiece| is(piece, b"##") || is(piece, b"%:%:");
        let definition = Self {
            words: words(text, body)
                .filter(|word| !parameters.contains(word))
                .collect(),
            pastes: body.iter().any(pastes),
            hides_defined: parameters.contains(&DEFINED),
        };
        Some((line[at].of(text), definition))
    }
}

/// The words among pieces of `text`.
fn words<'t>(text: &'t [u8], pieces: &[SourcePiece]) -> impl Iterator<Item = &'t [u8]> {
    let is_word =
        |piece: &&SourcePiece| matches!(piece.kind, PieceKind::Identifier | PieceKind::Number);
    pieces.iter().filter(is_word).map(|piece| piece.of(text))
}

/// The pieces up to the next newline or the end. Leaves out those that make no gap between a macro's name and its
/// parameters.
pub(super) fn logical_line(pieces: &mut SourcePieces<'_>) -> Vec<SourcePiece> {
    let line = pieces.take_while(|piece| piece.kind != PieceKind::Newline);
    line.filter(|piece| !matches!(piece.kind, PieceKind::Splice | PieceKind::Mark))
        .collect()
}

/// Whether only blanks precede `at` on its line, or a comment ends there.
fn begins_line(text: &[u8], at: usize) -> bool {
    let start = memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
    let before = &text[start..at];
    let before = before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before);
    let is_blank = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace() || *byte == 11;
    skip_blanks(before, 0) == before.len()
        || before.iter().all(is_blank)
        || memmem::find(before, b"*/").is_some()
}

#[cfg(test)]
mod tests {
    use super::{PastePieces, ends_of_defined};

    fn made(text: &str) -> Option<String> {
        let mut found = PastePieces::of([&b"__has_include"[..], b"ASK"]);
        found.read(text.as_bytes());
        let word = found.made().next();
        word.map(|word| String::from_utf8_lossy(word).into_owned())
    }

    #[track_caller]
    fn makes(text: &str) {
        assert!(made(text).is_some(), "{text}");
    }

    #[track_caller]
    fn makes_nothing(text: &str) {
        assert_eq!(made(text), None, "{text}");
    }

    #[test]
    fn pieces_are_found_in_every_directive_that_expands() {
        for (one, other) in [
            ("#define A __has_\n", "#define B include\n"),
            ("#if X(__has_)\n", "%:elif include\n"),
        ] {
            makes(&[one, other].concat());
            makes(&["/* x\n */", one, "  /* y */ ", other].concat());
            makes_nothing(one);
            makes_nothing(other);
        }
        makes("#define A(x) __has_##x\n#if A(in\\\nclude)");
        makes("#define A /* \n */ __has_ // x\n#line include");
        makes("#define A(x) __%:%:x\n#if A(has_include)");
        makes("#define A 1'0 /* don't \n */ __has_\n#include include");
        makes("\u{feff}#define A __has_ include\n");
        makes("#pragma X(A, SK)");
        makes("#unknown A SK");
    }

    #[test]
    fn any_cut_is_found() {
        makes("#if P(_, _, h, a, s, _, i, n, c, l, u, d, e)");
        makes("#if P(__has_includ, e)");
        makes("#if P(_, _has_include)");
        makes_nothing("#if P(__has_, _include)");
        makes("#if P(_, has_, include)");
        makes_nothing("#if P(h, has_, include)");
    }

    #[test]
    fn other_words_are_no_pieces() {
        makes_nothing("int __has_, include;\n");
        makes_nothing("#define A __has_ /* include */ // include\n");
        makes_nothing("#define A __has_ \"include\" 'include'\n");
        makes_nothing("#define A(__has_, include) __has_##include\n");
        makes_nothing("#define __has_ include\n");
        makes_nothing("#include <include>\n#define A __has_\n");
        makes_nothing("#ifdef __has_\n#define B include\n#endif // __has_\n#error __has_\n");
        makes_nothing("#if defined(__has_include) && __has_include(<x.y>)\n#endif\n");
    }

    #[test]
    fn every_word_counts_where_directives_are_uncertain() {
        makes("#define A R\"(\n)\" 1\nint __has_, include;\n");
    }

    #[test]
    fn a_macro_in_place_of_defined_is_noticed() {
        let hides = |text: &str| {
            let mut found = PastePieces::of([&b"ASK"[..]]);
            found.read(text.as_bytes());
            found.hides_defined()
        };
        assert!(hides("#define A(defined) defined(x)\n"));
        assert!(!hides("#define A (x) defined(B)\n"));
        let names = |text: &str| {
            let names = ends_of_defined(text.as_bytes()).into_iter();
            let names: Result<Vec<_>, _> = names.map(String::from_utf8).collect();
            names.unwrap()
        };
        assert_eq!(names("#define ASK_defined(x) x\n"), ["ASK_defined"]);
        assert_eq!(names(" # define un\\\ndefined x\n"), ["undefined"]);
        assert_eq!(
            names("#define X defined(Y)\n#if defined(Z)\n#define defined_x\n"),
            [""; 0]
        );
        assert_eq!(
            names("#define A_defined\n# define B_defined 1 // 1\n"),
            [""; 0]
        );
        assert_eq!(names("#define A_defined /*\n*/ ASK\n"), ["A_defined"]);
        let mut found = PastePieces::of([&b"undefined"[..]]);
        found.read(b"#if A(un, defined(__has_include))\n");
        assert_eq!(found.made().count(), 1);
    }
}
