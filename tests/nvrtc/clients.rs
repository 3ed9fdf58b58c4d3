//! Python's clients of NVRTC, as they come from PyPI.

use super::scene::{Scene, fetched};
use std::path::Path;

/// Runs a script of `clients/` in one of the fetched environments: without the cache, and twice with it.
#[track_caller]
fn assert_second_hits(environment: &str, script: &str, misses: u64) {
    let scene = Scene::new();
    let python = fetched(environment).join("bin/python");
    let name = environment.trim_start_matches("venv-");
    assert!(
        python.exists(),
        "no {environment} for the tests: run scripts/get-nvrtc-clients {name} once"
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/nvrtc/clients")
        .join(script);
    scene.assert_second_hits(python, misses, |command| {
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(&script)
    });
}

#[test]
fn cuda_bindings_13() {
    assert_second_hits("venv-13", "bindings.py", 2);
}

#[test]
fn cuda_bindings_12() {
    assert_second_hits("venv-12", "bindings.py", 2);
}

#[test]
fn cuda_core() {
    assert_second_hits("venv-13", "core.py", 2);
}

#[test]
fn cupy_in_its_random_directories() {
    assert_second_hits("venv-13", "cupy_kernels.py", 5);
}

#[test]
fn what_cuda_cores_own_cache_refuses_or_loses() {
    assert_second_hits("venv-13", "core_cache.py", 2);
}
