//! Every cut of every word that asks, put together by macros in every way: wherever another time or another
//! file changes what the real preprocessor gives, direct mode must have seen that something was asked.

use pcache_nvcc::includes::lookups::{Lookups, Preprocessor, Reads, Reruns};
use pcache_nvcc::includes::reached::ReachedNames;
use pcache_nvcc::includes::times::{self, Moments};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

const TIMES: [&str; 3] = ["__TIME__", "__DATE__", "__TIMESTAMP__"];

/// The last one is a macro of the sources' own.
const QUESTIONS: [&str; 3] = ["__has_include", "__has_include_next", "ASKS_FOR"];

const COMMON: &str = "#define ASKS_FOR(x) __has_include(x)\n#define TEXT_(x) #x\n#define TEXT(x) TEXT_(x)\n\
    #define JOIN_(a, b) a##b\n#define JOIN(a, b) JOIN_(a, b)\n";

/// How the pieces come together.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `C(a, b)`
    Arguments,
    /// `C(A, B)`, with macros for the pieces, through another macro.
    Macros,
    /// The same with functions for the pieces.
    Functions,
    /// `a##x`
    Half,
    /// Two at a time.
    Stepwise,
    /// `C(a, b)` with `__VA_ARGS__`.
    Variadic,
    /// `a %:%: b`
    Digraphs,
    /// With lines that go on in the middle of a piece.
    Splices,
    /// With a comment of two lines in the middle of a definition.
    Comments,
    /// Options give the pieces.
    PieceOptions,
    /// An option pastes them.
    PastingOption,
    /// A header defines everything.
    Header,
}

const WAYS: [Way; 12] = [
    Way::Arguments,
    Way::Macros,
    Way::Functions,
    Way::Half,
    Way::Stepwise,
    Way::Variadic,
    Way::Digraphs,
    Way::Splices,
    Way::Comments,
    Way::PieceOptions,
    Way::PastingOption,
    Way::Header,
];

/// One word in one way.
#[derive(Debug, Default)]
struct Case {
    options: Vec<String>,
    header: Option<String>,
    source: String,
}

/// All cuts of `word` into two or three pieces.
fn cuts(word: &str) -> Vec<Vec<&str>> {
    let mut all = Vec::new();
    for one in 1..word.len() {
        all.push(vec![&word[..one], &word[one..]]);
        for two in one + 1..word.len() {
            all.push(vec![&word[..one], &word[one..two], &word[two..]]);
        }
    }
    all
}

