//! The rules of the house that no compiler holds: rooms import downwards, pure rooms stay pure, and
//! files stay short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from top to bottom. A room may import those below and, without a circle, those beside it.
const FLOORS: [&[&str]; 6] = [
    &["cli"],
    &["compile", "nvrtc"],
    &["exec", "store", "includes", "toolchain", "why"],
    &["key"],
    &["plan", "cmdline"],
    &[
        "config", "stats", "journal", "stat", "outcome", "log", "lock", "text", "files", "secret",
        "visible",
    ],
];

/// Rooms, and parts of rooms, that see nothing but their arguments.
const PURE: [&str; 8] = [
    "cmdline",
    "plan",
    "key",
    "secret",
    "store::class",
    "visible",
    "store::policy",
    "why",
];

/// What would let a pure room see or change the world.
const WORLD: [&str; 6] = ["fs", "env", "time", "process", "net", "thread"];

/// Methods of `Path` that look at the disk.
const LOOKS: [&str; 6] = [
    ".exists()",
    ".try_exists()",
    ".canonicalize()",
    ".metadata()",
    ".symlink_metadata()",
    ".read_dir()",
];

const MOST_LINES: usize = 600;

/// Data tables, which may be longer.
const TABLES: [&str; 1] = ["src/cmdline/options.rs"];

