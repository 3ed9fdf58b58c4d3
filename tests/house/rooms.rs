//! Rooms import downwards only, and pure rooms see nothing but their arguments. The order of the rooms stands in
//! `src/lib.rs`, that of the parts of `compile` in `src/compile/mod.rs`.

use crate::tree::{Source, Tree, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Rooms, and parts of rooms, that see nothing but their arguments.
const PURE: [&str; 9] = [
    "cmdline",
    "plan",
    "key",
    "secret",
    "shell",
    "store::class",
    "visible",
    "store::policy",
    "explain",
];

/// What would let a pure room see or change the world.
const WORLD: [&str; 6] = [
    "std::fs",
    "std::env",
    "std::time",
    "std::process",
    "std::net",
    "std::thread",
];
const OTHERS: [&str; 4] = ["rustix", "tempfile", "dirs", "which"];

/// Methods of `Path` that look at the disk.
const LOOKS: [&str; 6] = [
    "exists",
    "try_exists",
    "canonicalize",
    "metadata",
    "symlink_metadata",
    "read_dir",
];

/// The names in each row of the first table in the head of `file`, which go from top to bottom.
fn floors(file: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let floors: Vec<Vec<String>> = rows
        .map(|row| {
            let names = row.split('|').next().unwrap_or_default();
            let names = names.split(',').map(|name| name.trim().trim_matches('`'));
            names.map(str::to_owned).collect()
        })
        .collect();
    assert!(floors.len() > 3, "{file} has no table of rooms");
    floors
}

fn floor_of(floors: &[Vec<String>], name: &str) -> Option<usize> {
    floors
        .iter()
        .position(|names| names.iter().any(|known| known == name))
}

/// The part of a module below `parent`: `unit` for `compile::unit::key` below `compile`.
fn part<'a>(module: &'a str, parent: &str) -> Option<&'a str> {
    let inner = match parent {
        "" => module,
        _ => module.strip_prefix(parent)?.strip_prefix("::")?,
    };
    inner.split("::").next()
}

/// Arrows that lead up between the parts of `parent`, whose order `floors` gives.
fn upward(parent: &str, floors: &[Vec<String>]) -> Vec<String> {
    let mut trouble = Vec::new();
    for (module, others) in &Tree::get().imports {
        let Some(own) = part(module, parent) else {
            continue;
        };
        let Some(height) = floor_of(floors, own) else {
            trouble.push(format!("{module}: the table of rooms has no `{own}`"));
            continue;
        };
        for (other, names) in others {
            let below = part(other, parent).and_then(|part| floor_of(floors, part));
            if below.is_some_and(|below| below < height) {
                trouble.push(format!(
                    "{module} imports {names:?} of {other}, which is above it"
                ));
            }
        }
    }
    trouble
}

