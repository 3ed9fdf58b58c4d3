//! Cuts a preprocessed text into the declarations of its namespaces (chunks), and reads the tokens and brackets of
//! one chunk.
//!
//! A chunk may hold more than one declaration if the border between them is unclear, but never less than
//! one whole declaration.

use super::doubt::DigestRefusal;
use super::words::is_operator;
use crate::includes::lexer::piece::{PieceKind, Token};
use crate::includes::lexer::tokens::Tokens;
use std::ops::Range;

/// The tokens of a text without directives, markers and the text that `#if 0` hides.
pub(super) struct ChunkCode<'t> {
    text: &'t [u8],
    tokens: Tokens<'t>,
}

impl<'t> ChunkCode<'t> {
    /// Begins at the start of `text`, which is the start of a line or of a token.
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            tokens: Tokens::new(text),
        }
    }

    /// Whether the lexer had a doubt about any token so far.
    pub(super) fn is_doubtful(&self) -> bool {
        self.tokens.doubt().is_some()
    }

    /// Skips a directive and the text that it hides.
    fn directive(&mut self) {
        let mut hidden = self.opens_hidden();
        while hidden > 0 {
            let Some(token) = self.tokens.next() else {
                return;
            };
            if !token.starts_line || token.of(self.text) != b"#" {
                continue;
            }
            let word = self.tokens.next();
            match word.map_or(&b""[..], |word| word.of(self.text)) {
                b"if" | b"ifdef" | b"ifndef" => hidden += 1,
                b"endif" => hidden -= 1,
                _ => {}
            }
            if word.is_some_and(|word| word.kind != PieceKind::Newline) {
                self.line();
            }
        }
    }

    /// Skips the words of a directive. Returns how many hidden conditionals it opens: 1 for `#if 0`, otherwise 0.
    fn opens_hidden(&mut self) -> u32 {
        let mut words = [&b""[..]; 3];
        let mut count = 0;
        while let Some(token) = self
            .tokens
            .next()
            .filter(|token| token.kind != PieceKind::Newline)
        {
            if let Some(word) = words.get_mut(count) {
                *word = token.of(self.text);
            }
            count += 1;
        }
        u32::from(count == 2 && words[..2] == [&b"if"[..], b"0"])
    }

    fn line(&mut self) {
        while self
            .tokens
            .next()
            .is_some_and(|token| token.kind != PieceKind::Newline)
        {}
    }
}

impl Iterator for ChunkCode<'_> {
    type Item = Token;

    #[inline]
    fn next(&mut self) -> Option<Token> {
        loop {
            let token = self.tokens.next()?;
            if token.kind == PieceKind::Newline {
                continue;
            }
            if token.starts_line && self.text[token.start] == b'#' {
                self.directive();
                continue;
            }
            return Some(token);
        }
    }
}

/// The position of the cutter relative to the list after `template`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    Outside,
    Before,
    Within(usize),
}

/// The state of cutting a text at the ends of its namespaces' declarations.
struct Cutter<'t> {
    text: &'t [u8],
    chunks: Vec<Range<usize>>,
    start: Option<usize>,
    /// The end of the last token.
    end: usize,
    /// Brackets that are open within the declaration.
    depth: usize,
    /// Namespaces and linkage blocks that are open.
    levels: usize,
    opener: u8,
    head: Head,
    is_namespace: bool,
    /// Whether the declaration goes on after a closing brace, up to a semicolon.
    is_open_ended: bool,
    after_brace: bool,
    /// The last two tokens of the declaration outside brackets.
    last: [&'t [u8]; 2],
}

/// The declarations of `text`, in order, as ranges from first to last token.
pub(super) fn cut(text: &[u8]) -> Result<Vec<Range<usize>>, DigestRefusal> {
    let mut cutter = Cutter {
        text,
        chunks: Vec::new(),
        start: None,
        end: 0,
        depth: 0,
        levels: 0,
        opener: 0,
        head: Head::Outside,
        is_namespace: false,
        is_open_ended: false,
        after_brace: false,
        last: [b""; 2],
    };
    let mut code = ChunkCode::new(text);
    for token in code.by_ref() {
        cutter.step(&token)?;
    }
    if code.is_doubtful() {
        return Err(DigestRefusal::Lexer);
    }
    cutter.finish();
    match (cutter.depth, cutter.levels) {
        (0, 0) => Ok(cutter.chunks),
        _ => Err(DigestRefusal::Brackets),
    }
}

