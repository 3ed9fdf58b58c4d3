//! Finds the parts of a declaration in its tokens: its start, its lists of template parameters, and its head.

use super::chunks::{Chunk, angle};
use super::keeps::UntrackableCapture;
use super::words::{is_attribute, is_class_key, is_odd, is_operator, is_type_of};

/// The tokens that can end the previous declaration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// A semicolon or an access label.
    Plain,
    /// Those, or a closing brace before a word.
    WithBraces,
}

/// The first token of the declaration or statement of `at`, within the same bracket.
pub(super) fn declaration_start(chunk: &Chunk<'_>, at: usize, ends: Ends) -> usize {
    let mut start = at;
    while let Some(before) = chunk.sibling_before(start) {
        let is_label = chunk.text(before) == b":"
            && matches!(chunk.before(before), b"public" | b"private" | b"protected");
        let is_brace = ends == Ends::WithBraces
            && chunk.text(before) == b"{"
            && begins_declaration(chunk, start);
        if chunk.text(before) == b";" || is_label || is_brace {
            break;
        }
        start = before;
    }
    start
}

/// Whether token `at` after a closing brace may be the first one of another declaration.
fn begins_declaration(chunk: &Chunk<'_>, at: usize) -> bool {
    let is_word = chunk.is_word(at) && !is_operator(chunk.text(at));
    is_word || matches!(chunk.text(at), b"::" | b"[" | b"~")
}

/// Whether the braces at `open` end a declaration without a semicolon, which only the braces of a function do.
pub(super) fn ends_function(chunk: &Chunk<'_>, open: usize) -> bool {
    let after = chunk.partner(open) + 1;
    after == chunk.len() || chunk.text(after) == b"}" || begins_declaration(chunk, after)
}

/// The token that ends the list that starts with `<` at `list`, if it is before `end`.
pub(super) fn list_end(chunk: &Chunk<'_>, list: usize, end: usize) -> Option<usize> {
    let mut depth = 0;
    chunk.siblings(list, end).find(|&token| {
        depth = angle(depth, chunk.text(token), chunk.before(token));
        depth == 0
    })
}

/// Whether a `<` between `start` and `at`, of the same bracket, may still be open there.
pub(super) fn is_in_list(chunk: &Chunk<'_>, start: usize, at: usize) -> bool {
    let mut depth = 0;
    for token in chunk.siblings(start, at) {
        let text = chunk.text(token);
        depth = match text {
            // A kernel launch, or a shift before a list.
            b"<<" | b"<<<" => depth + 1,
            _ => angle(depth, text, chunk.before(token)),
        };
    }
    depth > 0
}

/// A declaration up to one of its tokens, within the same bracket.
pub(super) struct DeclarationHead<'c, 't> {
    chunk: &'c Chunk<'t>,
    /// The first token after lists of template parameters.
    pub start: usize,
    /// The token after the head.
    pub end: usize,
    /// Whether there are lists of template parameters.
    pub is_template: bool,
    /// Whether the head has a constraint.
    pub is_constrained: bool,
}

impl<'c, 't> DeclarationHead<'c, 't> {
    /// Reads the declaration before `end`. Fails if `end` may be part of a template's parameters, and for
    /// unusual declarations.
    pub(super) fn read(chunk: &'c Chunk<'t>, end: usize) -> Result<Self, UntrackableCapture> {
        let mut start = declaration_start(chunk, end, Ends::WithBraces);
        let mut is_template = false;
        while chunk.text(start) == b"template" && start < end {
            is_template = true;
            if chunk.text(start + 1) != b"<" {
                return Err(UntrackableCapture::Shape);
            }
            start = list_end(chunk, start + 1, end).ok_or(UntrackableCapture::Shape)? + 1;
        }
        let mut head = Self {
            chunk,
            start,
            end,
            is_template,
            is_constrained: false,
        };
        head.is_constrained = head.has(b"requires");
        let is_odd = head.tokens().any(|token| {
            let text = chunk.text(token);
            is_odd(text) || (text == b"template" && chunk.before(token) != b"::")
        });
        if is_odd {
            return Err(UntrackableCapture::Shape);
        }
        Ok(head)
    }

    /// The tokens and groups of the head.
    pub(super) fn tokens(&self) -> impl Iterator<Item = usize> {
        self.chunk.siblings(self.start, self.end)
    }

    /// Whether `word` is a token of the head.
    pub(super) fn has(&self, word: &[u8]) -> bool {
        self.tokens().any(|token| self.chunk.text(token) == word)
    }

    /// The first class-key.
    pub(super) fn class_key(&self) -> Option<usize> {
        self.tokens()
            .find(|&token| is_class_key(self.chunk.text(token)))
    }

    /// Whether the head may hold the start of an initialiser.
    pub(super) fn has_equals(&self) -> bool {
        has_equals(self.chunk, self.start, self.end)
    }

    /// The first parentheses that may be parameters.
    pub(super) fn parameters(&self) -> Option<usize> {
        self.tokens().find(|&token| {
            let before = self.chunk.before(token);
            let is_list = self.chunk.text(token) == b"(";
            is_list && !is_attribute(before) && !is_type_of(before) && before != b"explicit"
        })
    }

    /// The first colon.
    pub(super) fn colon(&self) -> Option<usize> {
        self.tokens().find(|&token| self.chunk.text(token) == b":")
    }
}

/// Whether there is a `=` between `start` and `end`, within the same bracket.
pub(super) fn has_equals(chunk: &Chunk<'_>, start: usize, end: usize) -> bool {
    let mut tokens = chunk.siblings(start, end);
    tokens.any(|token| chunk.text(token) == b"=" && chunk.before(token) != b"operator")
}

/// Whether token `at` is the name in a call: `f(`, `f<…>(`, `(n::f)(` or a kernel launch.
pub(super) fn is_call(chunk: &Chunk<'_>, at: usize) -> bool {
    let mut after = at + 1;
    let is_launch = chunk.text(after) == b"<<" && chunk.text(after + 1) == b"<";
    if is_launch || chunk.text(after) == b"<<<" {
        return true;
    }
    if chunk.text(after) == b"<" {
        let end = chunk
            .parent(at)
            .map_or(chunk.len(), |open| chunk.partner(open));
        let Some(end) = list_end(chunk, after, end) else {
            return false;
        };
        after = end + 1;
    }
    while chunk.text(after) == b")" {
        let open = chunk.partner(after);
        let is_plain = |token: usize| {
            let text = chunk.text(token);
            chunk.is_word(token) || matches!(text, b"(" | b"::" | b"&" | b"*" | b"." | b"->")
        };
        let before = chunk.before(open);
        let is_argument = matches!(before, b")" | b"]" | b">" | b">>" | b"}")
            || (open > 0 && chunk.is_word(open - 1) && before != b"return");
        if open == after || is_argument || !(open..at).all(is_plain) {
            return false;
        }
        after += 1;
    }
    chunk.text(after) == b"("
}
