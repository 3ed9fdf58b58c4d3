//! Compilers that are not nvcc behind the launcher, and a script over nvcc that takes a host compiler's options, as
//! Kokkos' `nvcc_wrapper` does: with pcache-nvcc in front of it, and with our link underneath.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::counters::Counters;
use crate::support::outcome::Outcome;
use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable, program};

const SOURCE: &str =
    "__global__ void k(int *p) { *p = 1; }\nvoid run(int *p) { k<<<1, 1>>>(p); }\n";
const ARGS: &[&str] = &[
    "-O2",
    "-Wall",
    "-fPIC",
    "-std=c++17",
    "-arch=sm_80",
    "-MD",
    "-MT",
    "a.o",
    "-MF",
    "a.o.d",
    "-c",
    "a.cpp",
    "-o",
    "a.o",
];

/// The script, under the name that it has with Kokkos.
fn wrapper(ws: &Workspace) -> PathBuf {
    let path = ws.side("kokkos").join("nvcc_wrapper");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scripts/cxx-by-nvcc");
    fs::copy(script, &path).expect("a copy of the script");
    make_executable(&path);
    path
}

/// Puts a link to pcache-nvcc called nvcc first in PATH, or nvcc itself.
fn nvcc_in_path(ws: &mut Workspace, is_ours: bool) {
    let (links, bin) = (ws.side("links"), Toolkit::get().bin());
    if is_ours {
        symlink(program("pcache-nvcc"), links.join("nvcc")).expect("a link");
        ws.set_path(&[&links, &bin]);
    } else {
        ws.set_path(&[&bin]);
    }
}

#[track_caller]
fn run(ws: &Workspace, launcher: Option<&Path>, wrapper: &Path) -> Outcome {
    let mut words = launcher.into_iter().chain([wrapper]);
    let mut command = ws.command(words.next().expect("a program"));
    command.args(words).args(ARGS);
    ws.try_run(command)
}

#[test]
fn script_over_our_link_hits_with_the_rules_of_its_second_run() {
    let mut ws = Workspace::with("a.cpp", SOURCE);
    let wrapper = wrapper(&ws);
    nvcc_in_path(&mut ws, false);
    let theirs = run(&ws, None, &wrapper);
    theirs.succeeds();
    nvcc_in_path(&mut ws, true);
    let first = run(&ws, None, &wrapper);
    first.misses(2).says_the_same_as(&theirs);
    assert_eq!(first.outputs.bytes("a.o.d"), theirs.outputs.bytes("a.o.d"));
    run(&ws, None, &wrapper).hits_directly(2).same_as(&first);
    // In front of it too: what is underneath is cached all the same.
    let both = run(&ws, Some(&program("pcache-nvcc")), &wrapper);
    both.succeeds().same_as(&first);
    let mut expected = Counters::hits(2);
    expected.bypassed.insert("other_compiler".to_owned(), 1);
    both.counts(&expected);
}

#[test]
fn compiler_that_is_not_nvcc_is_run_as_it_is() {
    let mut ws = Workspace::with("a.cpp", SOURCE);
    let wrapper = wrapper(&ws);
    let us = program("pcache-nvcc");
    let theirs = run(&ws, None, &wrapper);
    theirs.succeeds();
    let ours = run(&ws, Some(&us), &wrapper);
    ours.succeeds()
        .bypasses("other_compiler")
        .says_the_same_as(&theirs);
    assert_eq!(ours.outputs.names(), theirs.outputs.names());
    // By a bare name, as in a Makefile, and with a setting that names the real nvcc.
    ws.set_path(&[&ws.root().join("kokkos"), &Toolkit::get().bin()]);
    ws.set_env("PCACHE_NVCC", Toolkit::get().root());
    run(&ws, Some(&us), Path::new("nvcc_wrapper"))
        .succeeds()
        .bypasses("other_compiler");
}

#[test]
fn host_compiler_behind_the_launcher_is_run_and_its_failure_is_its_own() {
    let ws = Workspace::with("h.cpp", "int h() { return 1; }\n");
    for name in ["g++", "c++"] {
        let args = ["-Wextra", "-fno-exceptions", "-c", "h.cpp", "-o", "h.o"];
        let mut theirs = ws.command(name);
        theirs.args(args);
        let mut ours = ws.ours(&[name]);
        ours.args(args);
        let ours = ws.try_run(ours);
        ours.succeeds().bypasses("other_compiler");
        ours.same_as(&ws.try_run(theirs));
    }
    let failed = ws.build(&["g++", "-c", "absent.cpp"]);
    failed.bypasses("other_compiler");
    assert_eq!(failed.status, 1);
}
