//! Settings of a checkout, and settings that are part of every key.

use std::fs;
use std::process::Command;

use crate::direct::{UNIT, built};
use crate::support::stages::staged;
use crate::support::workspace::{Workspace, program};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-Ifirst", "-Isecond"];

#[test]
fn file_of_a_checkout_switches_and_cannot_name_programs() {
    let (ws, first) = built();
    ws.write(".pcache.toml", "direct = false\n");
    ws.build(ARGS).does_not_hit_directly().same_as(&first);
    ws.write(".pcache.toml", "disable = true\n");
    ws.build(ARGS).bypasses("disabled");
    ws.write(".pcache.toml", "log = 'told'\n");
    let ours = ws.build(ARGS);
    ours.hits_directly(1).same_files_as(&first);
    let said = ours.err();
    assert!(
        said.contains(".pcache.toml") && said.contains("PCACHE_LOG"),
        "{said}"
    );
    assert!(!ws.path("told").exists());
}

#[test]
fn namespaces_share_neither_results_nor_stages() {
    let (mut ws, first) = built();
    let root = ws.root().join("..").display().to_string();
    for name in ["release", &root] {
        ws.set_env("PCACHE_NAMESPACE", name);
        let anew = staged(&ws, || ws.build(ARGS));
        anew.outcome.misses(1).same_as(&first);
        assert!(anew.ran().contains(&"cicc"), "{:?}", anew.ran());
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
    ws.unset_env("PCACHE_NAMESPACE");
    ws.build(ARGS).hits_directly(1).same_as(&first);
    // A checkout can have one too.
    ws.write(".pcache.toml", "namespace = 'release'\n");
    ws.build(ARGS).hits_directly(1).same_as(&first);
    ws.write(".pcache.toml", "namespace = 'other'\n");
    ws.build(ARGS).misses(1).same_as(&first);
}

#[test]
fn difference_of_namespaces_is_explained() {
    let (mut ws, _) = built();
    ws.set_env("PCACHE_NAMESPACE", "release");
    ws.build(ARGS).misses(1);
    let explained = Command::new(program("pcache"))
        .arg("explain")
        .env("PCACHE_DIR", ws.root().join("cache"))
        .output()
        .expect("pcache runs");
    let said = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(said.contains("PCACHE_NAMESPACE"), "{said}");
}

#[test]
fn extra_file_that_changes_is_no_hit_and_its_old_content_is_one() {
    let (mut ws, first) = built();
    let file = ws.write("tools/version", "1");
    ws.set_env("PCACHE_EXTRA_FILES", &file);
    ws.build(ARGS).misses(1).same_as(&first);
    ws.build(ARGS).hits_directly(1).same_as(&first);
    ws.write("tools/version", "2");
    ws.build(ARGS).misses(1).same_as(&first);
    ws.build(ARGS).hits_directly(1).same_as(&first);
    ws.write("tools/version", "1");
    ws.build(ARGS).hits_directly(1).same_as(&first);
    // The content counts, not the place.
    let copy = ws.write("copy", "1");
    ws.set_env("PCACHE_EXTRA_FILES", &copy);
    ws.build(ARGS).hits_directly(1).same_as(&first);
    // Behind a checkout's file, the path begins there.
    ws.unset_env("PCACHE_EXTRA_FILES");
    ws.write(".pcache.toml", "extra_files = ['tools/version']\n");
    ws.build(ARGS).hits_directly(1).same_as(&first);
}

#[test]
fn extra_file_that_is_missing_leaves_the_compile_to_nvcc() {
    let mut ws = Workspace::with("unit.cu", UNIT);
    ws.write("second/value.h", "#define VALUE 1\n");
    let theirs = ws.plain(ARGS);
    ws.set_env("PCACHE_EXTRA_FILES", ws.path("absent"));
    ws.build(ARGS)
        .bypasses("extra_file")
        .says_the_same_as(&theirs);
    ws.write("absent", "");
    ws.build(ARGS).misses(1);
}

#[test]
fn result_during_which_an_extra_file_changed_is_not_stored() {
    let (mut ws, _) = built();
    let file = ws.write("tools/version", "1");
    let real = ws.real_nvcc().to_owned();
    let nvcc = ws.script(
        "front/nvcc",
        &format!(
            "#!/bin/sh\nprintf 2 > '{}'\nexec '{}' \"$@\"\n",
            file.display(),
            real.display()
        ),
    );
    ws.use_nvcc(nvcc);
    ws.set_env("PCACHE_EXTRA_FILES", &file);
    ws.build(ARGS).succeeds();
    fs::write(&file, "1").expect("a file");
    ws.build(ARGS).does_not_hit_directly();
}
