//! Paths of this repository that pages, comments and scripts name exist.

use crate::tree::{files, root};
use std::fs;

/// Folders whose files pages name.
const FOLDERS: [&str; 7] = [
    "benches/",
    "docs/",
    "fixtures/",
    "fuzz/",
    "scripts/",
    "src/",
    "tests/",
];

/// A file of an imaginary user, in examples.
const EXAMPLE: &str = "src/a.cu";

/// The paths in `text`: words in backquotes or behind them that begin with one of the folders.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || "_./*-".contains(c)));
    words
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .map(|word| word.trim_end_matches(['.', '/']))
}

/// Whether `path` is a file or a folder; `*` stands for the end of a name.
fn exists(path: &str) -> bool {
    let Some((start, _)) = path.split_once('*') else {
        return root().join(path).exists();
    };
    let (folder, beginning) = start.rsplit_once('/').unwrap();
    let Ok(entries) = fs::read_dir(root().join(folder)) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(beginning)
    })
}

#[test]
fn pages_name_files_that_exist() {
    let pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "Cargo.toml"].map(Into::into);
    let mut missing = Vec::new();
    for page in files("docs", "md").into_iter().chain(pages) {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for path in named(&text).filter(|path| *path != EXAMPLE && !exists(path)) {
            missing.push(format!("{} names {path}", page.display()));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn comments_of_the_library_name_files_that_exist() {
    let mut missing = Vec::new();
    for source in files("src", "rs") {
        let text = fs::read_to_string(root().join(&source)).unwrap();
        let comments = text.lines().filter_map(|line| line.split_once("//"));
        for (_, comment) in comments {
            for path in named(comment).filter(|path| !exists(path)) {
                missing.push(format!("{} names {path}", source.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
