//! The Python packages that the store is compared with, fetched by scripts/get-oracles. Never
//! absent: a test that needs them fails with the line that says so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the packages.
fn packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/oracles");
    assert!(
        folder.join(".complete").exists(),
        "no Python packages to compare with: run scripts/get-oracles once"
    );
    folder
}

/// What the script of this folder answers to `input`, line by line.
pub fn ask(script: &str, input: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let questions = dir.path().join("questions");
    fs::write(&questions, input).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/oracles");
    let output = Command::new("python3")
        .arg(folder.join(script))
        .env("PYTHONPATH", packages())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(File::open(&questions).unwrap())
        .output()
        .expect("python3 runs the oracle: install it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(str::to_owned).collect()
}
