//! What a program is told, with the cache and without: every size, every byte, every result.

use super::scene::{Scene, fetched, libnvrtc, text};

/// Those that must be there, and whichever others have been fetched.
fn versions() -> Vec<&'static str> {
    let others = ["12.0", "12.4", "12.8", "13.0", "13.5"];
    let there = |version: &&str| fetched(version).join(".complete").exists();
    let others = others.into_iter().filter(there);
    ["12.9", "13.2"].into_iter().chain(others).collect()
}

/// Does `what` with each libnvrtc: without the cache, with an empty one, and with a full one.
#[track_caller]
fn assert_all_say_the_same(what: &str) {
    let scene = Scene::new();
    let client = scene.client(&[]);
    for version in versions() {
        let (library, folder) = (libnvrtc(version), super::scene::nvrtc(version));
        let run = |mut command: std::process::Command| {
            // 13.0 does not look beside itself for its builtins.
            let command = command.env("LD_LIBRARY_PATH", &folder);
            text(command.args([&library, what]))
        };
        let plain = run(scene.command(&client));
        let before = scene.counts();
        assert_eq!(run(scene.cached(&client)), plain, "{version}, empty cache");
        let between = scene.counts();
        assert!(
            between.misses > before.misses,
            "{version}: nothing was cached"
        );
        assert_eq!(run(scene.cached(&client)), plain, "{version}, full cache");
        let after = scene.counts();
        assert!(after.hits > between.hits, "{version}: nothing was a hit");
    }
}

#[test]
fn every_kind_of_result() {
    assert_all_say_the_same("kinds");
}

#[test]
fn what_a_hit_does_not_hold() {
    assert_all_say_the_same("rare");
}

#[test]
fn every_return_code() {
    assert_all_say_the_same("codes");
}

#[test]
fn one_program_compiled_again_with_other_options() {
    assert_all_say_the_same("again");
}

#[test]
fn what_is_asked_when_the_header_has_gone_and_the_directory_is_another_one() {
    assert_all_say_the_same("late");
}

/// The remarks that one compile has asked for come with every compile after it.
#[test]
fn logs_after_a_compile_that_asked_for_remarks() {
    assert_all_say_the_same("remarks");
}

#[test]
fn clients_that_are_called_back_are_left_alone() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let arguments = [&libnvrtc("13.2"), "basic", "callbacks"];
    let plain = text(scene.command(&client).args(arguments));
    assert!(plain.contains("called back often"), "{plain}");
    for run in 1..3 {
        assert_eq!(text(scene.cached(&client).args(arguments)), plain);
        assert_eq!(scene.counts().bypassed, run);
    }
}

/// Of versions with `nvrtcSetFlowCallback`.
#[test]
fn logs_after_a_compile_with_callbacks_that_asked_for_remarks() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let arguments = [&libnvrtc("13.2"), "basic", "called_back_remarks"];
    let plain = text(scene.command(&client).args(arguments));
    for _ in 0..2 {
        assert_eq!(text(scene.cached(&client).args(arguments)), plain);
    }
    // The remarks of that process reached no log that is served to another one.
    let arguments = [&libnvrtc("13.2"), "basic", "second_log"];
    let plain = text(scene.command(&client).args(arguments));
    assert_eq!(text(scene.cached(&client).args(arguments)), plain);
}

#[test]
fn headers_passed_in_memory() {
    assert_all_say_the_same("headers");
}

#[test]
fn eight_threads_with_a_program_each() {
    assert_all_say_the_same("threads");
}

#[test]
fn child_of_a_fork_goes_on_with_its_parents_program() {
    assert_all_say_the_same("forks");
}

#[test]
fn children_of_forks_while_threads_are_busy_come_to_their_end() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let arguments = [&libnvrtc("13.2"), "busy_forks"];
    for _ in 0..2 {
        let told = text(scene.cached(&client).args(arguments));
        assert!(told.ends_with("failed 0\n"), "{told}");
    }
    assert_eq!(scene.counts().hits, 1);
}

#[test]
fn every_change_of_what_is_included_is_seen() {
    let scene = Scene::new();
    let client = scene.client(&[]);
    let library = libnvrtc("13.2");
    let run = |mut command: std::process::Command| text(command.args([&library, "includes"]));
    scene.write("second/found.h", "#define FOUND 1\n");
    scene.write("near.h", "#define NEAR 10\n");
    let changes = [
        ("second/found.h", "#define FOUND 2\n"),
        ("first/found.h", "#define FOUND 3\n"),
        ("sub/near.h", "#define NEAR 20\n"),
        ("second/maybe.h", ""),
    ];
    let mut told = Vec::new();
    for change in std::iter::once(None).chain(changes.map(Some)) {
        if let Some((name, text)) = change {
            scene.write(name, text);
        }
        let plain = run(scene.command(&client));
        assert!(!told.contains(&plain), "{change:?} changes nothing");
        let before = scene.counts();
        assert_eq!(run(scene.cached(&client)), plain, "after {change:?}");
        let between = scene.counts();
        assert_eq!(between.misses, before.misses + 1, "after {change:?}");
        assert_eq!(
            run(scene.cached(&client)),
            plain,
            "once more after {change:?}"
        );
        assert_eq!(scene.counts().hits, before.hits + 1, "after {change:?}");
        told.push(plain);
    }
}
