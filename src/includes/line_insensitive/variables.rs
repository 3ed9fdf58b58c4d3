//! Recognises mentions of a line-capturing function's name that mean a variable of the same name.
//!
//! A mention that is no call may still pass the function on: `decltype(f) g;` gives g the default arguments of f, and a
//! template that gets `f` as an argument may call it. So such a mention is only accepted if the name clearly means
//! something else: a variable that is declared earlier in the same class, function or block.

use super::capture_site::{self, CaptureSite, path};
use super::chunks::Chunk;
use super::shapes::{DeclarationHead, Ends, declaration_start, has_equals, is_call, is_in_list};
use super::words::{is_class_key, is_name, is_type_of};

/// Whether `at` names a variable rather than the function.
pub(super) fn is_variable(chunk: &Chunk<'_>, at: usize) -> bool {
    let name = chunk.text(at);
    match chunk.before(at) {
        b"::" => return false,
        b"." | b"->" => {
            return !is_call(chunk, at) && is_value(chunk, at) && is_member_value(chunk, at);
        }
        _ => {}
    }
    let mut mentions = (0..=at).filter(|&token| chunk.text(token) == name && chunk.is_word(token));
    mentions.any(|declared| declares(chunk, declared, at))
}

/// Whether `declared` declares a variable that is the meaning of `at`.
fn declares(chunk: &Chunk<'_>, declared: usize, at: usize) -> bool {
    let Some(scope) = chunk.parent(declared) else {
        return false;
    };
    let after = chunk.text(declared + 1);
    match chunk.text(scope) {
        b"{" if is_class_body(chunk, scope) => {
            let end = matches!(after, b";" | b"=" | b"{");
            end && chunk.partner(scope) > at
                && is_typed(chunk, declared, Ends::WithBraces)
                && !has_function(chunk, scope, chunk.partner(scope), chunk.text(declared))
        }
        b"{" => {
            // In a block, `F f;` may declare a function.
            after == b"="
                && chunk.partner(scope) > at
                && is_typed(chunk, declared, Ends::Plain)
                && capture_site::place(chunk, declared) == Ok(CaptureSite::Own)
                && !has_function(chunk, scope, chunk.partner(scope), chunk.text(declared))
        }
        b"(" => matches!(after, b"," | b")" | b"=") && is_parameter(chunk, scope, declared, at),
        _ => false,
    }
}

/// Whether the braces at `open` hold the members of a class.
fn is_class_body(chunk: &Chunk<'_>, open: usize) -> bool {
    DeclarationHead::read(chunk, open).is_ok_and(|head| {
        let key = head.class_key();
        key.is_some_and(|key| capture_site::is_class_head(chunk, key, open))
    })
}

/// Whether a function of this name may be declared between `start` and `end`.
fn has_function(chunk: &Chunk<'_>, start: usize, end: usize, name: &[u8]) -> bool {
    (start..end).any(|token| {
        let is_named = chunk.text(token) == name && matches!(chunk.text(token + 1), b"(" | b"<");
        let is_use = match chunk.before(token) {
            b"(" | b"return" | b"=" | b"." | b"->" | b";" | b"{" | b":" => true,
            b"," => is_initialised(chunk, token),
            _ => false,
        };
        is_named && !is_use
    })
}

/// Whether `at` follows a colon after a parameter list, where the initialisers of a constructor are.
fn is_initialised(chunk: &Chunk<'_>, at: usize) -> bool {
    let start = declaration_start(chunk, at, Ends::WithBraces);
    let mut tokens = chunk.siblings(start, at);
    tokens.any(|token| chunk.text(token) == b"(") && tokens.any(|token| chunk.text(token) == b":")
}

/// Whether the part of the declaration before `at` is a plain type.
fn is_typed(chunk: &Chunk<'_>, at: usize, ends: Ends) -> bool {
    let start = declaration_start(chunk, at, ends);
    start < at && is_type(chunk, start, at)
}

/// Whether the tokens between `start` and `end` are a type and nothing else.
fn is_type(chunk: &Chunk<'_>, start: usize, end: usize) -> bool {
    let is_plain = |token: usize| {
        let text = chunk.text(token);
        let is_other = matches!(
            text,
            b"return"
                | b"throw"
                | b"co_return"
                | b"co_yield"
                | b"co_await"
                | b"new"
                | b"delete"
                | b"else"
                | b"do"
                | b"goto"
                | b"case"
                | b"using"
                | b"typedef"
                | b"friend"
                | b"enum"
                | b"namespace"
                | b"template"
                | b"operator"
                | b"sizeof"
                | b"extern"
                | b"not"
                | b"compl"
                | b"and"
                | b"or"
                | b"asm"
        );
        let is_mark = matches!(text, b"::" | b"*" | b"&" | b"&&" | b"<" | b">" | b">>");
        (chunk.is_word(token) && !is_other && !is_class_key(text)) || is_mark
    };
    let mut tokens = chunk.siblings(start, end);
    let ends_plainly = chunk.text(end.wrapping_sub(1)) != b"::";
    tokens.all(is_plain) && ends_plainly && !is_in_list(chunk, start, end) && chunk.is_word(start)
}

/// Whether `declared` is one of the parameters at `scope`, and `at` is in the same function.
fn is_parameter(chunk: &Chunk<'_>, scope: usize, declared: usize, at: usize) -> bool {
    let outer = chunk.parent(scope);
    let is_member = outer.is_none_or(|outer| is_class_body(chunk, outer));
    let is_function = scope > 0 && chunk.is_word(scope - 1) && is_name(chunk.before(scope));
    let head = DeclarationHead::read(chunk, scope);
    let is_first =
        head.is_ok_and(|head| head.parameters().is_none() && !has_equals(chunk, head.start, scope));
    if !is_member || !is_function || !is_first {
        return false;
    }
    let mut start = declared;
    while let Some(before) = chunk.sibling_before(start) {
        if chunk.text(before) == b"," {
            break;
        }
        start = before;
    }
    if start == declared || !is_type(chunk, start, declared) {
        return false;
    }
    let same = path(chunk, at)
        .into_iter()
        .find(|&node| chunk.parent(node) == outer);
    let Some(node) = same else {
        return false;
    };
    let first = declaration_start(chunk, scope, Ends::WithBraces);
    declaration_start(chunk, node, Ends::WithBraces) == first
        && !has_function(chunk, first, chunk.partner(node), chunk.text(declared))
}

/// Whether `at` is used for its value: it is neither in a list of template arguments nor in an
/// operand of `decltype` and the like.
fn is_value(chunk: &Chunk<'_>, at: usize) -> bool {
    path(chunk, at).into_iter().all(|node| {
        let start = declaration_start(chunk, node, Ends::Plain);
        let is_operand = chunk.text(node) == b"(" && is_type_of(chunk.before(node));
        !is_operand && !is_in_list(chunk, start, node)
    })
}

/// Whether the class around `at` has a variable of this name, or the value is used in a function.
fn is_member_value(chunk: &Chunk<'_>, at: usize) -> bool {
    if capture_site::place(chunk, at) == Ok(CaptureSite::Own) {
        return true;
    }
    let name = chunk.text(at);
    let mut mentions = (0..at).filter(|&token| chunk.text(token) == name);
    mentions.any(|declared| {
        let scope = chunk.parent(declared);
        let is_class =
            scope.is_some_and(|scope| chunk.text(scope) == b"{" && is_class_body(chunk, scope));
        is_class && declares(chunk, declared, at)
    })
}
