//! What is named of facts that differ, and what is not.

use super::{
    DependencyReport, Difference, Fields, File, SCHEMA, ToolFacts, UnitFacts, differences, shared,
};
use crate::key::{DIRECT_FIELDS, FIELDS};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn file(path: &str, digest: &str, by: Option<usize>) -> File {
    File {
        path: path.to_owned(),
        digest: digest.to_owned(),
        is_own: false,
        tokens: None,
        by,
    }
}

fn base() -> DependencyReport {
    let request = [
        ("schema", &["direct 3"][..]),
        ("toolchain", &["11"]),
        ("release", &["13.2"]),
        ("programs", &["/cuda/bin/nvcc"]),
        ("driver", &["none"]),
        ("directory", &["/src", "/src"]),
        ("environment", &["LC_ALL=C"]),
        ("diagnostics", &["plain"]),
        ("planning", &["PTXAS_FLAGS=-v"]),
        ("sources", &["/src/a.cu"]),
        ("outputs", &["output-file=a.o"]),
    ];
    let mut request: Fields = request
        .map(|(name, values)| (name.to_owned(), words(values)))
        .into();
    let absent = |name: &&&str| !request.iter().any(|(known, _)| known == **name);
    let others: Vec<_> = DIRECT_FIELDS.iter().filter(absent).collect();
    request.extend(others.iter().map(|name| ((**name).to_owned(), Vec::new())));
    let job = [("define-macro", &["DN=1"][..]), ("input", &["a.cu"])];
    let fields = [
        ("machine", &["model : 1"][..]),
        ("commands", &["gcc -E"]),
        ("passes", &["x"]),
    ];
    DependencyReport {
        schema: SCHEMA,
        request,
        job: job
            .map(|(name, values)| (name.to_owned(), words(values)))
            .into(),
        tools: vec![ToolFacts {
            role: "ptxas".to_owned(),
            path: "/cuda/bin/ptxas".to_owned(),
            sha256: "22".to_owned(),
        }],
        units: vec![UnitFacts {
            key: "33".to_owned(),
            fields: fields
                .map(|(name, values)| (name.to_owned(), words(values)))
                .into(),
        }],
        files: vec![file("a.cu", "1", None), file("inc/a.h", "2", Some(0))],
        absent: [("".to_owned(), words(&["a.h", "sub"]))].into(),
        present: words(&["inc/there.h"]),
        links: [("inc".to_owned(), "/src/inc".to_owned())].into(),
        ..DependencyReport::default()
    }
}

fn told(change: impl FnOnce(&mut DependencyReport)) -> Vec<String> {
    let (old, mut new) = (base(), base());
    change(&mut new);
    differences(&old, &new).into_iter().map(line).collect()
}

fn line(found: Difference) -> String {
    let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let (old, new) = (value(found.old), value(found.new));
    let note = found
        .note
        .map_or_else(String::new, |note| format!(" ({note})"));
    format!("{:?} {}: {old} > {new}{note}", found.kind, found.name)
}

fn set(facts: &mut DependencyReport, name: &str, values: &[&str]) {
    let mut all = facts.request.iter_mut().chain(&mut facts.job);
    all.find(|(known, _)| known == name).unwrap().1 = words(values);
}

#[test]
fn equal_facts_differ_in_nothing() {
    assert_eq!(told(|_| {}), [""; 0]);
}

#[test]
fn of_secrets_it_is_told_that_they_differ_and_not_how() {
    let hidden = |name: &str, digit: &str| format!("{name}=<hidden:{}>", digit.repeat(16));
    let (mut old, mut new) = (base(), base());
    let change = |facts: &mut DependencyReport, digit: &str| {
        set(facts, "define-macro", &[&hidden("DKEY", digit)]);
        set(
            facts,
            "environment",
            &[&hidden("A_TOKEN", digit), "LC_ALL=C"],
        );
        let append = ("NVCC_APPEND_FLAGS".to_owned(), hidden("-DKEY", digit));
        facts.folded = [append].into();
    };
    change(&mut old, "0");
    change(&mut new, "1");
    let told: Vec<_> = differences(&old, &new).into_iter().map(line).collect();
    assert_eq!(
        told,
        [
            "Flag --define-macro: -DKEY=… > -DKEY=… (from NVCC_APPEND_FLAGS; the values differ; they are not kept)",
            "Environment A_TOKEN: … > … (the values differ; they are not kept)",
        ]
    );
    set(&mut new, "define-macro", &[]);
    let told: Vec<_> = differences(&old, &new).into_iter().map(line).collect();
    assert_eq!(
        told[0],
        "Flag --define-macro: -DKEY=… > - (from NVCC_APPEND_FLAGS)"
    );
}

