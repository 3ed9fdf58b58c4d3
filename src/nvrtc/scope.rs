//! Whether a result depends on the program's whole name and on the working directory, or would be the
//! same anywhere. Programs such as CuPy name each compile in a new random directory. Found by
//! compiling under other names and in other directories (`docs/nvrtc.md`); where it is not certain
//! that neither counts, both do. Pure.

use super::key::{base_name, full_name};
use super::options::Options;
use super::program::Program;
use crate::includes::scan::{Form, HAS_INCLUDE, Mentions, TIMES, is_piece, scan, spliced};
use memchr::memmem;
use std::collections::BTreeSet;

/// Words that give a program its file's name. `assert` is a macro of NVRTC's own, with `__FILE__` in it.
const NAMING: &[&[u8]] = &[
    b"__FILE__",
    b"__BASE_FILE__",
    b"__FILE_NAME__",
    b"__builtin_FILE",
    b"__builtin_FILE_NAME",
    b"__builtin_source_location",
    b"assert",
];

/// Those that give the main file's name wherever they stand, or the caller's.
const NAMING_ANYWHERE: &[&[u8]] = &[
    b"__BASE_FILE__",
    b"__builtin_FILE",
    b"__builtin_FILE_NAME",
    b"__builtin_source_location",
];

/// Those that give the name of the file in which they, or the macros around them, stand.
const NAMING_HERE: &[&[u8]] = &[b"__FILE__", b"assert"];

/// Directives by which no name comes into a result. What `#define` defines is looked for by its name.
const SILENT: &[&[u8]] = &[
    b"if", b"ifdef", b"ifndef", b"elif", b"else", b"endif", b"define", b"undef",
];

/// Those that somebody may paste together of pieces of four letters or more.
const PASTED: &[&[u8]] = &[b"__FILE__", b"__BASE_FILE__"];

/// Those whose ends are common words.
const BUILTINS: &[&[u8]] = &[
    b"__builtin_FILE",
    b"__builtin_FILE_NAME",
    b"__builtin_source_location",
];

/// The pieces of `assert`, one of any two.
const ASSERT: &[&[u8]] = &[b"ass", b"asse", b"asser", b"ert", b"sert", b"ssert"];

/// Whether the text asks for the time of the compile.
pub fn asks_for_time(text: &[u8]) -> bool {
    holds_any(text, &TIMES)
}

/// Whether it may do so by a name that it pastes together: found out after a compile only, as it takes longer.
pub fn may_paste_time(text: &[u8]) -> bool {
    words(&spliced(text)).any(|word| is_piece(word, &TIMES))
}

/// Whether the texts of a program, without any file, tell that name and directory count.
pub fn program_tells_names(program: &Program, options: &Options) -> bool {
    let names = |text: &[u8]| holds_any(text, NAMING) || may_paste_name(text);
    options.tells_names || options.values().any(names) || texts(program).any(names)
}

/// Whether a search may begin beside whoever has this text: for a name in quotes, or one that is computed.
pub fn looks_beside(text: &[u8]) -> bool {
    let found = mentions(text);
    let mut all = found
        .includes
        .iter()
        .chain(&found.nexts)
        .chain(&found.asked);
    found.computes_names
        || found.doubt.is_some()
        || !found.aliases.is_empty()
        || all.any(|name| name.form == Form::Quote)
}

/// Whether the program may include anything that was not passed in memory.
pub fn reads_files(program: &Program) -> bool {
    let is_passed = |name: &[u8]| program.headers.iter().any(|header| header.name == name);
    texts(program).any(|text| {
        let found = mentions(text);
        let mut all = found
            .includes
            .iter()
            .chain(&found.nexts)
            .chain(&found.asked);
        found.computes_names || found.doubt.is_some() || all.any(|name| !is_passed(&name.text))
    })
}

/// Whether headers, of which these are the `texts`, may give the program's name to the result: in their own code,
/// or by a macro that the program uses.
pub fn headers_tell_names<'t>(
    program: &Program,
    options: &Options,
    texts: impl Iterator<Item = &'t [u8]> + Clone,
) -> bool {
    let here = naming_macros(texts.clone(), NAMING_HERE);
    let anywhere = naming_macros(texts.clone(), NAMING_ANYWHERE);
    let mut texts = texts;
    uses_any(program, options, &here)
        || uses_any(program, options, &anywhere)
        || texts.any(|text| may_paste_anywhere(text) || code_holds_any(text, &anywhere))
}

