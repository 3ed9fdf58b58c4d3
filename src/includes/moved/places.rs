//! Where in a declaration a line-taking call stands: whether it takes the line of its own, or whether
//! someone else's call takes its line through it, and whether that call has a name.
//!
//! Everything here errs on one side: what is not plainly a body is a declaration, and a declaration that
//! is not plainly named leaves no lines out. docs/semantic.md has the cases.

use super::chunks::{Chunk, angle};
use super::taint::Unnamed;

/// Words that may stand before an opening parenthesis which is no parameter list.
const STATEMENTS: [&[u8]; 34] = [
    b"if",
    b"for",
    b"while",
    b"switch",
    b"return",
    b"constexpr",
    b"consteval",
    b"catch",
    b"sizeof",
    b"alignof",
    b"decltype",
    b"typeof",
    b"__typeof__",
    b"__typeof",
    b"alignas",
    b"_Alignas",
    b"noexcept",
    b"static_assert",
    b"_Static_assert",
    b"explicit",
    b"requires",
    b"throw",
    b"co_return",
    b"co_yield",
    b"co_await",
    b"case",
    b"asm",
    b"__asm__",
    b"__asm",
    b"volatile",
    b"__attribute__",
    b"__attribute",
    b"__extension__",
    b"else",
];

/// Operators that are spelled as words.
const WORDS: [&[u8]; 9] = [
    b"and", b"and_eq", b"bitand", b"bitor", b"not_eq", b"or", b"or_eq", b"xor", b"xor_eq",
];

/// Functions that the language calls, or that the CUDA compilers write calls of, without their name in the source.
const IMPLICIT: [&[u8]; 22] = [
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
    b"main",
    b"cudaConfigureCall",
];

/// Attributes and their like, whose parentheses are no parameter list.
fn is_attribute(word: &[u8]) -> bool {
    matches!(
        word,
        b"__attribute__" | b"__attribute" | b"alignas" | b"_Alignas" | b"__declspec"
    )
}

fn is_class_key(word: &[u8]) -> bool {
    matches!(word, b"class" | b"struct" | b"union")
}

/// Whether what is called `name` may be called where its name does not stand, or stands in another spelling.
pub fn is_implicit(name: &[u8]) -> bool {
    IMPLICIT.contains(&name)
        || !name.is_ascii()
        || name.starts_with(b"__cuda")
        || name.starts_with(b"cudaLaunch")
}

/// The functions whose callers' lines are taken through token `at`, which takes a line.
pub fn through(chunk: &Chunk<'_>, at: usize) -> Result<Vec<Vec<u8>>, Unnamed> {
    let mut found = Vec::new();
    let mut inner = at;
    loop {
        let start = declaration_start(chunk, inner, Ends::WithBraces);
        check_templates(chunk, inner)?;
        let Some(parent) = chunk.parent(inner) else {
            return Ok(found);
        };
        match chunk.text(parent) {
            b"(" => found.extend(parameter(chunk, parent, inner)?),
            b"{" => check_member(chunk, parent, start, inner)?,
            _ => {}
        }
        inner = parent;
    }
}

/// What ends the declaration before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// A semicolon or an access label.
    Plain,
    /// A closing brace that a word follows, too.
    WithBraces,
}

/// The first token of the declaration or statement that `at` belongs to, in its bracket.
fn declaration_start(chunk: &Chunk<'_>, at: usize, ends: Ends) -> usize {
    let mut start = at;
    while let Some(before) = chunk.sibling_before(start) {
        let is_label = chunk.text(before) == b":"
            && matches!(chunk.before(before), b"public" | b"private" | b"protected");
        let is_brace = ends == Ends::WithBraces
            && chunk.text(before) == b"{"
            && (chunk.is_word(start) || matches!(chunk.text(start), b"::" | b"[" | b"~"))
            && !WORDS.contains(&chunk.text(start));
        if chunk.text(before) == b";" || is_label || is_brace {
            break;
        }
        start = before;
    }
    start
}

