//! The rules of the house that no compiler holds.

mod names;
mod paths;
mod rooms;
mod sizes;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use tree::{Imports, Tree};

/// The files that import each other, directly or by way of others.
fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reach = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut left = vec![from];
        while let Some(at) = left.pop() {
            for next in imports.get(at).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(next.as_str()) {
                    left.push(next);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|module| (module.as_str(), reach(module)))
        .collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for module in imports.keys().map(String::as_str) {
        if !reached[module].contains(module) || found.iter().any(|circle| circle.contains(module)) {
            continue;
        }
        let circle = reached[module]
            .iter()
            .filter(|other| reached[*other].contains(module));
        found.push(circle.map(|other| (*other).to_owned()).collect());
    }
    found
}

#[test]
fn files_import_each_other_without_a_circle() {
    let imports = &Tree::get().imports;
    let circles = circles(imports);
    let mut text = String::new();
    for circle in &circles {
        text += &format!("{} files:\n", circle.len());
        for module in circle {
            for (other, names) in &imports[module] {
                if circle.contains(other) {
                    text += &format!("  {module} → {other}: {names:?}\n");
                }
            }
        }
    }
    assert!(circles.is_empty(), "{} circles\n{text}", circles.len());
}
