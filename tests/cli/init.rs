//! `pcache init`: the rights of a cache that a group shares, keys, and what is refused before anything is made. What it
//! sets up for builds is tested with the real tools (`tests/e2e/set_up.rs`).

use crate::home::Home;
use rustix::process::getgid;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// What `pcache init` gives with `arguments`.
fn init(home: &Home, arguments: &[&str]) -> Output {
    home.run(&[&["init"], arguments].concat())
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn shared_cache_is_the_groups_and_its_key_the_signers() {
    let home = Home::new();
    let parent = home.cache().parent().unwrap().to_owned();
    fs::create_dir_all(&parent).unwrap();
    let group = getgid().as_raw().to_string();
    set_mode(&parent, 0o700);
    let closed = complaint(&init(&home, &["--shared", "4294967294"]));
    assert!(closed.contains("could not reach"), "{closed}");
    assert!(!home.cache().exists());
    set_mode(home.path(), 0o755);
    set_mode(&parent, 0o755);
    let made = init(&home, &["--shared", &group]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    for (name, expected) in [("", 0o2770), ("signing", 0o750), ("signing/key", 0o640)] {
        assert_eq!(mode(&home.cache().join(name)), expected, "{name}");
    }
    let again = complaint(&init(&home, &["--shared", &group]));
    assert!(again.contains("is not empty"), "{again}");
}

#[test]
fn key_alone_is_made_once_for_its_owner() {
    let home = Home::new();
    let path = home.path().join("key");
    let named = path.display().to_string();
    assert!(init(&home, &["--key", &named]).status.success());
    assert_eq!(mode(&path), 0o600);
    let before = fs::read(&path).unwrap();
    assert!(complaint(&init(&home, &["--key", &named])).contains("cannot write the key"));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!home.cache().exists());
}

#[test]
fn builds_are_set_up_only_where_an_nvcc_runs() {
    let home = Home::new();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let links = home.path().join("links");
    let named = links.display().to_string();
    let request = |option: &str, value: &str| {
        let mut command = home.command(&["init", option, value]);
        command
            .env("PATH", &bin)
            .env("PCACHE_NVCC", bin.join("nvcc"));
        complaint(&command.output().unwrap())
    };
    let all = [
        ("--link", named.as_str()),
        ("--cuda-home", &named),
        ("--print", "make"),
    ];
    for (option, value) in all {
        let said = request(option, value);
        assert!(said.contains("no real nvcc found"), "{said}");
    }
    fs::write(bin.join("nvcc"), "#!/bin/sh\nexit 1\n").unwrap();
    set_mode(&bin.join("nvcc"), 0o755);
    for (option, value) in all {
        let said = request(option, value);
        assert!(said.contains("--version fails"), "{said}");
    }
    fs::write(bin.join("nvcc"), "#!/bin/sh\n").unwrap();
    let said = request("--cuda-home", &named);
    assert!(said.contains("cannot tell the toolkit"), "{said}");
    assert!(!links.exists());
    assert!(!home.cache().exists());
}

#[test]
fn options_that_set_builds_up_stand_alone() {
    let home = Home::new();
    for arguments in [
        ["--link", "a", "--cuda-home", "b"],
        ["--print", "make", "--link", "a"],
        ["--print", "make", "--shared", "a"],
        ["--cuda-home", "a", "--key", "b"],
    ] {
        assert_eq!(init(&home, &arguments).status.code(), Some(2));
    }
    assert_eq!(init(&home, &["--print", "scons"]).status.code(), Some(2));
}
