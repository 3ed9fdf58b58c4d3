//! Finds where in a declaration a line-capturing call stands, and whether another function captures its caller's line
//! through it.
//!
//! Only the places in this list are accepted. For any other, every line keeps its number:
//!
//! | place of the call                                       | line that is captured         |
//! |---------------------------------------------------------|-------------------------------|
//! | a function's body, or the initialisers of a constructor | its own                       |
//! | the initialiser of a variable of a namespace            | its own                       |
//! | the type of an alias that is no template                | its own                       |
//! | a default argument of a function that has a name        | that of the function's caller |
//! | no call, but a declaration of the function              | none                          |
//!
//! docs/design/semantic.md says why these are safe.

use super::chunks::{Chunk, angle};
use super::keeps::UntrackableCapture;
use super::shapes::{
    DeclarationHead, Ends, declaration_start, ends_function, has_equals, is_in_list,
};
use super::words::{is_attribute, is_class_key, is_name};

/// Functions that the language calls, or to which the CUDA compilers add calls, without their name in the source.
const IMPLICIT: [&[u8]; 27] = [
    b"begin",
    b"end",
    b"get",
    b"operator",
    b"get_return_object",
    b"initial_suspend",
    b"final_suspend",
    b"await_ready",
    b"await_suspend",
    b"await_resume",
    b"await_transform",
    b"return_value",
    b"return_void",
    b"yield_value",
    b"unhandled_exception",
    b"get_return_object_on_allocation_failure",
    b"from_address",
    b"from_promise",
    b"address",
    b"resume",
    b"destroy",
    b"done",
    b"data",
    b"size",
    b"main",
    b"cudaConfigureCall",
    b"current_exception",
];

/// Whether a function of this `name` may be called without its name in the source, or with another spelling of it.
pub(super) fn is_implicit(name: &[u8]) -> bool {
    IMPLICIT.contains(&name)
        || !name.is_ascii()
        || name.starts_with(b"__cuda")
        || name.starts_with(b"__nv")
        || name.starts_with(b"cudaLaunch")
}

/// The place of a token in its declaration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CaptureSite<'t> {
    /// In a body or an initialiser: a call there captures its own line.
    Own,
    /// In a default argument of the function of this name.
    Default(&'t [u8]),
    /// The name of the function that is declared.
    Declared,
}

/// The place of token `at`. Fails if it is not on the list.
pub(super) fn place<'t>(
    chunk: &Chunk<'t>,
    at: usize,
) -> Result<CaptureSite<'t>, UntrackableCapture> {
    let path = path(chunk, at);
    let mut level = 0;
    loop {
        match enter(chunk, &path, level)? {
            PlaceEntry::Class => level += 1,
            PlaceEntry::Body => {
                check_inside(chunk, &path[level + 1..])?;
                return Ok(CaptureSite::Own);
            }
            PlaceEntry::Initialiser => {
                check_inside(chunk, &path[level..])?;
                return Ok(CaptureSite::Own);
            }
            PlaceEntry::Parameters(name) => {
                check_inside(chunk, &path[level + 1..])?;
                return Ok(CaptureSite::Default(name));
            }
            PlaceEntry::Declarator => return Ok(CaptureSite::Declared),
        }
    }
}

/// The brackets around `at`, outermost first, and then `at` itself.
pub(super) fn path(chunk: &Chunk<'_>, at: usize) -> Vec<usize> {
    let mut path: Vec<usize> =
        std::iter::successors(Some(at), |&inner| chunk.parent(inner)).collect();
    path.reverse();
    path
}

/// The role of a bracket or token directly within a namespace or class.
enum PlaceEntry<'t> {
    /// The braces of a class.
    Class,
    /// The body of a function, or a bracket of a constructor's initialisers.
    Body,
    /// Part of a variable's initialiser, or of an alias.
    Initialiser,
    /// The parameters of the function of this name.
    Parameters(&'t [u8]),
    /// The name of a function.
    Declarator,
}

fn enter<'t>(
    chunk: &Chunk<'t>,
    path: &[usize],
    level: usize,
) -> Result<PlaceEntry<'t>, UntrackableCapture> {
    let node = path[level];
    if is_alias(chunk, node) {
        return Ok(PlaceEntry::Initialiser);
    }
    let head = DeclarationHead::read(chunk, node)?;
    if let Some(key) = head.class_key() {
        return if chunk.text(node) == b"{" && is_class_head(chunk, key, node) {
            Ok(PlaceEntry::Class)
        } else {
            Err(UntrackableCapture::Shape)
        };
    }
    if head.has_equals() {
        let is_variable =
            level == 0 && !head.is_template && !head.has(b"operator") && !head.has(b"friend");
        return if is_variable {
            Ok(PlaceEntry::Initialiser)
        } else {
            Err(UntrackableCapture::Shape)
        };
    }
    match chunk.text(node) {
        b"{" | b"(" if is_body(chunk, &head) => Ok(PlaceEntry::Body),
        _ if head.is_constrained => Err(UntrackableCapture::Shape),
        b"(" if level + 1 < path.len() => parameters(chunk, &head, path[level + 1]),
        _ if level + 1 == path.len() && is_declarator(chunk, &head) => Ok(PlaceEntry::Declarator),
        _ => Err(UntrackableCapture::Shape),
    }
}

