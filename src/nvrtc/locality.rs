//! Decides whether a result depends on the program's whole name and on the working directory, or would be the
//! same anywhere. Programs such as CuPy name each compile in a new random directory. The rules were found by
//! compiling under other names and in other directories (`docs/design/nvrtc.md`); if it is not certain
//! that neither matters, both are part of the key. Pure.

use super::options::Options;
use super::pasted::Pieces;
use super::program::Program;
use super::words::{is_word, word_places, words};
use crate::includes::scan::{
    HAS_INCLUDE, IncludeForm, Mentions, ScannedName, TIMES, scan, spliced,
};
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

/// Words of these that expand to the main file's name in any file, or to the caller's file name.
const NAMING_ANYWHERE: &[&[u8]] = &[
    b"__BASE_FILE__",
    b"__builtin_FILE",
    b"__builtin_FILE_NAME",
    b"__builtin_source_location",
];

/// Words of these that expand to the name of the file in which they, or the macros that use them, are expanded.
const NAMING_HERE: &[&[u8]] = &[b"__FILE__", b"assert"];

/// Directives that cannot put a name into a result by themselves. Uses of a macro that `#define` defines are found by
/// the macro's name.
const SILENT: &[&[u8]] = &[
    b"if", b"ifdef", b"ifndef", b"elif", b"else", b"endif", b"define", b"undef",
];

/// Whether the text uses a macro for the time of the compile.
pub(super) fn asks_for_time(text: &[u8]) -> bool {
    holds_any(text, &TIMES)
}

/// A macro for the time that may be pasted together from the pieces of a compile.
pub(super) fn pasted_time(pieces: &Pieces<'_>) -> Option<&'static [u8]> {
    TIMES.into_iter().find(|word| pieces.may_make(word))
}

/// Whether any text may use `__has_include`, directly or pasted together.
pub(super) fn asks_for_files<'t>(
    mut texts: impl Iterator<Item = &'t [u8]>,
    pieces: &Pieces<'_>,
) -> bool {
    texts.any(|text| memmem::find(&spliced(text), b"__has_include").is_some())
        || HAS_INCLUDE.iter().any(|word| pieces.may_make(word))
}

/// Whether the result depends on name and directory, judged by the program's texts without any file from disk.
pub(super) fn program_tells_names(program: &Program, given: &Given<'_>) -> bool {
    given.options.tells_names || all_texts(program, given).any(|text| holds_any(text, NAMING))
}

/// Whether an include in the file with this text may be searched for in the file's own directory: a name in quotes, or
/// a computed name.
pub(super) fn looks_beside(text: &[u8]) -> bool {
    let mentions = mentions(text);
    mentions.computes_names
        || mentions.is_unclear()
        || !mentions.aliases.is_empty()
        || all_names(&mentions).any(|name| name.form == IncludeForm::Quote)
}

/// Whether the program may include a file that was not passed in memory.
pub(super) fn reads_files(program: &Program) -> bool {
    let is_passed = |name: &[u8]| program.headers.iter().any(|header| header.name == name);
    texts(program).any(|text| {
        let mentions = mentions(text);
        mentions.computes_names
            || mentions.is_unclear()
            || all_names(&mentions).any(|name| !is_passed(&name.text))
    })
}

fn all_names(mentions: &Mentions) -> impl Iterator<Item = &ScannedName> {
    let names = mentions.includes.iter().chain(&mentions.nexts);
    names.chain(&mentions.asked)
}

/// Whether headers with these `texts` may put the program's name into the result: by their own code, or through a
/// macro that the program uses.
pub(super) fn headers_tell_names<'t>(
    program: &Program,
    given: &Given<'_>,
    texts: impl Iterator<Item = &'t [u8]> + Clone,
    pieces: &Pieces<'_>,
) -> bool {
    let here = naming_macros(texts.clone(), NAMING_HERE);
    let anywhere = naming_macros(texts.clone(), NAMING_ANYWHERE);
    let mut texts = texts;
    let mut macros = here.iter().chain(&anywhere);
    uses_any(program, given, &here)
        || uses_any(program, given, &anywhere)
        || NAMING.iter().any(|word| pieces.may_make(word))
        || macros.any(|word| pieces.may_make(word))
        || texts.any(|text| code_holds_any(text, &anywhere))
}