impl<'t> Cutter<'t> {
    fn step(&mut self, token: &Token) -> Result<(), DigestRefusal> {
        let text = token.of(self.text);
        if matches!(text, b"<%" | b"%>" | b"<:" | b":>") {
            return Err(DigestRefusal::Lexer);
        }
        if self.depth > 0 {
            match *text {
                [b'(' | b'[' | b'{'] => self.depth += 1,
                [b')' | b']' | b'}'] => self.depth -= 1,
                _ => {}
            }
            self.after_brace = self.depth == 0 && self.opener == b'{' && self.head == Head::Outside;
            self.end = token.end;
            return Ok(());
        }
        if self.after_brace && self.begins_another(token, text) {
            self.finish();
        }
        self.after_brace = false;
        self.start.get_or_insert(token.start);
        self.end = token.end;
        if self.in_head(text) {
            self.last = [self.last[1], text];
            return Ok(());
        }
        self.outside(text)?;
        if self.start.is_some() {
            self.last = [self.last[1], text];
        }
        Ok(())
    }

    /// Whether `token` after a closing brace is the first one of another declaration.
    fn begins_another(&self, token: &Token, text: &[u8]) -> bool {
        let is_word = token.kind == PieceKind::Identifier && text != b"catch" && !is_operator(text);
        !self.is_open_ended && (is_word || matches!(text, b"::" | b"[" | b"~" | b"}"))
    }

    /// Takes a token of a template's parameter list. Returns whether it was one.
    fn in_head(&mut self, text: &[u8]) -> bool {
        let depth = match (self.head, text) {
            (Head::Outside, _) => return false,
            (Head::Before, b"<") => 1,
            (Head::Before, _) => {
                self.head = Head::Outside;
                return false;
            }
            (Head::Within(depth), b"(" | b"[" | b"{") => {
                self.opener = text[0];
                self.depth = 1;
                depth
            }
            // The `<` was a comparison, not a bracket.
            (Head::Within(_), b";" | b"}" | b")" | b"]") => {
                self.head = Head::Outside;
                return false;
            }
            (Head::Within(depth), text) => angle(depth, text, self.last[1]),
        };
        self.head = if depth == 0 {
            Head::Outside
        } else {
            Head::Within(depth)
        };
        true
    }

    fn outside(&mut self, text: &'t [u8]) -> Result<(), DigestRefusal> {
        match text {
            b"template" => self.head = Head::Before,
            b"namespace" => self.is_namespace = true,
            b"class" | b"struct" | b"union" | b"enum" | b"requires" | b"concept" => {
                self.is_open_ended = true;
            }
            b"=" if self.last[1] != b"operator" => self.is_open_ended = true,
            b"{" if self.is_namespace || self.is_linkage() => {
                self.levels += 1;
                self.finish();
            }
            b"(" | b"[" | b"{" => {
                self.opener = text[0];
                self.depth = 1;
            }
            b"}" => {
                self.levels = self.levels.checked_sub(1).ok_or(DigestRefusal::Brackets)?;
                self.finish();
            }
            b")" | b"]" => return Err(DigestRefusal::Brackets),
            b";" => self.finish(),
            _ => {}
        }
        Ok(())
    }

    fn is_linkage(&self) -> bool {
        self.last[0] == b"extern" && self.last[1].starts_with(b"\"")
    }

    fn finish(&mut self) {
        if let Some(start) = self.start.take() {
            self.chunks.push(start..self.end);
        }
        self.head = Head::Outside;
        self.is_namespace = false;
        self.is_open_ended = false;
        self.after_brace = false;
        self.last = [b""; 2];
    }
}

/// How many angle brackets are open after `text`, which follows `before`.
pub(super) fn angle(depth: usize, text: &[u8], before: &[u8]) -> usize {
    match text {
        _ if before == b"operator" => depth,
        b"<" => depth + 1,
        b">" => depth.saturating_sub(1),
        b">>" => depth.saturating_sub(2),
        _ => depth,
    }
}