/// The macros by which the headers' `texts` hand on what `words` give, and these.
fn naming_macros<'t>(
    texts: impl Iterator<Item = &'t [u8]> + Clone,
    words: &[&[u8]],
) -> BTreeSet<Vec<u8>> {
    let mut found: BTreeSet<_> = words.iter().map(|word| word.to_vec()).collect();
    loop {
        let defining = texts.clone().flat_map(|text| definitions(text, &found));
        let fresh: BTreeSet<_> = defining.filter(|name| !found.contains(name)).collect();
        if fresh.is_empty() {
            return found;
        }
        found.extend(fresh);
    }
}

/// Whether one of `words` stands in `text` where it is not certain that it is in a silent directive.
fn code_holds_any(text: &[u8], words: &BTreeSet<Vec<u8>>) -> bool {
    let text = spliced(text);
    let mut places = words.iter().flat_map(|word| word_places(&text, word));
    places.any(|at| {
        let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
        !is_silent(&text[start..end])
    })
}

/// Whether a line is one of [`SILENT`], and not the end of a comment or of a text that began before it.
fn is_silent(line: &[u8]) -> bool {
    let Some(rest) = line.trim_ascii_start().strip_prefix(b"#") else {
        return false;
    };
    let rest = rest.trim_ascii_start();
    let length = rest.iter().take_while(|byte| is_word(**byte)).count();
    SILENT.contains(&&rest[..length])
        && !line.contains(&b'"')
        && memmem::find(line, b"*/").is_none()
}

/// Whether one of the program's own texts, or the value of an option, uses one of `macros`, or may paste its name.
fn uses_any(program: &Program, options: &Options, macros: &BTreeSet<Vec<u8>>) -> bool {
    // Of any two pieces, one is as long as half of the name.
    let is_half = |word: &[u8], name: &[u8]| {
        2 * word.len() >= name.len() && (name.starts_with(word) || name.ends_with(word))
    };
    let is_one = |word: &[u8]| macros.iter().any(|name| is_half(word, name));
    let mut texts = texts(program).chain(options.values()).map(spliced);
    texts.any(|text| words(&text).any(is_one))
}

/// The log with the program's whole name cut out wherever it begins a message; `None` where the name
/// stands in any other place, so that nobody could say what it would be under another one.
pub fn without_name(log: &[u8], program: &Program) -> Option<Vec<Vec<u8>>> {
    let (full, base) = (full_name(program), base_name(program));
    let head = [base, b"("].concat();
    if texts(program).any(|text| memmem::find(text, &head).is_some()) {
        return None;
    }
    let head = [full, b"("].concat();
    let mut parts = vec![Vec::new()];
    for (number, line) in log.split(|&byte| byte == b'\n').enumerate() {
        let rest = match line.strip_prefix(head.as_slice()) {
            Some(_) => &line[full.len()..],
            None => line,
        };
        if memmem::find(rest, base).is_some() {
            return None;
        }
        let mut last = parts.pop().unwrap_or_default();
        last.extend((number > 0).then_some(b'\n'));
        parts.push(last);
        if rest.len() < line.len() {
            parts.push(Vec::new());
        }
        if let Some(last) = parts.last_mut() {
            last.extend(rest);
        }
    }
    Some(parts)
}

/// The texts that a program was given.
pub fn texts(program: &Program) -> impl Iterator<Item = &[u8]> {
    let headers = program
        .headers
        .iter()
        .map(|header| header.source.as_slice());
    std::iter::once(program.source.as_slice()).chain(headers)
}

fn mentions(text: &[u8]) -> Mentions {
    scan(
        text,
        &HAS_INCLUDE.iter().map(|word| word.to_vec()).collect(),
    )
}

/// The macros in `text` whose definitions hold one of `wanted`, or may paste it together.
fn definitions(text: &[u8], wanted: &BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
    let text = spliced(text);
    let mut found = Vec::new();
    for at in memmem::find_iter(&text, b"define") {
        let rest = &text[at + b"define".len()..];
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..end].trim_ascii_start();
        let length = line.iter().take_while(|byte| is_word(**byte)).count();
        let (name, body) = line.split_at(length);
        let tells = || words(body).any(|word| wanted.contains(word) || may_be_pasted(word));
        if length > 0 && tells() {
            found.push(name.to_vec());
        }
    }
    found
}