/// The definitions of case `number`, the words that stand for `pieces`, and what may be an option.
fn made(number: usize, pieces: &[&str], way: Way) -> (Case, String) {
    let names: Vec<_> = (0..pieces.len())
        .map(|at| format!("P{number}_{at}"))
        .collect();
    let parameters = ["a", "b", "c"][..pieces.len()].join(", ");
    let body = ["a", "b", "c"][..pieces.len()].join("##");
    let paste = format!("#define C{number}({parameters}) {body}\n");
    let through = format!("{paste}#define D{number}({parameters}) C{number}({parameters})\n");
    let call = |name: &str, args: &[String]| format!("{name}{number}({})", args.join(", "));
    let own: Vec<_> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    let define = |each: &dyn Fn(&str, &str) -> String| -> String {
        let pairs = names.iter().zip(pieces);
        pairs.map(|(name, piece)| each(name, piece)).collect()
    };
    let objects = define(&|name, piece| format!("#define {name} {piece}\n"));
    let mut case = Case::default();
    let (source, word) = match way {
        Way::Arguments => (paste, call("C", &own)),
        Way::Macros => (objects + &through, call("D", &names)),
        Way::Functions => {
            let functions = define(&|name, piece| format!("#define {name}() {piece}\n"));
            let calls: Vec<_> = names.iter().map(|name| format!("{name}()")).collect();
            (functions + &through, call("D", &calls))
        }
        Way::Half => {
            let rest = pieces[2..].iter().map(|piece| format!("##{piece}"));
            let rest: String = rest.collect();
            let half = format!("#define C{number}(x) {}##x{rest}\n", pieces[0]);
            (half, format!("C{number}({})", pieces[1]))
        }
        Way::Stepwise => {
            let all = pieces.iter().map(|piece| (*piece).to_owned());
            let word = all.reduce(|one, other| format!("JOIN({one}, {other})"));
            (String::new(), word.unwrap())
        }
        Way::Variadic => {
            let named = &parameters[..parameters.len() - 1];
            let body = format!("{}__VA_ARGS__", &body[..body.len() - 1]);
            let variadic = format!("#define C{number}({named}...) {body}\n");
            (variadic, call("C", &own))
        }
        Way::Digraphs => (
            paste.replace("##", " %:%: ").replacen('#', "%:", 1),
            call("C", &own),
        ),
        Way::Splices => {
            let cut = |piece: &str| format!("{}\\\n{}", &piece[..1], &piece[1..]);
            let objects = define(&|name, piece| format!("#define {name} {}\n", cut(piece)));
            (objects + &through, call("D", &names))
        }
        Way::Comments => {
            let objects =
                define(&|name, piece| format!("/*\n*/ #define {name} /* '\n \" */ {piece} // x\n"));
            (objects + &through, call("D", &names))
        }
        Way::PieceOptions => {
            let pairs = names.iter().zip(pieces);
            case.options = pairs
                .map(|(name, piece)| format!("-D{name}={piece}"))
                .collect();
            (through, call("D", &names))
        }
        Way::PastingOption => {
            case.options = vec![format!("-DC{number}({parameters})={body}")];
            (String::new(), call("C", &own))
        }
        Way::Header => {
            case.header = Some(objects + &through);
            (format!("#include \"h{number}.h\"\n"), call("D", &names))
        }
    };
    case.source = source;
    (case, word)
}

/// Each cut of each of `words` in each way, used as `used` says.
fn all(words: &[&str], used: impl Fn(usize, &str) -> String) -> Vec<Case> {
    let mut cases = Vec::new();
    for word in words {
        for pieces in cuts(word) {
            // The preprocessor would ask before the last piece comes.
            let is_early = pieces[0] == QUESTIONS[0]
                || pieces[..2].concat() == QUESTIONS[0] && pieces.len() > 2;
            for way in WAYS {
                if is_early && !matches!(way, Way::Arguments | Way::Half | Way::Digraphs) {
                    continue;
                }
                let number = cases.len();
                let (mut case, word) = made(number, &pieces, way);
                case.source += &used(number, &word);
                cases.push(case);
            }
        }
    }
    cases
}

/// Writes the headers and one source that includes a file for each case.
fn write(root: &Path, cases: &[Case]) {
    let mut main = "#include \"common.h\"\n".to_owned();
    let mut options = String::new();
    fs::write(root.join("common.h"), COMMON).unwrap();
    fs::create_dir(root.join("flags")).unwrap();
    for (number, case) in cases.iter().enumerate() {
        if let Some(header) = &case.header {
            fs::write(root.join(format!("h{number}.h")), header).unwrap();
        }
        fs::write(root.join(format!("s{number}.h")), &case.source).unwrap();
        main += &format!("#include \"s{number}.h\"\n");
        case.options
            .iter()
            .for_each(|option| options += &format!("'{option}'\n"));
    }
    fs::write(root.join("main.cpp"), main).unwrap();
    fs::write(root.join("options"), options).unwrap();
}

/// What `compiler` gives at a time, by case: the lines that begin with its tag, and pragmas after it.
fn preprocess(compiler: &str, root: &Path, seconds: u64) -> BTreeMap<usize, String> {
    let output = Command::new(compiler)
        .args([
            "-E",
            "-P",
            "-std=c++17",
            "-I",
            "flags",
            "@options",
            "main.cpp",
        ])
        .current_dir(root)
        .env("SOURCE_DATE_EPOCH", seconds.to_string())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    let mut number = 0;
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let tag = line.trim_start().strip_prefix("tag");
        let rest = tag.and_then(|rest| rest.split_once(' '));
        if let Some((tag, _)) = rest {
            number = tag.parse().unwrap();
        }
        found.entry(number).or_default().push_str(line);
    }
    found
}