/// Whether `node` belongs to the type of an alias: `using T = decltype(f());`. Calls in it are evaluated there, once.
fn is_alias(chunk: &Chunk<'_>, node: usize) -> bool {
    let start = declaration_start(chunk, node, Ends::WithBraces);
    let is_using = chunk.text(start) == b"using" && chunk.is_word(start + 1);
    let mut tokens = chunk.siblings(start, node);
    is_using
        && start + 2 < node
        && chunk.text(start + 2) == b"="
        && tokens.all(|token| !is_class_key(chunk.text(token)))
}

/// Whether the tokens between the class-key at `key` and the braces at `open` are a class's name and bases,
/// and not an object of a class and its initialiser.
pub(super) fn is_class_head(chunk: &Chunk<'_>, key: usize, open: usize) -> bool {
    let mut is_named = false;
    let mut depth = 0;
    for token in chunk.siblings(key + 1, open) {
        let (text, before) = (chunk.text(token), chunk.before(token));
        depth = angle(depth, text, before);
        match text {
            _ if depth > 0 => {}
            b":" => return true,
            b">" | b">>" | b"::" => is_named = true,
            b"(" if !is_named && is_attribute(before) => {}
            b"[" if !is_named && chunk.text(token + 1) == b"[" => {}
            _ if !is_named && is_attribute(text) => {}
            b"final" if is_named => {}
            _ if !chunk.is_word(token) || (is_named && before != b"::") => return false,
            _ => is_named = true,
        }
    }
    depth == 0
}

/// Whether the bracket at the end of `head` is the body of a function or belongs to its initialisers.
fn is_body(chunk: &Chunk<'_>, head: &DeclarationHead<'_, '_>) -> bool {
    let Some(parameters) = head.parameters() else {
        return false;
    };
    let colon = head.colon();
    if colon.is_some_and(|colon| colon < parameters) {
        return false;
    }
    let mut group = head.end;
    loop {
        if chunk.text(group) == b"{" && ends_function(chunk, group) {
            // Otherwise it is a bracket of the return type, of `noexcept` or of a constraint.
            return colon.is_some() || group == head.end && chunk.before(group) != b"]";
        }
        if colon.is_none() {
            return false;
        }
        let mut next = chunk.partner(group) + 1;
        while matches!(
            chunk.text(next),
            b"," | b"..." | b"::" | b"<" | b">" | b">>"
        ) || chunk.is_word(next)
        {
            next += 1;
        }
        if !matches!(chunk.text(next), b"{" | b"(") {
            return false;
        }
        group = next;
    }
}

/// The function whose parameters begin at the end of `head`. Fails unless `inner` is in a default argument.
fn parameters<'t>(
    chunk: &Chunk<'t>,
    head: &DeclarationHead<'_, '_>,
    inner: usize,
) -> Result<PlaceEntry<'t>, UntrackableCapture> {
    let name = chunk.before(head.end);
    let at = head.end.wrapping_sub(1);
    let is_function = is_declarator_name(chunk, head, at);
    // A member that is defined outside its class may have further default arguments in the class.
    let is_elsewhere = at > 0 && matches!(chunk.before(at), b"::" | b"~");
    if is_function && !is_elsewhere && has_equals(chunk, head.end + 1, inner) {
        Ok(PlaceEntry::Parameters(name))
    } else {
        Err(UntrackableCapture::Shape)
    }
}

/// Whether `head` ends with the name of a function that it declares.
fn is_declarator(chunk: &Chunk<'_>, head: &DeclarationHead<'_, '_>) -> bool {
    is_declarator_name(chunk, head, head.end)
}

fn is_declarator_name(chunk: &Chunk<'_>, head: &DeclarationHead<'_, '_>, at: usize) -> bool {
    let before = head.tokens().take_while(|&token| token < at);
    let is_plain = |token: usize| {
        let text = chunk.text(token);
        match text {
            b"(" => {
                let before = chunk.before(token);
                is_attribute(before) || matches!(before, b"decltype" | b"explicit")
            }
            b"[" => chunk.text(token + 1) == b"[",
            b"operator" | b"friend" => false,
            b"::" | b"*" | b"&" | b"&&" | b"<" | b">" | b">>" | b"," | b"~" => true,
            _ => chunk.is_word(token) || text.starts_with(b"\"") || text[0].is_ascii_digit(),
        }
    };
    at >= head.start
        && chunk.is_word(at)
        && is_name(chunk.text(at))
        && before.into_iter().all(is_plain)
        && !is_in_list(chunk, head.start, at)
}

/// Fails if a body holds something that passes lines on: default arguments of lambdas and of functions that
/// are declared there, members of classes, constraints. `path` is the part of the path inside the body.
fn check_inside(chunk: &Chunk<'_>, path: &[usize]) -> Result<(), UntrackableCapture> {
    for (level, &node) in path.iter().enumerate() {
        let start = declaration_start(chunk, node, Ends::Plain);
        for token in chunk.siblings(start, node) {
            let text = chunk.text(token);
            let is_lambda = text == b"[" && chunk.text(chunk.partner(token) + 1) == b"<";
            let is_class = chunk.text(node) == b"{" && is_class_key(text);
            let is_template =
                text == b"template" && !matches!(chunk.before(token), b"::" | b"." | b"->");
            if is_lambda || is_class || is_template || text == b"requires" {
                return Err(UntrackableCapture::Shape);
            }
        }
        let Some(&inner) = path.get(level + 1).filter(|_| chunk.text(node) == b"(") else {
            continue;
        };
        let is_statement = matches!(
            chunk.before(node),
            b"if" | b"for" | b"while" | b"switch" | b"constexpr"
        );
        if has_equals(chunk, node + 1, inner) && !is_statement {
            return Err(UntrackableCapture::Shape);
        }
    }
    Ok(())
}