/// Whether one of `words` stands in `text`.
fn holds_any(text: &[u8], words: &[&[u8]]) -> bool {
    let text = spliced(text);
    words.iter().any(|word| holds_word(&text, word))
}

/// Whether a piece of a word that gives the name stands in `text`.
fn may_paste_name(text: &[u8]) -> bool {
    words(&spliced(text)).any(may_be_pasted)
}

/// Whether `word` may be a piece of a word that gives the name.
fn may_be_pasted(word: &[u8]) -> bool {
    is_piece(word, PASTED) || is_builtin_piece(word) || ASSERT.contains(&word)
}

/// The same of a word that gives the program's name in a header's code, too.
fn may_paste_anywhere(text: &[u8]) -> bool {
    let is_piece = |word: &[u8]| is_piece(word, &[b"__BASE_FILE__"]) || is_builtin_piece(word);
    words(&spliced(text)).any(is_piece)
}

/// Whether `word` may be a piece of one of [`BUILTINS`]: of any two, the first that is long enough to tell, or
/// else the second.
fn is_builtin_piece(word: &[u8]) -> bool {
    const LEAST: usize = 4;
    let is_of = |whole: &&&[u8]| {
        let starts = word.len() >= LEAST && whole.starts_with(word);
        let ends = word.len() + LEAST > whole.len() && whole.ends_with(word);
        word.len() < whole.len() && (starts || ends)
    };
    BUILTINS.iter().any(|whole| is_of(&whole)) && !BUILTINS.contains(&word)
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_word(*byte))
}

/// Whether `word` stands in `text` by itself, or pasted to something.
fn holds_word(text: &[u8], word: &[u8]) -> bool {
    word_places(text, word).next().is_some()
}

