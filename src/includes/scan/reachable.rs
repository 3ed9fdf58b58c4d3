//! Finds the words that directives can come to when macros are expanded, and the words that `##` can make of them.
//! More exact than [`PastePieces`](super::pieces::PastePieces), and slower: it follows the bodies of macros from the
//! directives that expand them.
//!
//! Evaluates no condition and knows no order: every definition in any text counts everywhere.

use super::pieces::{Directive, MacroDefinition, is_row, logical_line};
use super::{HAS_INCLUDE, next_word, spliced, word_end};
use crate::includes::lexer::SourcePieces;
use crate::includes::lexer::piece::PieceKind;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// GCC's own macros that use `##` (`gcc -dM -E`); `LL` is for 32-bit systems.
const PREDEFINED: &[u8] = b"\
#define __INT64_C(c) c ## L
#define __INT64_C(c) c ## LL
#define __INTMAX_C(c) c ## L
#define __INTMAX_C(c) c ## LL
#define __UINT32_C(c) c ## U
#define __UINT64_C(c) c ## UL
#define __UINT64_C(c) c ## ULL
#define __UINTMAX_C(c) c ## UL
#define __UINTMAX_C(c) c ## ULL
";

/// Those of `wholes` that macros can paste together in a directive of `texts`.
pub(crate) fn pasted<'w>(
    texts: impl IntoIterator<Item = &'w [u8]>,
    wholes: impl IntoIterator<Item = &'w [u8]>,
) -> Vec<&'w [u8]> {
    let texts = texts.into_iter().chain([PREDEFINED]);
    let texts: Vec<_> = texts.map(spliced).collect();
    let mut macros = Macros::of(&texts);
    macros.follow();
    let is_piece = |part: &[u8]| macros.reached.contains(part) && !HAS_INCLUDE.contains(&part);
    let wholes = wholes.into_iter();
    let made = wholes.filter(|whole| macros.pastes && is_row(whole, is_piece));
    made.collect()
}

/// All macros of some texts, and the words of their directives.
#[derive(Default)]
struct Macros<'t> {
    definitions: HashMap<&'t [u8], Vec<MacroDefinition<'t>>>,
    /// The words that directives expand, so far.
    reached: HashSet<&'t [u8]>,
    /// Words whose definitions have not been followed yet.
    new: Vec<&'t [u8]>,
    /// Whether a macro with `##` can be expanded.
    pastes: bool,
}

impl<'t> Macros<'t> {
    fn of(texts: &'t [Cow<'_, [u8]>]) -> Self {
        let mut macros = Self::default();
        for text in texts {
            if macros.read(text).is_err() {
                // The lexer may see other directives than the preprocessor.
                macros.pastes = true;
                let mut at = 0;
                while let Some(start) = next_word(text, at) {
                    at = word_end(text, start);
                    macros.reach(&text[start..at]);
                }
            }
        }
        macros
    }

    fn read(&mut self, text: &'t [u8]) -> Result<(), &'static str> {
        let mut pieces = SourcePieces::new(text);
        while let Some(first) = pieces.next() {
            let line: Vec<_> = match first.kind {
                PieceKind::Newline | PieceKind::Splice | PieceKind::Mark => continue,
                _ => std::iter::once(first)
                    .chain(logical_line(&mut pieces))
                    .collect(),
            };
            let token = line.iter().find(|piece| piece.kind.is_token());
            if !token.is_some_and(|token| matches!(token.of(text), b"#" | b"%:")) {
                continue;
            }
            match Directive::read(text, &line) {
                Directive::Define(name, definition) => {
                    self.definitions.entry(name).or_default().push(definition);
                }
                Directive::Expands(words) => words.into_iter().for_each(|word| self.reach(word)),
                Directive::Silent => {}
            }
        }
        pieces.doubt().map_or(Ok(()), Err)
    }

    fn reach(&mut self, word: &'t [u8]) {
        if self.reached.insert(word) {
            self.new.push(word);
        }
    }

    /// Adds the words of the macros that are reached, and the macros whose names `##` can make of words so far.
    fn follow(&mut self) {
        loop {
            while let Some(word) = self.new.pop() {
                for definition in self.definitions.remove(word).unwrap_or_default() {
                    self.pastes |= definition.pastes;
                    definition.words.iter().for_each(|word| self.reach(word));
                }
            }
            if !self.pastes {
                return;
            }
            // Only names that were not reached are left.
            let names = self.definitions.keys().copied();
            let made: Vec<_> = names
                .filter(|name| is_row(name, |part| self.reached.contains(part)))
                .collect();
            if made.is_empty() {
                return;
            }
            made.into_iter().for_each(|name| self.reach(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pasted;

    fn makes(text: &str) -> bool {
        !pasted([text.as_bytes()], [&b"__has_include"[..]]).is_empty()
    }

    #[test]
    fn a_word_is_made_where_a_directive_comes_to_its_pieces() {
        assert!(makes("#define A(x) __has_##x\n#if A(include)\n"));
        assert!(makes("#define A(x) __has_%:%:x\n#include A(include)\n"));
        assert!(makes("#define A(x, y) x##y\n#if A(__has_, include)\n"));
        let behind = "#define C(x, y) x##y\n#define A C(__has_, include)\n";
        assert!(makes(&format!("{behind}#if A\n")));
        assert!(makes(&format!("{behind}#define B A\n#pragma x B\n")));
        assert!(makes(&format!("#if A\n{behind}")));
        assert!(makes(
            "#define A(x) __has_##x\n#define B(x) A(x)\n#if B(inc\\\nlude)\n"
        ));
    }

    #[test]
    fn macros_that_no_directive_comes_to_do_not_count() {
        assert!(!makes("#define A(x) __has_##x\nint x = A(include);\n"));
        assert!(!makes(
            "#define A(x) __has_##x\n#define include_ include\n#if A(x)\n"
        ));
        assert!(!makes("#define A(x, y) x y\n#if A(__has_, include)\n"));
        assert!(!makes("/*\n#define A(x) __has_##x\n#if A(include)\n*/\n"));
        assert!(!makes(
            "#define A(x) x##x\n#define B __has_\n#define C include\n#if A(x)\n"
        ));
        assert!(!makes(
            "#define A(x) __has_##x\n#ifdef A(include)\n#error include\n#endif\n"
        ));
    }

    #[test]
    fn macros_whose_names_are_pasted_count() {
        let body = "#define NAME_a __has_\n#define C(x, y) D(x, y)\n#define D(x, y) x##y\n";
        assert!(makes(&format!("{body}#if C(C(NAME_, a), include)\n")));
        assert!(!makes(&format!("{body}#if C(C(NAME_, b), include)\n")));
        assert!(makes("#define AL __has_##include\n#if __INT64_C(A)\n"));
    }

    #[test]
    fn every_word_counts_in_a_text_that_may_be_read_in_several_ways() {
        assert!(makes("#define A R\"(\n)\" 1\nint __has_, include;\n"));
    }
}