/// The `words`, and the macros in the headers' `texts` that expand to one of them, directly or through other macros.
fn naming_macros<'t>(
    texts: impl Iterator<Item = &'t [u8]> + Clone,
    words: &[&[u8]],
) -> BTreeSet<Vec<u8>> {
    let mut naming: BTreeSet<_> = words.iter().map(|word| word.to_vec()).collect();
    loop {
        let defining = texts.clone().flat_map(|text| definitions(text, &naming));
        let new_macros: BTreeSet<_> = defining.filter(|name| !naming.contains(name)).collect();
        if new_macros.is_empty() {
            return naming;
        }
        naming.extend(new_macros);
    }
}

/// Whether one of `words` occurs in `text` in a place that is not certain to be a silent directive.
fn code_holds_any(text: &[u8], words: &BTreeSet<Vec<u8>>) -> bool {
    let text = spliced(text);
    let mut places = words.iter().flat_map(|word| word_places(&text, word));
    places.any(|at| {
        let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
        !is_silent(&text[start..end])
    })
}

/// Whether a line is one of [`SILENT`]. Lines with a quote or the end of a comment are not, because they may end
/// something that began on an earlier line.
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

/// Whether one of the program's own texts, or the value of an option, uses one of `macros`.
fn uses_any(program: &Program, given: &Given<'_>, macros: &BTreeSet<Vec<u8>>) -> bool {
    let mut texts = all_texts(program, given).map(spliced);
    texts.any(|text| words(&text).any(|word| macros.contains(word)))
}

/// The arguments of a compile besides its program.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub options: &'a Options,
    /// The name expressions: NVRTC compiles them after the program's text.
    pub expressions: &'a [Vec<u8>],
}

/// The program's texts, its name expressions, and the values of options.
pub(super) fn all_texts<'a>(
    program: &'a Program,
    given: &Given<'a>,
) -> impl Iterator<Item = &'a [u8]> {
    let expressions = given.expressions.iter().map(Vec::as_slice);
    texts(program)
        .chain(expressions)
        .chain(given.options.values())
}

/// The texts of a program: its source and the headers that were passed in memory.
pub(super) fn texts(program: &Program) -> impl Iterator<Item = &[u8]> {
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

/// The macros in `text` whose definitions contain one of `wanted`.
fn definitions(text: &[u8], wanted: &BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
    let text = spliced(text);
    let mut macros = Vec::new();
    for at in memmem::find_iter(&text, b"define") {
        let rest = &text[at + b"define".len()..];
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..end].trim_ascii_start();
        let length = line.iter().take_while(|byte| is_word(**byte)).count();
        let (name, body) = line.split_at(length);
        if length > 0 && words(body).any(|word| wanted.contains(word)) {
            macros.push(name.to_vec());
        }
    }
    macros
}

/// Whether one of `words` occurs in `text`.
fn holds_any(text: &[u8], words: &[&[u8]]) -> bool {
    let text = spliced(text);
    words.iter().any(|word| holds_word(&text, word))
}