/// A source file of the library, without comments and unit tests.
struct Source {
    path: PathBuf,
    /// `store::policy` for `src/store/policy.rs`.
    module: String,
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        self.module.split("::").next().unwrap_or_default()
    }

    /// The rooms that this file names, by `crate::` or by climbing to it.
    fn imports(&self) -> BTreeSet<String> {
        let depth = self.module.split("::").count();
        let climb = "super::".repeat(depth);
        let mut found = BTreeSet::new();
        for prefix in ["crate::", climb.as_str()] {
            for (at, _) in self.code.match_indices(prefix) {
                found.extend(heads(&self.code[at + prefix.len()..]));
            }
        }
        found.remove(self.room());
        found
    }

    fn is_within(&self, module: &str) -> bool {
        let rest = self.module.strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// The first names of a path or of a group: `a::b` gives a, `{a::{b, c}, d}` gives a and d.
fn heads(text: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = text.strip_prefix('{') else {
        return vec![name(text)];
    };
    let mut depth = 0;
    let mut found = vec![name(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Takes comments and the unit tests at the end out of `text`, so that only code is judged.
fn strip(text: &str) -> String {
    let code = text
        .split("\n#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default();
    let without_comment = |line: &str| match line.trim_start().starts_with("//") {
        true => String::new(),
        false => line.split(" // ").next().unwrap_or_default().to_owned() + "\n",
    };
    code.lines().map(without_comment).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `dir` of the repository, as paths relative to it.
fn rust_files(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(dir)];
    while let Some(dir) = left.pop() {
        let Ok(listing) = fs::read_dir(&dir) else {
            continue;
        };
        for path in listing.map(|child| child.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The files of the library's rooms. Programs and unit tests in files of their own are not judged.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for path in rust_files("src") {
        let inner = path.strip_prefix("src").unwrap().with_extension("");
        let mut parts: Vec<_> = inner.iter().map(|part| part.to_str().unwrap()).collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        let is_test = parts.contains(&"tests");
        if is_test || ["bin", "main", "lib"].contains(&parts[0]) {
            continue;
        }
        sources.push(Source {
            module: parts.join("::"),
            code: strip(&fs::read_to_string(root().join(&path)).unwrap()),
            path,
        });
    }
    assert!(!sources.is_empty());
    sources
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn rooms_import_downwards_only() {
    let mut trouble = Vec::new();
    for source in sources() {
        let (room, path) = (source.room(), source.path.display());
        let Some(own) = floor(room) else {
            trouble.push(format!(
                "{path}: give `{room}` a floor in tests/layering.rs"
            ));
            continue;
        };
        for import in source.imports() {
            // Lower numbers are higher floors; what is on no floor is no room.
            if floor(&import).is_some_and(|other| other < own) {
                trouble.push(format!(
                    "{path}: `{room}` imports `{import}`, which is above it"
                ));
            }
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn lowest_rooms_know_only_outcomes() {
    for source in sources() {
        let mut imports = source.imports();
        imports.retain(|import| floor(import).is_some() && import != "files" && import != "lock");
        match source.room() {
            "stats" => assert!(imports.iter().all(|i| i == "outcome"), "{imports:?}"),
            // What it writes passes through there, so that no caller can forget it.
            "log" => assert!(
                imports.iter().all(|i| i == "secret" || i == "visible"),
                "{imports:?}"
            ),
            "outcome" | "config" | "stat" | "lock" | "files" | "secret" | "visible" => {
                assert_eq!(imports, BTreeSet::new());
            }
            _ => {}
        }
    }
}

#[test]
fn rooms_beside_each_other_import_without_a_circle() {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let room = imports.entry(source.room().to_owned()).or_default();
        room.extend(source.imports().into_iter().filter(|i| floor(i).is_some()));
    }
    // Takes away rooms whose imports are all taken away, until none is left or all are in circles.
    while !imports.is_empty() {
        let remaining: BTreeSet<_> = imports.keys().cloned().collect();
        let before = imports.len();
        imports.retain(|_, needs| needs.iter().any(|need| remaining.contains(need)));
        assert!(
            imports.len() < before,
            "rooms import each other in a circle: {imports:?}"
        );
    }
}

#[test]
fn pure_rooms_do_not_see_the_world() {
    let mut trouble = Vec::new();
    for source in sources() {
        if !PURE.iter().any(|pure| source.is_within(pure)) {
            continue;
        }
        let path = source.path.display();
        for (at, _) in source.code.match_indices("std::") {
            for name in heads(&source.code[at + "std::".len()..]) {
                if WORLD.contains(&name.as_str()) {
                    trouble.push(format!("{path}: uses std::{name}"));
                }
            }
        }
        let others = ["rustix::", "tempfile::", "dirs::", "which::"];
        for word in LOOKS.iter().chain(&others) {
            if source.code.contains(word) {
                trouble.push(format!("{path}: uses {word}"));
            }
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// So that nothing reaches a terminal unescaped: what is written there goes through `cli::screen`.
#[test]
fn only_the_screen_of_pcache_writes_to_streams() {
    let mut trouble = Vec::new();
    for source in sources() {
        // A key is written to a file that is made with its mode.
        let is_other = ["cli::screen", "cli::init"].contains(&source.module.as_str());
        if source.room() != "cli" || is_other {
            continue;
        }
        let path = source.path.display();
        // `cli::run` is given the streams, and makes screens of them.
        let is_door = source.module == "cli";
        for word in [
            "write_all",
            "io::stdout",
            "io::stderr",
            "Write",
            "println!",
            "eprint",
        ] {
            let found = source.code.match_indices(word).filter(|(at, _)| {
                let before = &source.code[..*at];
                // Texts in memory are no streams.
                !before.ends_with("fmt::") && !before.ends_with("fmt::{self, ")
            });
            if found.count() > 0 && !(is_door && word == "Write") {
                trouble.push(format!("{path}: has {word}"));
            }
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for path in ["src", "tests"].into_iter().flat_map(rust_files) {
        let lines = fs::read_to_string(root().join(&path))
            .unwrap()
            .lines()
            .count();
        let is_table = TABLES.iter().any(|table| path == Path::new(table));
        if lines > MOST_LINES && !is_table {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(
        long.is_empty(),
        "over {MOST_LINES} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn heads_of_groups_are_found() {
    assert_eq!(heads("stats::{Counter, Stats};"), ["stats"]);
    assert_eq!(
        heads("{key::{a, b}, plan, cmdline::c};"),
        ["key", "plan", "cmdline"]
    );
    assert_eq!(heads("{\n    fs,\n    path::Path,\n};"), ["fs", "path"]);
}

#[test]
fn imports_are_seen_through_paths_groups_and_climbing() {
    let source = Source {
        path: PathBuf::new(),
        module: "plan::graph".into(),
        code: "use crate::{key::Key, plan::Stage};\nuse super::super::store::Area;\n\
               use super::stats;\nfn f() -> crate::exec::Job {}"
            .into(),
    };
    let expected = ["exec", "key", "store"].map(str::to_owned);
    assert_eq!(source.imports(), BTreeSet::from(expected));
    assert!(floor("exec") < floor("plan") && floor("key") < floor("plan"));
}

#[test]
fn comments_and_unit_tests_are_not_judged() {
    let text = "use a;\n// std::fs\nlet b; // std::env\n#[cfg(test)]\nmod tests { std::fs }";
    assert_eq!(strip(text), "use a;\nlet b;\n");
}