#[test]
fn rooms_import_downwards_only() {
    let trouble = upward("", &floors("src/lib.rs"));
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn parts_of_a_compile_import_downwards_only() {
    let mut trouble = upward("compile", &floors("src/compile/mod.rs"));
    // Fuzz targets and tests enter there, at every height.
    trouble.retain(|text| !text.starts_with("compile::formats"));
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn architecture_page_has_the_rooms_in_their_order() {
    let page = fs::read_to_string(root().join("docs/design/architecture.md")).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
    let row_of = |name: &String| {
        let places = [format!("`src/{name}/`"), format!("`src/{name}.rs`")];
        let row = rows.iter().position(|row| {
            let rooms = row.split('|').nth(1).unwrap_or_default();
            places.iter().any(|place| rooms.contains(place.as_str()))
        });
        row.unwrap_or_else(|| panic!("docs/design/architecture.md does not say what {name} does"))
    };
    let mut above = 0;
    for floor in floors("src/lib.rs") {
        for name in &floor {
            let row = row_of(name);
            assert!(
                row > above,
                "{name} stands above rooms that are above it in src/lib.rs"
            );
        }
        above = floor.iter().map(row_of).max().unwrap();
    }
}

/// The rooms that the lowest ones may import.
fn allowed(room: &str) -> Option<&'static [&'static str]> {
    match room {
        "stats" => Some(&["outcome", "files", "lock"]),
        // What it writes passes through there, so that no caller can forget it.
        "log" => Some(&["secret", "visible"]),
        "outcome" | "stat" | "files" | "secret" | "shell" | "visible" => Some(&[]),
        "config" | "lock" => Some(&["files"]),
        _ => None,
    }
}

#[test]
fn lowest_rooms_know_only_outcomes() {
    let mut trouble = Vec::new();
    for (module, others) in &Tree::get().imports {
        let room = part(module, "").unwrap_or_default();
        let Some(allowed) = allowed(room) else {
            continue;
        };
        for other in others.keys().filter_map(|other| part(other, "")) {
            if other != room && !allowed.contains(&other) {
                trouble.push(format!("{module} imports {other}"));
            }
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

#[test]
fn rooms_beside_each_other_import_without_a_circle() {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, others) in &Tree::get().imports {
        let room = part(module, "").unwrap_or_default().to_owned();
        let others = others.keys().filter_map(|other| part(other, ""));
        let others = others.filter(|other| *other != room).map(str::to_owned);
        let others: Vec<_> = others.collect();
        imports.entry(room).or_default().extend(others);
    }
    // Takes away rooms whose imports are all taken away, until none is left or all are in circles.
    while !imports.is_empty() {
        let remaining: BTreeSet<_> = imports.keys().cloned().collect();
        let before = imports.len();
        imports.retain(|_, needs| needs.iter().any(|need| remaining.contains(need)));
        assert!(
            imports.len() < before,
            "rooms import each other: {imports:?}"
        );
    }
}

fn is_within(source: &Source, part: &str) -> bool {
    let rest = source.module.strip_prefix(part);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn pure_rooms_do_not_see_the_world() {
    let tree = Tree::get();
    let mut trouble = Vec::new();
    for source in tree.sources.values() {
        if !PURE.iter().any(|pure| is_within(source, pure)) {
            continue;
        }
        let used = &source.used;
        for path in &used.paths {
            let path = path.join("::");
            let head = path.split("::").next().unwrap_or_default();
            if WORLD.iter().any(|world| path.starts_with(world)) || OTHERS.contains(&head) {
                trouble.push(format!("{}: uses {path}", source.module));
            }
        }
        for method in used
            .methods
            .iter()
            .filter(|name| LOOKS.contains(&name.as_str()))
        {
            trouble.push(format!("{}: calls {method}", source.module));
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// Crates for people's eyes, which the way of a compile must not reach.
const OF_PCACHE: [&str; 7] = [
    "anstream",
    "anstyle",
    "clap",
    "clap_complete",
    "clap_mangen",
    "glob",
    "jiff",
];

#[test]
fn crates_of_pcache_are_used_by_its_commands_alone() {
    let tree = Tree::get();
    let others = tree
        .sources
        .values()
        .filter(|source| !is_within(source, "cli"));
    let mut trouble = Vec::new();
    for source in others {
        for path in source
            .used
            .paths
            .iter()
            .filter(|path| OF_PCACHE.contains(&path[0].as_str()))
        {
            trouble.push(format!("{}: has {}", source.module, path.join("::")));
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// So that nothing reaches a terminal unescaped: what is written there goes through `cli::screen`.
#[test]
fn only_the_screen_of_pcache_writes_to_streams() {
    let tree = Tree::get();
    let mut trouble = Vec::new();
    for source in tree
        .sources
        .values()
        .filter(|source| is_within(source, "cli"))
    {
        // `screen` is what writes; a key is written to a file that is made with its mode; `cli::run` is given the
        // streams, and makes screens of them.
        if ["cli::screen", "cli::init", "cli"].contains(&source.module.as_str()) {
            continue;
        }
        let used = &source.used;
        let paths = used.paths.iter().map(|path| path.join("::"));
        let streams = paths.filter(|path| {
            ["io::stdout", "io::stderr", "io::Write"]
                .iter()
                .any(|end| path.ends_with(end))
        });
        let methods = used
            .methods
            .iter()
            .filter(|name| *name == "write_all")
            .cloned();
        let macros = used
            .macros
            .iter()
            .filter(|name| ["println", "print", "eprintln", "eprint"].contains(&name.as_str()));
        for what in streams.chain(methods).chain(macros.cloned()) {
            trouble.push(format!("{}: has {what}", source.module));
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}
