//! Every way by which a program comes to libnvrtc.

use super::scene::{Scene, libnvrtc, nvrtc, soname, text};
use std::path::Path;

const VERSION: &str = "13.2";

/// A program linked with libnvrtc, found as `flags` say.
#[track_caller]
fn assert_linked_hits(flags: &[&str]) {
    let scene = Scene::new();
    let lib = nvrtc(VERSION);
    let link = format!("{}/{}", lib.display(), soname(VERSION));
    let rpath = format!("-Wl,-rpath,{}", lib.display());
    let mut all = vec!["-DLINKED", &link, &rpath];
    all.extend(flags);
    let client = scene.client(&all);
    scene.assert_second_hits(client, 1, |command| command.args(["version", "basic"]));
}

#[test]
fn linked_with_rpath() {
    assert_linked_hits(&["-Wl,--disable-new-dtags"]);
}

#[test]
fn linked_with_runpath() {
    assert_linked_hits(&["-Wl,--enable-new-dtags"]);
}

#[test]
fn linked_without_plt() {
    assert_linked_hits(&["-fno-plt", "-Wl,-z,now"]);
}

#[test]
fn linked_and_bound_lazily() {
    assert_linked_hits(&["-Wl,-z,lazy", "-no-pie"]);
}

#[test]
fn opened_by_soname() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    scene.assert_second_hits(client, 1, |command| {
        let command = command.env("LD_LIBRARY_PATH", nvrtc(VERSION));
        command.args([&soname(VERSION), "basic"])
    });
}

#[test]
fn opened_by_absolute_path() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    scene.assert_second_hits(client, 1, |command| {
        command.args([&libnvrtc(VERSION), "basic"])
    });
}

#[test]
fn opened_under_another_name() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    for name in ["libnvrtc.so.13", "libnvrtc-builtins.so.13.2"] {
        let other = name.replace("libnvrtc.so.13", "libcompiler-0badcafe.so");
        let place = scene.path("work").join(other);
        std::os::unix::fs::symlink(nvrtc(VERSION).join(name), place).unwrap();
    }
    scene.assert_second_hits(client, 1, |command| {
        command.args(["./libcompiler-0badcafe.so", "basic"])
    });
}

#[test]
fn two_majors_in_one_process() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let (old, new) = (libnvrtc("12.9"), libnvrtc("13.2"));
    let arguments = [
        &old, "version", "basic", &new, "version", "basic", &old, "basic",
    ];
    let told = text(scene.command(&client).args(arguments));
    assert!(told.contains("NVRTC 12.9") && told.contains("NVRTC 13.2"));
    let first = text(scene.cached(&client).args(arguments));
    let counts = scene.counts();
    // The third program is the first once more.
    assert_eq!((first, counts.hits, counts.misses), (told.clone(), 1, 2));
    let second = text(scene.cached(&client).args(arguments));
    let counts = scene.counts();
    assert_eq!((second, counts.hits, counts.misses), (told, 4, 2));
}

#[test]
fn closed_and_opened_again_more_often_than_there_are_slots() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let library = libnvrtc(VERSION);
    let told = text(scene.command(&client).args([&library, "reload"]));
    let cached = text(scene.cached(&client).args([&library, "reload"]));
    assert_eq!(cached, told);
    let counts = scene.counts();
    assert_eq!((counts.hits, counts.misses), (12, 1));
}

/// A ninth library at once is its own, and so is one in a namespace of `dlmopen`; a closed one makes room.
#[test]
fn more_libraries_than_slots_and_other_namespaces_are_left_alone() {
    let scene = Scene::new();
    let made = |name: &str, source: &str, flags: &[&str]| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let mut gcc = scene.command("gcc");
        let gcc = gcc.args(["-Wall", "-Werror", "-o", name]).arg(source);
        let made = gcc.args(flags).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        scene.path("work").join(name)
    };
    let libraries: Vec<_> = (1..=9)
        .map(|number| {
            let name = format!("fake{number}.so");
            made(&name, "tests/nvrtc/fake.c", &["-shared", "-fPIC"])
        })
        .collect();
    let client = made("slots", "tests/nvrtc/slots.c", &["-ldl"]);
    let told = text(scene.cached(&client).args(&libraries));
    let mut expected = vec!["caught"; 8];
    expected.extend(["alone", "caught", "alone"]);
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let plain = text(scene.command(&client).args(&libraries));
    assert!(plain.lines().all(|line| line == "alone"), "{plain}");
}

/// The second way: no auditor and nothing preloaded, but a library that stands for libnvrtc.
#[test]
fn through_the_shim() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/nvrtc-shim");
    let mut make = scene.command(script);
    make.arg("shim")
        .args([&libnvrtc(VERSION)])
        .arg(scene.library());
    assert_eq!(text(&mut make), "shim/libnvrtc.so.13\n");
    let shim = scene.path("work/shim");
    let run = |folder: &Path, mut command: std::process::Command| {
        let command = command.env("LD_LIBRARY_PATH", folder);
        text(command.args([&soname(VERSION), "version", "basic", "rare"]))
    };
    let plain = run(&nvrtc(VERSION), scene.command(&client));
    assert_eq!(run(&shim, scene.command(&client)), plain);
    assert_eq!(scene.counts().misses, 2);
    assert_eq!(run(&shim, scene.command(&client)), plain);
    assert_eq!((scene.counts().hits, scene.counts().misses), (2, 2));
    // Both ways at once are one: the auditor takes no shim for a libnvrtc.
    assert_eq!(run(&shim, scene.cached(&client)), plain);
    assert_eq!((scene.counts().hits, scene.counts().misses), (4, 2));
}