/// The numbers of cases in which the two differ, most of `count`.
fn different(
    one: &BTreeMap<usize, String>,
    other: &BTreeMap<usize, String>,
    count: usize,
) -> Vec<usize> {
    let differing: Vec<_> = (0..count)
        .filter(|at| one.get(at) != other.get(at))
        .collect();
    assert!(
        differing.len() * 10 > count * 9,
        "{} of {count} tell",
        differing.len()
    );
    differing
}

#[test]
fn every_cut_of_a_question_is_seen() {
    check_questions("g++", Preprocessor::Gcc);
}

#[test]
fn every_cut_of_a_question_to_clang_is_seen() {
    check_questions("clang++", Preprocessor::Clang);
}

fn check_questions(compiler: &str, preprocessor: Preprocessor) {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let cases = all(&QUESTIONS, |number, word| {
        format!("#if {word}(<flag.h>)\ntag{number} yes\n#else\ntag{number} no\n#endif\n")
    });
    write(root, &cases);
    let without = preprocess(compiler, root, 0);
    fs::write(root.join("flags/flag.h"), "").unwrap();
    let with = preprocess(compiler, root, 0);
    for number in different(&without, &with, cases.len()) {
        let case = &cases[number];
        let mut reads = Reads {
            preprocessor,
            ..Reads::default()
        };
        let names = [
            Some("common.h".to_owned()),
            Some(format!("s{number}.h")),
            case.header.as_ref().map(|_| format!("h{number}.h")),
        ];
        for name in names.into_iter().flatten() {
            let path = root.join(name);
            let text = fs::read(&path).unwrap();
            reads.sources.insert(path, Rc::new(text));
        }
        let defines = case.options.iter().map(|option| {
            let option = option.trim_start_matches("-D").replacen('=', " ", 1);
            format!("#define {option}").into_bytes()
        });
        reads.snippets = defines.collect();
        let reruns = Reruns {
            reached: &|| Ok(ReachedNames::default()),
            asked: &|| Err("they are not run".to_owned()),
        };
        let followed = Lookups::resolve(&reads, &BTreeSet::new(), &reruns);
        assert!(followed.is_err(), "not seen: {case:#?}");
    }
}

#[test]
fn every_cut_of_a_time_is_seen() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let cases = all(&TIMES, |number, word| match number / WAYS.len() % 5 {
        0 => format!("tag{number} {word}\n"),
        1 => format!("tag{number} TEXT({word})\n"),
        2 => format!("tag{number} TEXT(TEXT(at {word}.))\n"),
        3 => format!("tag{number} JOIN(u8, {word})\n"),
        _ => format!("tag{number} x\n_Pragma({word})\n"),
    });
    write(root, &cases);
    let stamp = |days: u64| {
        for number in 0..cases.len() {
            let file = fs::File::options()
                .write(true)
                .open(root.join(format!("s{number}.h")));
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
            file.unwrap().set_modified(time).unwrap();
        }
    };
    stamp(10_000);
    let early = preprocess("g++", root, 100_000_000);
    stamp(11_000);
    let late = preprocess("g++", root, 1_900_000_001);
    let moments = Moments {
        compile: 100_000_000..=100_000_000,
        files: vec![10_000 * 86_400],
        given: None,
    };
    for number in different(&early, &late, cases.len()) {
        let (case, text) = (&cases[number], &early[&number]);
        let found = times::find(text.as_bytes());
        // A source that holds the same is no excuse.
        for sources in [&[][..], &[text.as_bytes()]] {
            let asked = times::asked(&found, sources, &moments);
            assert!(asked.is_some(), "not seen in {text:?}: {case:#?}");
        }
    }
}