/// Looks for lists of template parameters around `at`.
fn check_templates(chunk: &Chunk<'_>, at: usize) -> Result<(), Unnamed> {
    let plain = declaration_start(chunk, at, Ends::Plain);
    for head in chunk.siblings(plain, at) {
        let is_lambda = chunk.text(head) == b"[";
        let list = match is_lambda {
            true => chunk.partner(head) + 1,
            false => head + 1,
        };
        let begins = is_lambda || chunk.text(head) == b"template";
        if !begins || chunk.text(list) != b"<" || list >= at || list_end(chunk, list, at).is_some()
        {
            continue;
        }
        let has_default = chunk
            .siblings(list, at)
            .any(|token| chunk.text(token) == b"=");
        if !is_lambda || has_default {
            return Err(Unnamed::TemplateParameter);
        }
    }
    let mut words = chunk.siblings(plain, at).map(|token| chunk.text(token));
    let is_template = words.any(|word| word == b"template");
    if is_template && words.any(|word| matches!(word, b"using" | b"concept")) {
        return Err(Unnamed::TemplateAlias);
    }
    Ok(())
}

/// Where the list that `<` at `list` begins ends, if that is before `end`.
fn list_end(chunk: &Chunk<'_>, list: usize, end: usize) -> Option<usize> {
    let mut depth = 0;
    chunk.siblings(list, end).find(|&token| {
        depth = angle(depth, chunk.text(token), chunk.before(token));
        depth == 0
    })
}

/// What is declared by the parentheses at `open`, if `inner` in them belongs to a default argument.
fn parameter(chunk: &Chunk<'_>, open: usize, inner: usize) -> Result<Option<Vec<u8>>, Unnamed> {
    let is_default = chunk
        .siblings(open + 1, inner)
        .any(|token| chunk.text(token) == b"=" && chunk.before(token) != b"operator");
    let name = chunk.before(open);
    if !is_default || STATEMENTS.contains(&name) {
        return Ok(None);
    }
    let is_operator = (2..=3).any(|back| open >= back && chunk.text(open - back) == b"operator");
    if is_operator
        || matches!(name, b"]" | b")" | b">" | b">>" | b"}" | b"operator")
        || is_constrained_lambda(chunk, open)
    {
        return Err(Unnamed::Operator);
    }
    if !chunk.is_word(open.saturating_sub(1)) || open == 0 {
        return Ok(None);
    }
    Ok(Some(name.to_owned()))
}

/// Whether the parentheses at `open` may follow the constraint of a lambda's template parameters.
fn is_constrained_lambda(chunk: &Chunk<'_>, open: usize) -> bool {
    let start = declaration_start(chunk, open, Ends::Plain);
    let mut tokens = chunk.siblings(start, open);
    tokens.any(|token| chunk.text(token) == b"[" && chunk.text(chunk.partner(token) + 1) == b"<")
        && tokens.any(|token| chunk.text(token) == b"requires")
}

/// Looks for a default member initialiser: `inner` stands in the declaration from `start` on, in the braces
/// at `open`.
fn check_member(chunk: &Chunk<'_>, open: usize, start: usize, inner: usize) -> Result<(), Unnamed> {
    if !may_be_class(chunk, open) || is_never_initialised(chunk, start, inner) {
        return Ok(());
    }
    let has_equals = chunk
        .siblings(start, inner)
        .any(|token| chunk.text(token) == b"=" && chunk.before(token) != b"operator");
    let is_initialiser = chunk.text(inner) == b"{"
        && (!is_function_part(chunk, start, inner) || is_mere_list(chunk, inner))
        && !is_type_body(chunk, start, inner);
    match has_equals || is_initialiser {
        true => Err(Unnamed::Member),
        false => Ok(()),
    }
}

/// Whether the braces at `open` hold no statement and end a declarator: `int (x){1};`.
fn is_mere_list(chunk: &Chunk<'_>, open: usize) -> bool {
    let end = chunk.partner(open);
    let mut inside = chunk.siblings(open + 1, end);
    matches!(chunk.text(end + 1), b";" | b",") && inside.all(|token| chunk.text(token) != b";")
}

/// Whether the member declared from `start` on is none that constructors initialise.
fn is_never_initialised(chunk: &Chunk<'_>, start: usize, inner: usize) -> bool {
    matches!(
        chunk.text(start),
        b"template" | b"using" | b"typedef" | b"friend" | b"static_assert"
    ) || chunk
        .siblings(start, inner)
        .take_while(|&token| chunk.text(token) != b"=")
        .any(|token| chunk.text(token) == b"static")
}

