//! One cache and two places, at random: what the first place has left in the cache must not show in the second. Sources
//! that name their place in every way are compiled in both with all kinds of options; in the second, outputs, messages
//! and depfiles must be those of nvcc there, or, where two runs of nvcc differ (module ids, debug information), those of
//! a cache that has never seen the first.

mod options;
mod sources;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::outcome::Outcome;
use crate::support::random::Random;
use crate::support::warm;
use crate::support::workspace::Workspace;
use options::Case;
use sources::{HEADERS, SOURCES};

/// Where a case is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The checkouts.
    bases: [&'static str; 2],
    /// The working directory of each, relative to the checkout.
    directory: &'static str,
    /// Whether a `.git` marks the checkouts.
    is_marked: bool,
}

/// Paths of unequal and of equal lengths, working directories in, beside and at the top of checkouts.
const PLACES: [Places; 5] = [
    Places {
        bases: ["one", "other/checkout"],
        directory: "build",
        is_marked: true,
    },
    Places {
        bases: ["left", "side"],
        directory: "build",
        is_marked: true,
    },
    Places {
        bases: ["first/src", "second/of/src"],
        directory: "../build",
        is_marked: true,
    },
    Places {
        bases: ["top", "other/top"],
        directory: ".",
        is_marked: true,
    },
    Places {
        bases: ["bare", "other/bare"],
        directory: ".",
        is_marked: false,
    },
];

/// Puts the sources into both checkouts.
fn plant(ws: &Workspace, places: &Places) {
    let path = |base: &str| ws.path(base).to_str().expect("UTF-8").to_owned();
    for (place, other) in [(0, 1), (1, 0)] {
        let (base, other) = (places.bases[place], places.bases[other]);
        if places.is_marked {
            fs::create_dir_all(ws.path(base).join(".git")).expect("a checkout");
        }
        let sources = SOURCES
            .iter()
            .map(|(name, text)| (format!("src/{name}.cu"), text));
        let headers = HEADERS
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text));
        for (name, text) in sources.chain(headers) {
            let text = text.replace("{base}", &path(base));
            ws.write(
                &format!("{base}/{name}"),
                text.replace("{other}", &path(other)),
            );
        }
    }
}

/// What the cases came to.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
}

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// Uses the cache of this name.
fn use_cache(ws: &mut Workspace, name: &str) {
    let cache = ws.root().join(name);
    ws.set_env("PCACHE_DIR", cache);
}

/// Uses a cache that knows nothing but the toolkit.
fn use_fresh_cache(ws: &mut Workspace) {
    let path = env::join_paths(
        [ws.real_nvcc().parent().expect("a folder").to_owned()]
            .into_iter()
            .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    );
    let cache = ws.fresh("fresh");
    warm::plant(&cache, &path.expect("a PATH"));
    use_cache(ws, "fresh");
}

/// Compiles a case in both places, and looks at the second.
fn judge(ws: &mut Workspace, places: &Places, case: &Case, tally: &mut Tally) {
    let mut second = None;
    for base in places.bases {
        ws.cd(&format!("{base}/{}", places.directory));
        let top = ws.path(base);
        let args = case.arguments(top.to_str().expect("UTF-8"), places.directory);
        use_cache(ws, "cache");
        let words: Vec<_> = args.iter().map(String::as_str).collect();
        let outcome = ws.build(&words);
        second = Some((args, outcome));
    }
    let (args, ours) = second.expect("two places");
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let mut wrong = Vec::new();
    if let Some(found) = mention(ws, places.bases[0], &ours, &case.source) {
        wrong.push(format!("{found} names the first place"));
    }
    let counted = &ours.counted;
    tally.count(match (counted.direct_hits, counted.hits, counted.misses) {
        (0, 0, 0) => "not cached",
        (0, 0, _) => "misses",
        (0, _, _) => "hits",
        _ => "direct hits",
    });
    match () {
        // nvcc itself has done it.
        () if counted.hits + counted.misses == 0 => {}
        () if counted.misses == 1 && case.is_random() => {
            use_fresh_cache(ws);
            let fresh = ws.build(&words);
            message_differences("a fresh cache", &ours, &fresh, &mut wrong);
            if ours.outputs.0.keys().ne(fresh.outputs.0.keys()) {
                wrong.push("other files than with a fresh cache".to_owned());
            }
        }
        () if case.is_comparable() => {
            differences("nvcc", &ours, &ws.kept(&words), &mut wrong);
        }
        () => {
            use_fresh_cache(ws);
            differences("a fresh cache", &ours, &ws.build(&words), &mut wrong);
        }
    }
    if !wrong.is_empty() {
        let counted = &ours.counted;
        let failure = format!(
            "{case:?} in {places:?}\n  {words:?}\n  {counted:?}\n  {}",
            wrong.join("\n  ")
        );
        eprintln!("{failure}");
        tally.failures.push(failure);
    }
}

