//! Classes with constructors that capture their callers' lines. Such a class is only accepted if
//! nothing but a `throw` can construct it:
//!
//! | mention                         | shape                                                                    |
//! |---------------------------------|--------------------------------------------------------------------------|
//! | its definition                  | `class C … { … };` of a namespace, by itself, without `this` and friends |
//! | a declaration                   | `class C;` by itself                                                     |
//! | its constructors and destructor | `C(…)`, `~C()` in its own braces, and `C&` in their parameters           |
//! | an object that is thrown        | `throw C(…);`                                                            |

use super::capture_site::{self, CaptureSite};
use super::chunks::Chunk;
use super::shapes::{DeclarationHead, Ends, declaration_start, ends_function, list_end};
use super::words::{is_attribute, is_class_key};

/// Whether `at` may name a class, because a class-key stands before it or it may belong to a list of
/// template parameters.
pub(super) fn may_name_class(chunk: &Chunk<'_>, at: usize) -> bool {
    let start = declaration_start(chunk, at, Ends::WithBraces);
    let mut list = None;
    chunk.siblings(start, at).any(|token| {
        if list.is_some_and(|end| token <= end) {
            return false;
        }
        if chunk.text(token) == b"template" && chunk.text(token + 1) == b"<" {
            list = list_end(chunk, token + 1, at);
            return list.is_none();
        }
        is_class_key(chunk.text(token))
    })
}

/// Whether the mention of a class at `at` has one of the shapes that cannot construct it except in a `throw`.
pub(super) fn is_harmless(chunk: &Chunk<'_>, at: usize) -> bool {
    is_own_declaration(chunk, at)
        || is_constructor(chunk, at)
        || is_own_parameter(chunk, at)
        || is_thrown(chunk, at)
}

/// Whether the chunk defines or declares the class named at `at`, and nothing else.
fn is_own_declaration(chunk: &Chunk<'_>, at: usize) -> bool {
    if chunk.parent(at).is_some() || !matches!(chunk.text(0), b"class" | b"struct") {
        return false;
    }
    let mut name = 1;
    while is_attribute(chunk.text(name)) || chunk.text(name) == b"[" {
        let group = name + usize::from(chunk.text(name) != b"[");
        if !chunk.is_open(group) {
            return false;
        }
        name = chunk.partner(group) + 1;
    }
    if name != at {
        return false;
    }
    if chunk.text(at + 1) == b";" {
        return at + 2 == chunk.len();
    }
    let open = chunk
        .siblings(at, chunk.len())
        .find(|&token| chunk.text(token) == b"{");
    let Some(open) = open.filter(|&open| capture_site::is_class_head(chunk, 0, open)) else {
        return false;
    };
    let end = chunk.partner(open) + 1;
    let is_alone = chunk.text(end) == b";" && end + 1 == chunk.len();
    is_alone && (open..end).all(|token| !matches!(chunk.text(token), b"this" | b"friend"))
}

/// Whether the braces at `open` are the body of the class `name`, which the chunk defines.
fn is_body_of(chunk: &Chunk<'_>, open: usize, name: &[u8]) -> bool {
    let mut tokens = chunk.siblings(0, open);
    chunk.parent(open).is_none()
        && tokens.any(|token| chunk.text(token) == name && is_own_declaration(chunk, token))
}

/// Whether `at` is the name in the declaration of a constructor or destructor.
fn is_constructor(chunk: &Chunk<'_>, at: usize) -> bool {
    let is_own = chunk
        .parent(at)
        .is_some_and(|open| is_body_of(chunk, open, chunk.text(at)));
    let list = at + 1;
    if !is_own || chunk.text(list) != b"(" {
        return false;
    }
    let Ok(head) = DeclarationHead::read(chunk, at) else {
        return false;
    };
    let is_specifier = |token: usize| {
        let text = chunk.text(token);
        let is_group = text == b"("
            && (is_attribute(chunk.before(token)) || chunk.before(token) == b"explicit");
        let is_doubled = text == b"[" && chunk.text(token + 1) == b"[";
        let is_word = matches!(
            text,
            b"explicit"
                | b"inline"
                | b"__inline__"
                | b"constexpr"
                | b"consteval"
                | b"virtual"
                | b"~"
        );
        is_group || is_doubled || is_word || is_attribute(text)
    };
    let mut specifiers = head.tokens();
    specifiers.all(is_specifier) && is_parameter_list(chunk, list)
}

/// Whether the parentheses at `list` hold parameters, and not a declarator as in `C (*p);`.
fn is_parameter_list(chunk: &Chunk<'_>, list: usize) -> bool {
    let end = chunk.partner(list);
    let first = list + 1;
    let is_declarator =
        first != end && !chunk.is_word(first) && !matches!(chunk.text(first), b"::" | b"[");
    let points = (first..end)
        .any(|token| chunk.text(token) == b"::" && matches!(chunk.text(token + 1), b"*"));
    let follows = match chunk.text(end + 1) {
        b";" | b":" | b"noexcept" => true,
        b"=" => matches!(chunk.text(end + 2), b"default" | b"delete"),
        b"{" => ends_function(chunk, end + 1),
        word => is_attribute(word),
    };
    !is_declarator && !points && follows
}

/// Whether `at` names the class in a parameter of its constructors: `const C&`.
fn is_own_parameter(chunk: &Chunk<'_>, at: usize) -> bool {
    let list = chunk
        .parent(at)
        .filter(|&list| chunk.text(list) == b"(" && list > 0);
    let is_own = list.is_some_and(|list| {
        chunk.before(list) == chunk.text(at) && is_constructor(chunk, list - 1)
    });
    is_own
        && matches!(chunk.text(at + 1), b"&" | b"&&")
        && matches!(chunk.before(at), b"(" | b"," | b"const")
        && (chunk.is_word(at + 2) || matches!(chunk.text(at + 2), b")" | b","))
}

/// Whether `at` names the class of an object that is constructed only to be thrown.
fn is_thrown(chunk: &Chunk<'_>, at: usize) -> bool {
    let arguments = at + 1;
    if !matches!(chunk.text(arguments), b"(" | b"{")
        || chunk.text(chunk.partner(arguments) + 1) != b";"
        || capture_site::place(chunk, at) != Ok(CaptureSite::Own)
    {
        return false;
    }
    let mut token = at;
    while chunk.before(token) == b"::" {
        token -= 1;
        if token > 0 && chunk.is_word(token - 1) && chunk.before(token) != b"throw" {
            token -= 1;
        }
    }
    chunk.before(token) == b"throw"
}