#[test]
fn each_field_is_named_alone() {
    for (name, value, line) in [
        ("release", "13.5", "Release release: 13.2 > 13.5"),
        ("driver", "595.1", "Driver driver: none > 595.1"),
        (
            "diagnostics",
            "colour",
            "Diagnostics diagnostics: plain > colour",
        ),
        ("environment", "LC_ALL=de", "Environment LC_ALL: C > de"),
        (
            "planning",
            "PTXAS_FLAGS=-w",
            "Environment PTXAS_FLAGS: -v > -w",
        ),
        (
            "keep",
            "tmp/",
            "Text keep: - > - (where --keep leaves files differs)",
        ),
        (
            "programs",
            "/other/nvcc",
            "Toolkit programs: /cuda/bin/nvcc > /other/nvcc",
        ),
        ("sources", "/else/a.cu", "Link a.cu: /src/a.cu > /else/a.cu"),
        (
            "outputs",
            "output-file=b.o",
            "Output --output-file: a.o > b.o",
        ),
        ("define-macro", "DN=2", "Flag --define-macro: -DN=1 > -DN=2"),
        (
            "define-macro",
            "DN=\"a b, c\"",
            "Flag --define-macro: -DN=1 > -DN=\"a b, c\"",
        ),
    ] {
        assert_eq!(told(|facts| set(facts, name, &[value])), [line], "{name}");
    }
    let machine = told(|facts| facts.units[0].fields[0].1 = words(&["model : 2"]));
    assert_eq!(machine, ["Machine processor: model : 1 > model : 2"]);
}

#[test]
fn consequences_are_named_only_where_nothing_else_is() {
    let derived = |facts: &mut DependencyReport| facts.units[0].fields[2].1 = words(&["y"]);
    let text = "the text after preprocessing differs, though no file does";
    assert_eq!(told(derived), [format!("Text passes: - > - ({text})")]);
    let with_cause = told(|facts| {
        derived(facts);
        facts.files[1].digest = "3".to_owned();
        facts.files.push(file("inc/b.h", "4", Some(1)));
    });
    assert_eq!(with_cause, ["Header inc/a.h: 2 > 3 (included by a.cu)"]);
    let stray = told(|facts| facts.files.push(file("inc/b.h", "4", Some(1))));
    assert_eq!(
        stray,
        ["Header inc/b.h: - > 4 (included by inc/a.h, by a.cu)"]
    );
}

#[test]
fn places_are_found_below_folders_that_were_missing() {
    let appeared = told(|facts| facts.files[1].path = "sub/deep/a.h".to_owned());
    let note = "in the place of inc/a.h; included by a.cu";
    assert_eq!(appeared, [format!("Appeared sub/deep/a.h: - > 2 ({note})")]);
    let gone = told(|facts| {
        facts.present.clear();
        facts.absent.insert("inc".to_owned(), words(&["there.h"]));
    });
    assert_eq!(gone, ["Gone inc/there.h: there > -"]);
}

#[test]
fn several_values_are_told_apart() {
    let several = told(|facts| set(facts, "define-macro", &["DM", "DN=2", "DK"]));
    assert_eq!(
        several,
        [
            "Flag --define-macro: -DN=1 > -DN=2",
            "Flag --define-macro: - > -DM",
            "Flag --define-macro: - > -DK",
        ]
    );
    let mut old = base();
    set(&mut old, "define-macro", &["DN", "UN"]);
    let mut new = base();
    set(&mut new, "define-macro", &["UN", "DN"]);
    let found = differences(&old, &new);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].new.as_deref(), Some("-UN -DN"));
    assert_eq!(found[0].note.as_deref(), Some("in another order"));
}

/// A new field of a key must be added here too.
#[test]
fn no_field_of_a_key_is_passed_over() {
    for name in DIRECT_FIELDS.iter().filter(|name| **name != "job") {
        let found = told(|facts| set(facts, name, &["other"]));
        // The job names a change of the inputs.
        let is_named = *name == "inputs" || !found.iter().any(|line| line.ends_with("(differs)"));
        assert!(!found.is_empty() && is_named, "{name}: {found:?}");
    }
    let shared = shared();
    let own = FIELDS.iter().filter(|name| !shared.contains(name));
    for name in own.filter(|name| **name != "machine") {
        let of = |value: &str| {
            let mut facts = base();
            let fields = &mut facts.units[0].fields;
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), words(&[value])));
            facts
        };
        assert!(!differences(&of("one"), &of("other")).is_empty(), "{name}");
    }
}
