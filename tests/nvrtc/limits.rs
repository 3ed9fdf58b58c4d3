//! How `pcache run` behaves besides: what it leaves alone, and what it says where it cannot do its work.

use super::scene::{Counts, Scene, libnvrtc, text};
use std::fs;

#[test]
fn switched_off_it_does_nothing() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let arguments = [&libnvrtc("13.2"), "basic"];
    let plain = text(scene.command(&client).args(arguments));
    // By the setting of `pcache run`, and by that of a program that it has started.
    let outer = text(
        scene
            .cached(&client)
            .args(arguments)
            .env("PCACHE_NVRTC", "0"),
    );
    assert_eq!(outer, plain);
    let mut inner = scene.cached("env");
    let inner = text(inner.arg("PCACHE_NVRTC=0").arg(&client).args(arguments));
    assert_eq!(inner, plain);
    let nothing = Counts {
        hits: 0,
        misses: 0,
        bypassed: 0,
    };
    assert_eq!(scene.counts(), nothing);
}

#[test]
fn other_programs_are_as_they_were() {
    let scene = Scene::new();
    assert_eq!(text(scene.cached("echo").arg("hello")), "hello\n");
    let status = scene.cached("sh").args(["-c", "exit 7"]).status().unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(!scene.path("home/.cache").exists());
}

#[test]
fn other_preloaded_libraries_stay() {
    let scene = Scene::new();
    let mut command = scene.cached("sh");
    command.args(["-c", "echo \"$LD_PRELOAD $LD_AUDIT\""]);
    let library = scene.library();
    let own = library.to_str().unwrap();
    let told = text(command.env("LD_PRELOAD", "libdl.so.2:libm.so.6"));
    assert_eq!(told, format!("{own}:libdl.so.2:libm.so.6 {own}\n"));
}

#[test]
fn missing_library_is_said_with_the_places() {
    let scene = Scene::new();
    fs::remove_file(scene.library()).unwrap();
    let output = scene.cached("echo").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for place in ["bin/libpcache_nvcc.so", "lib/libpcache_nvcc.so"] {
        let place = scene.path(place);
        assert!(said.contains(place.to_str().unwrap()), "{said}");
    }
}

#[test]
fn missing_program_is_said() {
    let scene = Scene::new();
    let output = scene.cached("no-such-program").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("pcache: cannot start \"no-such-program\""),
        "{said}"
    );
}

/// A program that looks for NVRTC's functions among all that is loaded must not find ours.
#[test]
fn library_exports_nothing_but_what_ld_so_asks_for() {
    let scene = Scene::new();
    let mut nm = scene.command("nm");
    let told = text(nm.args(["-D", "--defined-only"]).arg(scene.library()));
    let mut names: Vec<_> = told
        .lines()
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "la_objclose",
            "la_objopen",
            "la_version",
            "pcache_nvcc_adopt",
            "pcache_nvcc_slots"
        ]
    );
}