/// Whether the braces at `open` may hold members of a class. Errs for yes.
pub fn may_be_class(chunk: &Chunk<'_>, open: usize) -> bool {
    let start = declaration_start(chunk, open, Ends::WithBraces);
    let mut list = None;
    let mut key = None;
    for token in chunk.siblings(start, open) {
        if list.is_some_and(|end| token <= end) {
            continue;
        }
        if chunk.text(token) == b"<" && chunk.before(token) == b"template" {
            match list_end(chunk, token, open) {
                Some(end) => list = Some(end),
                None => return true,
            }
        }
        if is_class_key(chunk.text(token)) {
            key = Some(token);
            break;
        }
    }
    match key {
        Some(key) => chunk.before(key) != b"enum" && !declares_other(chunk, key, open),
        None => false,
    }
}

/// Whether what begins with the class-key at `key` is plainly no class's head: a function or variable.
fn declares_other(chunk: &Chunk<'_>, key: usize, open: usize) -> bool {
    let mut depth = 0;
    for token in chunk.siblings(key, open) {
        depth = angle(depth, chunk.text(token), chunk.before(token));
        match chunk.text(token) {
            _ if depth > 0 => {}
            b":" => return false,
            b"=" => return true,
            b"(" if !is_attribute(chunk.before(token)) => return true,
            _ => {}
        }
    }
    false
}

/// Whether the braces at `inner` are the body of the class or enumeration declared from `start` on.
fn is_type_body(chunk: &Chunk<'_>, start: usize, inner: usize) -> bool {
    let specifiers: [&[u8]; 6] = [
        b"mutable",
        b"const",
        b"volatile",
        b"constexpr",
        b"__extension__",
        b"inline",
    ];
    let mut tokens = chunk.siblings(start, inner).peekable();
    while tokens
        .next_if(|&token| specifiers.contains(&chunk.text(token)))
        .is_some()
    {}
    let is_type = tokens
        .next()
        .is_some_and(|token| is_class_key(chunk.text(token)) || chunk.text(token) == b"enum");
    let mut words = 0;
    for token in tokens {
        match chunk.text(token) {
            b":" => return is_type,
            b"{" => return false,
            b"final" | b"class" | b"struct" | b"::" | b"[" => {}
            word if is_attribute(word) => {}
            b"(" if is_attribute(chunk.before(token)) => {}
            b"<" | b">" | b">>" => {}
            _ => words += usize::from(chunk.before(token) != b"::"),
        }
    }
    is_type && words <= 1
}

/// Whether the braces at `inner` are the body of a function or belong to its initialisers.
fn is_function_part(chunk: &Chunk<'_>, start: usize, inner: usize) -> bool {
    let colon = chunk
        .siblings(start, inner)
        .find(|&token| chunk.text(token) == b":");
    let end = colon.unwrap_or(inner);
    let arrow = chunk
        .siblings(start, end)
        .find(|&token| chunk.text(token) == b"->");
    match arrow {
        Some(arrow) => {
            let mut depth = 0;
            let is_type = chunk
                .siblings(arrow + 1, end)
                .all(|token| match chunk.text(token) {
                    b"<" => {
                        depth += 1;
                        true
                    }
                    b">" => {
                        depth -= 1;
                        depth >= 0
                    }
                    b">>" => {
                        depth -= 2;
                        depth >= 0
                    }
                    text => text != b"=",
                });
            is_type && depth == 0 && ends_parameters(chunk, start, arrow)
        }
        None => ends_parameters(chunk, start, end),
    }
}

/// Whether a function's parameters, and what may follow them, stand between `start` and `end`.
fn ends_parameters(chunk: &Chunk<'_>, start: usize, end: usize) -> bool {
    let mut at = end;
    while let Some(before) = chunk.sibling_before(at).filter(|before| *before >= start) {
        let name = chunk.before(before);
        let is_suffix = matches!(name, b"noexcept" | b"throw") || is_attribute(name);
        match chunk.text(before) {
            b"(" if is_suffix => {}
            b"(" => {
                return before > start && !matches!(name, b"decltype" | b"typeof" | b"__typeof__");
            }
            b"const" | b"volatile" | b"&" | b"&&" | b"noexcept" | b"throw" | b"override"
            | b"final" | b"try" | b"[" => {}
            word if is_attribute(word) => {}
            _ => return false,
        }
        at = before;
    }
    false
}

