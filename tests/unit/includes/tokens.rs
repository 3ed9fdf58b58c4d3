//! Token digests against a real preprocessor: where an edit of a header leaves the digest as it was,
//! `g++ -E` gives the same tokens on the same lines, in whatever mode and for whatever includer.
//!
//! `PCACHE_TEST_EDITS` sets the number of edits, `PCACHE_TEST_SEED` the first seed.

#![expect(
    clippy::print_stdout,
    reason = "how much was tried is for those who run it with --nocapture"
)]

mod edits;
mod judge;

use crate::random::Random;
use edits::{Edit, nasty};
use judge::Judge;
use pcache_nvcc::includes::tokens::{digest, normal_forms};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    }
}

/// Headers of the toolkit, if there is one, and of libstdc++, up to a size that is quick to read.
fn headers() -> Vec<PathBuf> {
    let toolkit = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cuda/13.2/include/cccl");
    let mut left = vec![toolkit, PathBuf::from("/usr/include/c++")];
    let mut found = Vec::new();
    while let Some(directory) = left.pop() {
        let Ok(listing) = fs::read_dir(directory) else {
            continue;
        };
        for path in listing.map(|child| child.unwrap().path()) {
            match fs::metadata(&path) {
                Ok(what) if what.is_dir() => left.push(path),
                Ok(what) if what.is_file() && what.len() < 60_000 => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "hardly any headers in /usr/include/c++");
    found
}

#[test]
fn equal_digests_mean_equal_preprocessing() {
    let edits = number("PCACHE_TEST_EDITS", 200);
    let first_seed = number("PCACHE_TEST_SEED", 1);
    let headers = headers();
    let judge = Judge::new();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut failures = Vec::new();
    for seed in first_seed..first_seed + edits {
        let mut random = Random(seed);
        let is_real = random.chance(40);
        let text = if is_real {
            without_includes(&fs::read(random.pick(&headers)).unwrap())
        } else {
            nasty(&mut random)
        };
        let edit = Edit::any(&mut random);
        let edited = edit.apply(&text, &mut random);
        let mut count = |what: &str| {
            let source = if is_real { "real" } else { "nasty" };
            *counts
                .entry(format!("{source}, {edit:?}: {what}"))
                .or_default() += 1;
        };
        let Some(before) = digest(&text) else {
            count("no digest to begin with");
            continue;
        };
        let Some(after) = digest(&edited) else {
            count("no digest");
            continue;
        };
        // The normal form is a source of the same meaning.
        let forms = normal_forms(&text).unwrap();
        let columns_kept = before.columns == after.columns;
        assert!(!columns_kept || before.lines == after.lines, "seed {seed}");
        let rivals = if before.lines == after.lines {
            vec![edited, forms.lines, forms.columns]
        } else {
            vec![forms.lines, forms.columns]
        };
        count(match (before.lines == after.lines, columns_kept) {
            (true, true) => "columns kept",
            (true, false) => "lines kept",
            _ => "changed",
        });
        if let Err(what) = judge.compare(&text, &rivals, columns_kept, &mut random) {
            count("FAILED");
            failures.push(format!("seed {seed}, {edit:?}: {what}"));
        }
    }
    println!("{edits} edits from seed {first_seed}: {counts:#?}");
    failures.truncate(4);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // An edit of nothing but comments must usually be accepted, and one of tokens never.
    let of = |source: &str, kind: Edit, what: &str| {
        let found = counts.get(&format!("{source}, {kind:?}: {what}"));
        found.copied().unwrap_or(0)
    };
    let floors = [("real", 90), ("nasty", 75)];
    for (source, floor) in floors {
        for kind in [Edit::Comment, Edit::Blanks, Edit::Trailing] {
            let kept = of(source, kind, "columns kept") + of(source, kind, "lines kept");
            let all = kept + of(source, kind, "changed") + of(source, kind, "no digest");
            assert!(kept * 100 >= all * floor, "{kind:?}: {kept} of {all}");
        }
        assert!(of(source, Edit::Word, "changed") > 0);
        assert_eq!(of(source, Edit::Word, "lines kept"), 0);
        assert_eq!(of(source, Edit::Word, "columns kept"), 0);
    }
}

/// `text` with pragmas in place of its includes, so that all of it is read and nothing else.
fn without_includes(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let hash = line.trim_ascii_start();
        let word = hash.strip_prefix(b"#").map(<[u8]>::trim_ascii_start);
        match word.filter(|word| word.starts_with(b"include")) {
            Some(word) => lines.extend([b"#pragma ", word].concat()),
            None => lines.extend_from_slice(line),
        }
    }
    lines
}
