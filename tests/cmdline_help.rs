//! The option table against the `--help` of the real nvcc.

mod cmdline_toolkit;

use cmdline_toolkit::nvcc;
use pcache_nvcc::cmdline::{Arity, OPTIONS, OptionRow};
use std::process::Command;

/// Options whose value the help does not show; nvcc takes one all the same.
const UNSHOWN: &[&str] = &["dependency-output", "qpp-config"];

/// Short names that moved to another option later: long name and old short name.
const MOVED: &[(&str, &str)] = &[("host-relocatable-link", "r")];

/// Whether `row` may be shown with this placeholder, the text between long and short name.
fn agrees(row: &OptionRow, placeholder: &str) -> bool {
    let boolean = placeholder == "{true|false}";
    match row.arity {
        Arity::Flag => placeholder.is_empty(),
        Arity::List | Arity::Pairs => placeholder.ends_with(",..."),
        Arity::Bool => boolean,
        Arity::Value | Arity::Number => {
            let one = !placeholder.is_empty() && !boolean && !placeholder.ends_with(",...");
            one || UNSHOWN.contains(&row.long)
        }
    }
}

/// Cuts a line such as `--define-macro <def>,...   (-D)` into name, placeholder and short name.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = line.strip_prefix("--")?.split_once(' ')?;
    let rest = rest.trim();
    let Some((placeholder, short)) = rest.rsplit_once("(-") else {
        // An option without a short name is shown with its long name again.
        return rest.starts_with("--").then_some((name, "", ""));
    };
    Some((name, placeholder.trim(), short.strip_suffix(')')?))
}

#[test]
fn every_option_in_the_help_is_in_the_table_with_its_arity() {
    let output = Command::new(nvcc())
        .arg("--help")
        .output()
        .expect("nvcc runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let mut faults = Vec::new();
    let mut seen = 0;
    for line in help.lines().filter(|line| line.starts_with("--")) {
        let Some((name, placeholder, short)) = parts(line) else {
            faults.push(format!("not understood: {line}"));
            continue;
        };
        seen += 1;
        match OPTIONS.iter().find(|row| row.long == name) {
            None => faults.push(format!("missing: {line}")),
            Some(row) if row.short != short && !MOVED.contains(&(name, short)) => {
                faults.push(format!("other short name: {line}"))
            }
            Some(row) if !agrees(row, placeholder) => {
                faults.push(format!("other arity than {:?}: {line}", row.arity));
            }
            Some(_) => {}
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 100, "only {seen} options found in the help");
}