/// Whether `word` occurs in `text` as a whole word, also next to `##`.
fn holds_word(text: &[u8], word: &[u8]) -> bool {
    word_places(text, word).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::{
        Given, asks_for_time, headers_tell_names, looks_beside, naming_macros, program_tells_names,
        reads_files, texts, uses_any,
    };
    use crate::nvrtc::options::Options;
    use crate::nvrtc::pasted::Pieces;
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

    /// Whether a header and a program that includes it put the program's name into the result.
    fn tell_names(header: &str, source: &str, options: &Options, expression: &str) -> bool {
        let program = program(source);
        let expressions = [expression.as_bytes().to_vec()];
        let given = Given {
            options,
            expressions: &expressions,
        };
        let headers = [header.as_bytes()];
        let all = texts(&program).chain(headers);
        let pieces = Pieces::of(all, options.macros(), [expression.as_bytes()].into_iter());
        program_tells_names(&program, &given)
            || headers_tell_names(&program, &given, headers.into_iter(), &pieces)
    }

    #[track_caller]
    fn tells(source: &str) {
        let found = tell_names("", source, &Options::default(), "");
        assert!(found, "{source}");
    }

    #[track_caller]
    fn does_not_tell(source: &str) {
        let found = tell_names("", source, &Options::default(), "");
        assert!(!found, "{source}");
    }

    #[test]
    fn names_count_where_the_program_asks_for_them_or_looks_beside_itself() {
        does_not_tell("__global__ void k() {}");
        does_not_tell("#include <cuda/std/span>\n#include \"passed.h\"");
        does_not_tell("// assertion of my__FILE__");
        tells("void f() { g(__FILE__); }");
        tells("assert(x);");
        tells("g(__FI\\\nLE__);");
        let paste = "#define PASTE(a, b) a##b\n";
        for call in [
            "g(PASTE(__FI, LE__));",
            "g(PASTE(PASTE(_, _F), PASTE(ILE, __)));",
            "g(PASTE(__builtin_, FILE)());",
            "g(PASTE(_, _builtin_FILE)());",
            "PASTE(ass, ert)(x);",
            "PASTE(a, PASTE(ss, ert))(x);",
        ] {
            tells(&format!("{paste}{call}"));
            does_not_tell(call);
        }
        does_not_tell("FILE *location; __builtin_popc(1);");
        let named = Options::read(&[b"-DNAME=__FILE__".to_vec()], None).unwrap();
        assert!(tell_names("", "g(NAME);", &named, ""));
        assert!(tell_names(
            "",
            "",
            &Options::default(),
            "k<sizeof(__FILE__)>"
        ));
        assert!(tell_names(
            "",
            paste,
            &Options::default(),
            "k<sizeof(PASTE(__FI, LE__))>"
        ));
        let mut lines = Options::default();
        lines.tells_names = true;
        assert!(tell_names("", "", &lines, ""));
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
    }

    #[test]
    fn macros_that_hand_on_a_name_are_followed() {
        let texts: [&[u8]; 3] = [
            b"#define CHECK(x) fail(x, \\\n  __FILE__)\n#define PLAIN 1",
            b"#  define OUTER(x) CHECK(x)",
            b"#define OTHER PLAIN",
        ];
        let macros = naming_macros(texts.into_iter(), &[b"__FILE__"]);
        let found: Vec<_> = macros
            .iter()
            .map(|name| String::from_utf8_lossy(name))
            .collect();
        assert_eq!(found, ["CHECK", "OUTER", "__FILE__"]);
        let given = Given {
            options: &Options::default(),
            expressions: &[],
        };
        assert!(uses_any(&program("OUTER(1);"), &given, &macros));
        assert!(!uses_any(&program("PLAIN;"), &given, &macros));
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
                "#define PASTE(a, b) a##b\nvoid f(char *at = PASTE(__builtin_, FILE)());",
                "f();",
                true,
            ),
            (
                "#define PASTE(a, b) a##b\n#define CHECK(x) PASTE(ass, ert)(x)",
                "CHECK(1);",
                true,
            ),
            (
                "#define JOIN(a, b) a##b\n#define MY_FILE __builtin_FILE\nvoid f(char *at = JOIN(MY_, FILE)());",
                "f();",
                true,
            ),
            (
                "#define JOIN(a, b) a##b\n#define MY_CHECK(x) assert(x)",
                "JOIN(MY_, CHECK)(1);",
                true,
            ),
            (
                "#define JOIN(a, b) a##b\n#define MY_CHECK(x) assert(x)",
                "JOIN(MY_, OTHER)(1);",
                false,
            ),
        ] {
            let found = tell_names(header, source, &Options::default(), "");
            assert_eq!(found, expected, "{header}\n{source}");
        }
    }
}