/// Notes how `ours` differs from `other`.
fn differences(whose: &str, ours: &Outcome, other: &Outcome, wrong: &mut Vec<String>) {
    message_differences(whose, ours, other, wrong);
    let differences = ours.outputs.differences(&other.outputs);
    if !differences.is_empty() {
        wrong.push(format!(
            "outputs differ from those of {whose}:\n{differences}"
        ));
    }
}

/// Notes how the status and the messages of `ours` differ from those of `other`.
fn message_differences(whose: &str, ours: &Outcome, other: &Outcome, wrong: &mut Vec<String>) {
    if ours.status != other.status {
        wrong.push(format!("another status than {whose}: {}", other.status));
    }
    for (stream, (ours, other)) in [
        ("stderr", (ours.err(), other.err())),
        ("stdout", (ours.out(), other.out())),
    ] {
        if ours != other {
            wrong.push(format!(
                "{stream} differs from {whose}:\n{ours}\nagainst\n{other}"
            ));
        }
    }
}

/// The output or the stream that holds the path of the checkout `base`, unless the source names it.
fn mention(ws: &Workspace, base: &str, outcome: &Outcome, source: &str) -> Option<String> {
    use crate::support::tree::Node;
    if source == "line_elsewhere" {
        return None;
    }
    let path = ws.path(base);
    let holds = |bytes: &[u8]| memchr::memmem::find(bytes, path.as_os_str().as_bytes()).is_some();
    let mut files = outcome.outputs.0.iter();
    let file = files.find(|(_, node)| matches!(node, Node::File { bytes, .. } if holds(bytes)));
    let is_printed = holds(&outcome.stderr) || holds(&outcome.stdout);
    match file {
        Some((name, _)) => Some(name.display().to_string()),
        None => is_printed.then(|| "a message".to_owned()),
    }
}

/// Judges `count` cases from `seed`, each in places of its own choice, with one cache.
fn suite(seed: u64, count: usize) {
    let mut ws = Workspace::new();
    for places in &PLACES {
        plant(&ws, places);
    }
    let mut random = Random(seed);
    let mut tally = Tally::default();
    for _ in 0..count {
        let places = random.pick(&PLACES);
        let case = Case::random(&mut random);
        judge(&mut ws, places, &case, &mut tally);
    }
    eprintln!("seed {seed}: {:?}", tally.counts);
    let failures = &tally.failures;
    assert!(
        failures.is_empty(),
        "{} cases are wrong:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Judges cases in two checkouts whose paths have other lengths.
#[track_caller]
fn is_right(cases: &[Case]) {
    let mut ws = Workspace::new();
    plant(&ws, &PLACES[0]);
    let mut tally = Tally::default();
    for case in cases {
        judge(&mut ws, &PLACES[0], case, &mut tally);
    }
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
}

#[test]
fn a_system_header_that_calculates_with_the_callers_file_is_compiled_in_each_place() {
    is_right(&[
        Case::of("system_device", &["-ptx"], "unit.ptx"),
        Case::of("pragma_default", &["-ptx"], "unit.ptx"),
    ]);
}

#[test]
fn a_raw_string_with_a_line_like_a_marker_is_compiled_in_each_place() {
    is_right(&[Case::of("raw_device", &["-ptx"], "unit.ptx")]);
}

#[test]
fn a_name_that_macros_make_of_pieces_leads_to_its_own_checkout() {
    let mut ws = Workspace::new();
    let places = &PLACES[0];
    plant(&ws, places);
    let work = ws.work();
    let text = format!(
        "#define TOP {}\n#define HEADER <TOP/{}/h/v.h>\n#include HEADER\n\
         __global__ void k(int *p) {{ *p = V; }}\n",
        work.display(),
        places.bases[0],
    );
    for base in places.bases {
        ws.write(&format!("{base}/src/pieces.cu"), &text);
        ws.write(&format!("{base}/h/v.h"), "#define V 1\n");
    }
    let args = ["-ptx", "../src/pieces.cu", "-o", "unit.ptx"];
    for base in places.bases {
        ws.cd(&format!("{base}/build"));
        ws.build(&args).succeeds();
    }
    ws.write(&format!("{}/h/v.h", places.bases[0]), "#define V 2\n");
    ws.build(&args).same_as(&ws.kept(&args));
}

#[test]
fn an_option_that_compares_names_of_files_holds_for_one_place() {
    let list = "-finstrument-functions,-finstrument-functions-exclude-file-list=other";
    is_right(&[Case::of("plain", &["-Xcompiler", list, "-c"], "unit.o")]);
}

#[test]
fn a_second_place_shows_nothing_of_the_first() {
    suite(1, 6);
}

/// `PCACHE_TEST_CASES` and `PCACHE_TEST_SEED` set number and seed.
#[test]
#[ignore = "long: scripts/test-long"]
fn no_case_shows_the_first_place_in_the_second() {
    let number = |name: &str, default| match env::var(name) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    };
    let count = number("PCACHE_TEST_CASES", 300);
    suite(
        number("PCACHE_TEST_SEED", 2),
        usize::try_from(count).expect("a number of cases"),
    );
}
