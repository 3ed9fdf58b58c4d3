//! `pcache` on caches that real compiles have filled.

use crate::support::workspace::Workspace;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// Classes that a plain compile leaves, each at least once.
const CLASSES: [&str; 9] = [
    "search-order",
    "packed",
    "object",
    "result",
    "direct-result",
    "stage",
    "path-sets",
    "plan",
    "facts",
];

/// A compile that prints a warning, so that its result quotes its source.
const SOURCE: &str = "__global__ void kernel(int *p) { int unused; p[0] = 1; }\n";

fn filled() -> Workspace {
    let ws = Workspace::with("kernel.cu", SOURCE);
    ws.build(&["-c", "kernel.cu"]).misses(1);
    ws
}

#[test]
fn every_file_of_a_compile_has_a_known_class() {
    let ws = filled();
    let (status, report) = ws.pcache(&["list"]);
    assert_eq!(status, 0);
    let entries = report["entries"].as_array().expect("entries");
    let found: BTreeSet<_> = entries
        .iter()
        .map(|one| one["class"].as_str().expect("a class"))
        .collect();
    for class in CLASSES {
        assert!(found.contains(class), "{class} in {found:?}");
    }
    for class in ["other", "record", "damaged"] {
        assert!(!found.contains(class), "{class} in {report:#}");
    }
    let sets = entries.iter().filter(|one| one["class"] == "path-sets");
    assert!(sets.clone().all(|one| one["file"].is_string()));
    let (_, report) = ws.pcache(&["list", "--matching", "kernel.cu"]);
    assert!(report["files"].as_u64() > Some(0));
}

#[test]
fn compile_is_verified_and_damage_to_any_file_costs_a_compile_and_no_more() {
    let ws = filled();
    let reference = ws.build(&["-c", "kernel.cu"]);
    reference.hits(1);
    let (status, report) = ws.pcache(&["verify"]);
    assert_eq!(
        (status, &report["unproven"], &report["missing"]),
        (0, &0.into(), &0.into())
    );
    let (_, listed) = ws.pcache(&["list"]);
    assert_eq!(report["whole"], listed["files"]);
    for one in listed["entries"].as_array().expect("entries") {
        let path = one["path"].as_str().expect("a path");
        let path = ws.root().join("cache").join(path);
        let mut bytes = fs::read(&path).expect("a file of the cache");
        let Some(last) = bytes.last_mut() else {
            continue;
        };
        *last ^= 1;
        fs::write(&path, bytes).expect("written");
    }
    let (status, report) = ws.pcache(&["verify"]);
    assert_eq!(status, 3, "{report:#}");
    let damaged = report["damaged"].as_array().expect("a list").len();
    // With all records damaged nothing tells which entries are artefacts.
    assert!(damaged > 0 && report["removed"] == damaged);
    let again = ws.build(&["-c", "kernel.cu"]);
    again.misses(1).same_as(&reference);
    assert_eq!(ws.pcache(&["verify"]).0, 0);
}

#[test]
fn damaged_artefact_is_found_before_it_is_asked_for() {
    let ws = filled();
    let (_, listed) = ws.pcache(&["list", "--matching", "object"]);
    let name = listed["entries"][0]["name"].as_str().expect("an object");
    let path = ws.root().join("cache/entries").join(name);
    fs::write(&path, b"\x7fELF").expect("written");
    let (status, report) = ws.pcache(&["verify"]);
    assert_eq!(
        (status, report["damaged"][0]["name"].as_str()),
        (3, Some(name))
    );
    assert!(!path.exists());
    ws.build(&["-c", "kernel.cu"]).misses(1);
}

#[test]
fn clear_forgets_everything_and_the_next_compile_is_a_miss() {
    let ws = filled();
    let cache = ws.root().join("cache");
    assert!(cache.join("digests").exists());
    assert_eq!(ws.pcache(&["clear"]).0, 0);
    assert!(!cache.join("digests").exists());
    let memos = fs::read_dir(cache.join("manifests/toolchains")).expect("the directory stays");
    assert_eq!(memos.count(), 0);
    assert_eq!(ws.pcache(&["list"]).1["files"], 0);
    ws.build(&["-c", "kernel.cu"]).misses(1);
    ws.build(&["-c", "kernel.cu"]).hits(1);
}

#[test]
fn doctor_finds_every_part_of_the_toolkit() {
    let ws = filled();
    let (_, report) = ws.pcache(&["doctor"]);
    let findings = report["findings"].as_array().expect("findings");
    let ok = |about: &str, part: &str| {
        let is_it = |found: &&Value| {
            let text = found["text"].as_str().expect("a text");
            found["about"] == about && found["level"] == "ok" && text.contains(part)
        };
        assert!(
            findings.iter().any(|found| is_it(&found)),
            "{about} {part}: {report:#}"
        );
    };
    for part in [
        "/cudafe++",
        "/cicc",
        "/ptxas",
        "/fatbinary",
        "/nvlink",
        "libdevice",
    ] {
        ok("toolkit", part);
    }
    ok("nvcc", "release ");
    ok("host compiler", "");
    ok("launchers", "no other cache");
    ok("settings", "");
}