/// The tokens of a chunk with its brackets.
pub(super) struct Chunk<'t> {
    text: &'t [u8],
    tokens: Vec<Token>,
    /// For each token, the opening bracket around it.
    parents: Vec<Option<usize>>,
    /// For each bracket, the matching one; any other token is its own partner.
    partners: Vec<usize>,
}

impl<'t> Chunk<'t> {
    /// Reads the chunk of `text` at `range`.
    pub(super) fn read(text: &'t [u8], range: &Range<usize>) -> Result<Self, DigestRefusal> {
        let tokens: Vec<Token> = ChunkCode::new(&text[range.clone()])
            .map(|token| Token {
                start: token.start + range.start,
                end: token.end + range.start,
                ..token
            })
            .collect();
        // An escape in a name, which may then be spelled in two ways.
        if tokens.iter().any(|token| token.of(text) == b"\\") {
            return Err(DigestRefusal::Lexer);
        }
        let mut chunk = Self {
            text,
            parents: vec![None; tokens.len()],
            partners: (0..tokens.len()).collect(),
            tokens,
        };
        let mut open: Vec<usize> = Vec::new();
        for at in 0..chunk.len() {
            let is_close = matches!(chunk.text(at), b")" | b"]" | b"}");
            if is_close && let Some(opener) = open.pop() {
                if !matches!(
                    [chunk.text(opener), chunk.text(at)],
                    [b"(", b")"] | [b"[", b"]"] | [b"{", b"}"]
                ) {
                    return Err(DigestRefusal::Brackets);
                }
                chunk.partners[opener] = at;
                chunk.partners[at] = opener;
            }
            chunk.parents[at] = open.last().copied();
            if chunk.is_open(at) {
                open.push(at);
            }
        }
        // A brace that opens or closes a namespace has its partner in another chunk.
        match open[..] {
            [] => Ok(chunk),
            [only] if only + 1 == chunk.len() => Ok(chunk),
            _ => Err(DigestRefusal::Brackets),
        }
    }

    /// The number of tokens.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The text of token `at`; empty after the last token.
    pub(super) fn text(&self, at: usize) -> &'t [u8] {
        self.tokens.get(at).map_or(b"", |token| token.of(self.text))
    }

    /// The text of the token before `at`; empty before the first token.
    pub(super) fn before(&self, at: usize) -> &'t [u8] {
        at.checked_sub(1).map_or(b"", |before| self.text(before))
    }

    /// Whether token `at` is a name or keyword.
    pub(super) fn is_word(&self, at: usize) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| token.kind == PieceKind::Identifier)
    }

    /// Whether token `at` is an opening bracket.
    pub(super) fn is_open(&self, at: usize) -> bool {
        matches!(self.text(at), b"(" | b"[" | b"{")
    }

    /// The opening bracket around token `at`.
    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        self.parents[at]
    }

    /// The bracket that matches the one at `at`.
    pub(super) fn partner(&self, at: usize) -> usize {
        self.partners[at]
    }

    /// The token that begins at byte `start` of the text.
    pub(super) fn at_byte(&self, start: usize) -> Option<usize> {
        self.tokens
            .binary_search_by_key(&start, |token| token.start)
            .ok()
    }

    /// The token or group before `at` in the same bracket. A group is given by its opening bracket.
    pub(super) fn sibling_before(&self, at: usize) -> Option<usize> {
        let before = at
            .checked_sub(1)
            .filter(|before| self.parents[at] != Some(*before))?;
        Some(self.partners[before].min(before))
    }

    /// The tokens and groups from `start` up to `end` in the same bracket. A group is given by its
    /// opening bracket.
    pub(super) fn siblings(&self, start: usize, end: usize) -> impl Iterator<Item = usize> {
        let mut next = start;
        std::iter::from_fn(move || {
            let sibling = next;
            (sibling < end).then(|| {
                next = self.partners[sibling].max(sibling) + 1;
                sibling
            })
        })
    }
}
