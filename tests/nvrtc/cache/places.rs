//! Programs of many names in many working directories, while headers come and go where they might be
//! found: whatever the cache serves is what NVRTC gives at that moment.

use super::bench::{Bench, Case, Ended, settle};
use super::{ONCE, PLAIN, alone, expect, included};
use proptest::prelude::{ProptestConfig, Strategy, any};
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::fs;

const TEXTS: &[&str] = &[
    "#include <value.h>",
    "#include \"value.h\"",
    "#include \"sub/value.h\"",
    "#include \"../value.h\"",
    "#if __has_include(\"more.h\")\n#define VALUE 7\n#else\n#include <value.h>\n#endif",
    "#include <outer.h>",
    "#include \"outer.h\"",
    "#include \"passed.h\"",
    "#define NAME \"value.h\"\n#include NAME",
];

/// Where a program may be, as its name tells; `@` is the root of all.
const NAMES: &[&str] = &[
    "",
    "k.cu",
    "sub/k.cu",
    "@one/k.cu",
    "@two/k.cu",
    "@two/sub/k.cu",
    "@gone/k.cu",
    "@link/k.cu",
];

const DIRECTORIES: &[&str] = &["one", "two", "two/sub", "inc"];

const INCLUDES: &[&str] = &["-I@inc", "-I@two", "-I@two/sub", "-Isub", "-I.", "-I@link"];

const HEADERS: &[&str] = &[
    "value.h",
    "more.h",
    "outer.h",
    "inc/value.h",
    "inc/outer.h",
    "inc/sub/value.h",
    "one/value.h",
    "one/sub/value.h",
    "two/value.h",
    "two/more.h",
    "two/outer.h",
    "two/sub/value.h",
    "two/sub/outer.h",
];

/// What is compiled again and again.
#[derive(Clone, Debug)]
struct Source {
    text: &'static str,
    includes: Vec<&'static str>,
    passed: Option<&'static str>,
}

/// One compile, and what may happen before it.
#[derive(Clone, Debug)]
struct Step {
    /// A header, and what it defines; nothing removes it.
    header: Option<(&'static str, Option<u8>)>,
    source: Index,
    name: &'static str,
    directory: &'static str,
}

fn source() -> impl Strategy<Value = Source> {
    let includes = proptest::collection::vec(select(INCLUDES), 1..3);
    let passed = [
        None,
        Some("#include \"value.h\"\n"),
        Some("#define VALUE 5\n"),
    ];
    let parts = (select(TEXTS), includes, select(passed.to_vec()));
    parts.prop_map(|(text, includes, passed)| Source {
        text,
        includes,
        passed,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let header = (select(HEADERS), select(vec![None, Some(1), Some(2)]));
    let header = proptest::option::weighted(0.2, header);
    let place = (select(NAMES), select(DIRECTORIES));
    (header, any::<Index>(), place).prop_map(|(header, source, (name, directory))| Step {
        header,
        source,
        name,
        directory,
    })
}

fn change(bench: &Bench, (name, value): (&str, Option<u8>)) {
    let path = bench.path(name);
    match value {
        None => drop(fs::remove_file(&path)),
        Some(value) if name.ends_with("outer.h") => {
            let text = format!("#include \"value.h\"\n// {value}\n");
            fs::write(&path, text).unwrap();
        }
        Some(value) => fs::write(&path, format!("#define VALUE {value}\n")).unwrap(),
    }
    settle();
}

fn take(bench: &Bench, source: &Source, step: &Step) -> Ended {
    let root = format!("{}/", bench.work().display());
    let at = |text: &str| text.replace('@', &root);
    std::env::set_current_dir(bench.path(step.directory)).unwrap();
    let includes: Vec<_> = source.includes.iter().map(|include| at(include)).collect();
    let includes: Vec<_> = includes.iter().map(String::as_str).collect();
    let case = Case::new(&format!("{}\n{PLAIN}", source.text), &includes).named(&at(step.name));
    let case = match source.passed {
        Some(text) => case.with_header("passed.h", text),
        None => case,
    };
    bench.run(&case)
}

/// How many hits there were.
fn walk(sources: &[Source], steps: &[Step]) -> usize {
    let bench = Bench::new();
    for directory in ["one/sub", "two/sub", "inc/sub"] {
        fs::create_dir_all(bench.path(directory)).unwrap();
    }
    std::os::unix::fs::symlink("two", bench.path("link")).unwrap();
    for name in ["inc/value.h", "inc/outer.h", "two/sub/value.h"] {
        change(&bench, (name, Some(1)));
    }
    let hit = |step: &&Step| {
        if let Some(header) = step.header {
            change(&bench, header);
        }
        take(&bench, step.source.get(sources), step) == Ended::Hit
    };
    steps.iter().filter(hit).count()
}

#[test]
fn what_is_served_is_right_in_every_place() {
    let _alone = alone();
    let long = std::env::var_os("PCACHE_TEST_LONG").is_some();
    let walks = if long { 60 } else { 3 };
    let config = ProptestConfig {
        cases: walks,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..ProptestConfig::default()
    };
    // The same walks each time, but for the long run.
    let mut runner = if long {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let hits = std::cell::Cell::new(0);
    let parts = (
        proptest::collection::vec(source(), 3),
        proptest::collection::vec(step(), 60),
    );
    let done = runner.run(&parts, |(sources, steps)| {
        hits.set(hits.get() + walk(&sources, &steps));
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    eprintln!("{} hits in {walks} walks of 60 compiles", hits.get());
    assert!(hits.get() > walks as usize);
}

#[test]
fn quoted_includes_of_search_directories_are_found_from_every_random_directory() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("inc/value.h", "#include \"sub/inner.h\"\n");
    bench.write("inc/sub/inner.h", "#define VALUE 1\n");
    let include = format!("-I{}", bench.path("inc").display());
    let case = Case::new(&included("\"value.h\""), &[&include]);
    let name = |number: u8| format!("{}/random-{number}/k.cu", bench.store().display());
    expect(&bench, &case.clone().named(&name(1)), ONCE);
    expect(&bench, &case.clone().named(&name(2)), &[Ended::Hit]);
    bench.write("inc/sub/inner.h", "#define VALUE 2\n");
    expect(&bench, &case.clone().named(&name(3)), ONCE);
    expect(&bench, &case.clone().named(&name(1)), &[Ended::Hit]);
    // A header beside one of them is that one's own.
    fs::create_dir_all(bench.store().join("random-4")).unwrap();
    fs::write(bench.store().join("random-4/value.h"), "#define VALUE 4\n").unwrap();
    settle();
    expect(&bench, &case.clone().named(&name(4)), ONCE);
    expect(&bench, &case.named(&name(5)), &[Ended::Hit]);
}
