//! Each type has a name of its own, and texts name who does what.

use crate::tree::{Tree, files, root};
use std::collections::BTreeMap;
use std::fs;

#[test]
fn no_two_types_have_the_same_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in Tree::get().sources.values() {
        for name in &source.types {
            let places = places.entry(name.clone()).or_default();
            places.push(source.module.clone());
        }
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "defined more than once: {places:#?}");
}

/// Words that leave open who or what is meant.
const VAGUE: [&str; 7] = [
    "nobody",
    "somebody",
    "whoever",
    "anybody",
    "everybody",
    "none where",
    "the same of",
];

#[test]
fn texts_say_who_does_what() {
    let pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(Into::into);
    let texts = files("src", "rs").into_iter().chain(files("docs", "md"));
    let mut found = Vec::new();
    for path in texts.chain(pages) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for (at, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            let words: Vec<_> = line.split(|c: char| !c.is_alphabetic()).collect();
            let spaced = format!(" {} ", words.join(" "));
            if let Some(word) = VAGUE
                .iter()
                .find(|word| spaced.contains(&format!(" {word} ")))
            {
                found.push(format!("{}:{}: {word}", path.display(), at + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
