//! The build tools that the tests drive: real CMake, Meson and Ninja, fetched by
//! scripts/get-build-tools. Never absent: a test that needs one fails with the line that says so.

use std::path::{Path, PathBuf};

/// A tool of `target/tools`: `cmake-3.25`, `cmake-4`, `ninja`, or `meson`, a folder of modules.
pub fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/tools")
        .join(name);
    assert!(
        path.exists(),
        "no {name} for the tests: run scripts/get-build-tools once"
    );
    path
}