fn word_places<'t>(text: &'t [u8], word: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    memmem::find_iter(text, word).filter(move |at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        let after = text.get(at + word.len());
        ![before, after]
            .into_iter()
            .flatten()
            .any(|byte| is_word(*byte))
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::{
        asks_for_time, headers_tell_names, looks_beside, may_paste_time, naming_macros,
        program_tells_names, reads_files, uses_any, without_name,
    };
    use crate::nvrtc::options::Options;
    use crate::nvrtc::program::{Header, Program};

    fn program(source: &str) -> Program {
        let header = Header {
            name: b"passed.h".to_vec(),
            source: b"#define PASSED 1\n".to_vec(),
        };
        Program {
            source: source.as_bytes().to_vec(),
            name: Some(b"/tmp/random/k.cu".to_vec()),
            headers: vec![header],
        }
    }

    #[track_caller]
    fn tells(source: &str, expected: bool) {
        let found = program_tells_names(&program(source), &Options::default());
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn names_count_where_the_program_asks_for_them_or_looks_beside_itself() {
        tells("__global__ void k() {}", false);
        tells("#include <cuda/std/span>\n#include \"passed.h\"", false);
        tells("// assertion of my__FILE__", false);
        tells("void f() { g(__FILE__); }", true);
        tells("assert(x);", true);
        tells("g(__FI\\\nLE__);", true);
        tells("g(PASTE(__FI, LE__));", true);
        tells("g(PASTE(__builtin_, FILE)());", true);
        tells("g(PASTE(_, _builtin_FILE)());", true);
        tells("PASTE(ass, ert)(x);", true);
        tells("PASTE(a, ssert)(x);", true);
        tells("FILE *location; __builtin_popc(1);", false);
        let named = Options::read(&[b"-DNAME=__FILE__".to_vec()], None).unwrap();
        assert!(program_tells_names(&program("g(NAME);"), &named));
        let mut lines = Options::default();
        lines.tells_names = true;
        assert!(program_tells_names(&program(""), &lines));
    }

    #[test]
    fn quotes_and_computed_names_look_beside_the_program() {
        for (source, expected) in [
            ("#include <a.h>", false),
            ("#if __has_include(<a.h>)\n#endif", false),
            ("#include \"a.h\"", true),
            ("#include \"passed.h\"", true),
            ("#if __has_include(\"a.h\")\n#endif", true),
            ("#define ASK __has_include\n", true),
            ("#include NAME", true),
        ] {
            assert_eq!(looks_beside(source.as_bytes()), expected, "{source}");
        }
    }

    #[test]
    fn whatever_is_not_passed_is_read_from_files() {
        assert!(!reads_files(&program("#include \"passed.h\"")));
        assert!(!reads_files(&program("#include <passed.h>")));
        assert!(reads_files(&program("#include <a.h>")));
        assert!(reads_files(&program("#if __has_include(<a.h>)\n#endif")));
        assert!(reads_files(&program("#include NAME")));
    }

    #[test]
    fn time_macros_are_words() {
        assert!(asks_for_time(b"x = __TIME__;"));
        assert!(asks_for_time(b"x = __TI\\\nME__;"));
        assert!(!asks_for_time(b"x = __TIME__2;"));
        assert!(may_paste_time(b"x = PASTE(__TI, ME__);"));
        assert!(!may_paste_time(b"x = __TIME__;"));
    }

    #[test]
    fn macros_that_hand_on_a_name_are_followed() {
        let texts: [&[u8]; 3] = [
            b"#define CHECK(x) fail(x, \\\n  __FILE__)\n#define PLAIN 1",
            b"#  define OUTER(x) CHECK(x)",
            b"#define PASTED JOIN(__FI, LE__)",
        ];
        let macros = naming_macros(texts.into_iter(), &[b"__FILE__"]);
        let found: Vec<_> = macros
            .iter()
            .map(|name| String::from_utf8_lossy(name))
            .collect();
        assert_eq!(found, ["CHECK", "OUTER", "PASTED", "__FILE__"]);
        assert!(uses_any(
            &program("OUTER(1);"),
            &Options::default(),
            &macros
        ));
        assert!(!uses_any(&program("PLAIN;"), &Options::default(), &macros));
    }

    #[test]
    fn headers_tell_names_in_code_and_by_macros_alone() {
        for (header, source, expected) in [
            ("void f() { assert(1); g(__FILE__); }", "f();", false),
            ("#define CHECK(x) assert(x)", "CHECK(1);", true),
            (
                "#define CHECK(x) assert(x)\nvoid f() { CHECK(1); }",
                "f();",
                false,
            ),
            ("void f(char *at = __builtin_FILE());", "f();", true),
            ("g(__BASE_FILE__);", "", true),
            (
                "#if HAS(__builtin_FILE) // __builtin_FILE\n# define AT() __builtin_FILE()\n#endif",
                "f();",
                false,
            ),
            (
                "#define AT __builtin_FILE()\nvoid f(char *at = AT);",
                "f();",
                true,
            ),
            ("#define AT __builtin_FILE()", "f(AT);", true),
            ("/*\n#if */ f(__builtin_FILE());", "", true),
            ("x = R\"(\n#if )\" + f(__builtin_FILE());", "", true),
            ("#if X\\\n\nf(__builtin_FILE());", "", true),
            ("#pragma message(__builtin_FILE())", "", true),
            (
                "void f(char *at = PASTE(__builtin_, FILE)());",
                "f();",
                true,
            ),
            ("#define CHECK(x) PASTE(ass, ert)(x)", "CHECK(1);", true),
        ] {
            let texts = [header.as_bytes()];
            let found =
                headers_tell_names(&program(source), &Options::default(), texts.into_iter());
            assert_eq!(found, expected, "{header}\n{source}");
        }
    }

    #[test]
    fn the_name_is_cut_out_where_messages_begin_and_nowhere_else() {
        let cut = |log: &str| without_name(log.as_bytes(), &program("int x;"));
        let parts = |texts: &[&str]| {
            Some(
                texts
                    .iter()
                    .map(|text| text.as_bytes().to_vec())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(cut("\0"), parts(&["\0"]));
        assert_eq!(cut("nothing\nhere\n\0"), parts(&["nothing\nhere\n\0"]));
        let warned = "/tmp/random/k.cu(3): warning\n  int x;\n/tmp/random/k.cu(4): note\n\0";
        assert_eq!(
            cut(warned),
            parts(&["", "(3): warning\n  int x;\n", "(4): note\n\0"])
        );
        assert_eq!(cut("at line 4 of \"/tmp/random/k.cu\"\n\0"), None);
        assert_eq!(cut("k.cu(3): warning\n\0"), None);
        let quoting = program("// k.cu(3): warning");
        assert_eq!(without_name(b"/tmp/random/k.cu(3): x\n\0", &quoting), None);
    }
}