/// Whether token `at` may be a call of the function that it names, or the declaration of one. Template
/// arguments need no `template` (`auto` parameters), and a launch's `<<<` begins like them.
pub fn is_call(chunk: &Chunk<'_>, at: usize) -> bool {
    let mut after = at + 1;
    while chunk.text(after) == b")" {
        after += 1;
    }
    chunk.text(after) == b"(" || opens_angle(chunk, after) || is_in_attribute(chunk, at)
}

/// Whether token `at` begins with a `<` that some `>` of the same statement may close.
fn opens_angle(chunk: &Chunk<'_>, at: usize) -> bool {
    if !chunk.text(at).starts_with(b"<") {
        return false;
    }
    let end = chunk.parent(at).map(|parent| chunk.partner(parent));
    chunk
        .siblings(at, end.unwrap_or(chunk.len()))
        .take_while(|&token| chunk.text(token) != b";")
        .any(|token| chunk.text(token).starts_with(b">"))
}

/// Whether token `at` belongs to an attribute, which may have a function called (`cleanup`).
fn is_in_attribute(chunk: &Chunk<'_>, at: usize) -> bool {
    let mut inner = at;
    while let Some(parent) = chunk.parent(inner) {
        let is_doubled = chunk.text(parent) == b"[" && chunk.before(parent) == b"[";
        if is_doubled || is_attribute(chunk.before(parent)) {
            return true;
        }
        inner = parent;
    }
    false
}

/// The class-key in front of token `at`, if it is the name after one.
pub fn class_key(chunk: &Chunk<'_>, at: usize) -> Option<usize> {
    let mut token = at;
    loop {
        token = chunk.sibling_before(token)?;
        let text = chunk.text(token);
        if is_class_key(text) {
            return Some(token);
        }
        if !(chunk.is_word(token) || matches!(text, b"::" | b"[" | b"(")) {
            return None;
        }
    }
}

/// Whether token `at`, the name of a class whose constructor takes its caller's line, stands where nobody
/// can learn of the class: in its definition, or where it is thrown.
pub fn is_harmless_class(chunk: &Chunk<'_>, at: usize) -> bool {
    if class_key(chunk, at).is_some() {
        return match chunk.text(at + 1) {
            b";" => true,
            b"{" | b":" | b"final" => !mentions_itself(chunk, at),
            _ => false,
        };
    }
    is_constructor(chunk, at) || is_thrown(chunk, at)
}

/// Whether the class whose head names it at `at` uses `this`.
fn mentions_itself(chunk: &Chunk<'_>, at: usize) -> bool {
    let mut after = at;
    while after < chunk.len() && chunk.text(after) != b"{" {
        after += 1;
    }
    if after == chunk.len() {
        return true;
    }
    (after..chunk.partner(after)).any(|token| chunk.text(token) == b"this")
}

/// Whether `at` names a constructor or destructor where that is declared, or the class in the
/// parameters of one.
fn is_constructor(chunk: &Chunk<'_>, at: usize) -> bool {
    let Some(parent) = chunk.parent(at) else {
        return false;
    };
    let is_own = |open: usize| is_body_of(chunk, open, chunk.text(at));
    match chunk.text(parent) {
        b"{" => chunk.text(at + 1) == b"(" && is_own(parent),
        b"(" => {
            let outer = chunk.parent(parent);
            chunk.before(parent) == chunk.text(at) && outer.is_some_and(is_own)
        }
        _ => false,
    }
}

/// Whether the braces at `open` are the body of class `name`.
fn is_body_of(chunk: &Chunk<'_>, open: usize, name: &[u8]) -> bool {
    let start = declaration_start(chunk, open, Ends::WithBraces);
    let mut tokens = chunk.siblings(start, open);
    tokens.any(|token| {
        chunk.text(token) == name
            && class_key(chunk, token).is_some()
            && matches!(chunk.text(token + 1), b"{" | b":" | b"final")
    })
}

/// Whether `at` names the class of an object that is made to be thrown, and for nothing else.
fn is_thrown(chunk: &Chunk<'_>, at: usize) -> bool {
    let arguments = at + 1;
    if !matches!(chunk.text(arguments), b"(" | b"{")
        || chunk.text(chunk.partner(arguments) + 1) != b";"
    {
        return false;
    }
    let mut token = at;
    while let Some(before) = chunk.sibling_before(token) {
        match chunk.text(before) {
            b"throw" => return true,
            b"::" => {}
            _ if chunk.is_word(before) => {}
            _ => return false,
        }
        token = before;
    }
    false
}
