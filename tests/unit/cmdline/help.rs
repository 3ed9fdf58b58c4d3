//! The option table against the `--help` of the real nvcc.

use super::samples::nvcc;
use pcache_nvcc::cmdline::{Arity, JOINED, OPTIONS, OptionRow};
use std::process::Command;
use tempfile::TempDir;

/// Options whose value the help does not show; nvcc takes one all the same.
const UNSHOWN: &[&str] = &["dependency-output", "qpp-config"];

/// Short names that moved to another option later: long name and old short name.
const MOVED: &[(&str, &str)] = &[("host-relocatable-link", "r")];

/// Whether `row` may be shown with this placeholder, the text between long and short name.
fn agrees(row: &OptionRow, placeholder: &str) -> bool {
    let boolean = placeholder == "{true|false}";
    match row.arity {
        Arity::Flag => placeholder.is_empty(),
        Arity::List | Arity::Escaped | Arity::Paths | Arity::Pairs => placeholder.ends_with(",..."),
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

/// What nvcc says of `--name=value` tells whether it takes a value. A version that does not know
/// an option is asked nothing more; the options that it does not show are the point of this test.
#[test]
fn every_row_takes_a_value_where_nvcc_takes_one() {
    // Even a dryrun writes the file of --time.
    let directory = TempDir::new().expect("a temporary directory");
    let mut faults = Vec::new();
    let mut known = 0;
    for row in OPTIONS {
        let names = [("--", row.long), ("-", row.short)];
        for (dashes, name) in names.into_iter().filter(|(_, name)| !name.is_empty()) {
            let argument = format!("{dashes}{name}=zz");
            let output = Command::new(nvcc())
                .current_dir(directory.path())
                .args(["--dryrun", "-c", "a.cu", argument.as_str()])
                .env_remove("NVCC_PREPEND_FLAGS")
                .env_remove("NVCC_APPEND_FLAGS")
                .output()
                .expect("nvcc runs");
            let text = String::from_utf8_lossy(&output.stderr);
            if text.contains("Unknown option") {
                continue;
            }
            known += 1;
            let flag = text.contains("no argument expected after");
            // A short name of a later version may read as `-l` or `-t` with a joined value.
            let joined = dashes == "-" && JOINED.contains(&&name[..1]);
            if flag != (row.arity == Arity::Flag) && !joined {
                faults.push(format!(
                    "{argument}: {}",
                    text.lines().last().unwrap_or_default()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(known > 250, "nvcc knew only {known} names");
}

/// A backslash at the end of a value is an error in an escaped list, and only there.
#[test]
fn lists_take_backslashes_as_nvcc_does() {
    for row in OPTIONS {
        if !matches!(row.arity, Arity::List | Arity::Escaped | Arity::Paths) {
            continue;
        }
        let output = Command::new(nvcc())
            .args(["--dryrun", "-c", "a.cu", &format!("--{}=1\\", row.long)])
            .output()
            .expect("nvcc runs");
        let text = String::from_utf8_lossy(&output.stderr);
        if !text.contains("Unknown option") {
            let stray = text.contains("Stray");
            assert_eq!(stray, row.arity == Arity::Escaped, "--{}: {text}", row.long);
        }
    }
}
